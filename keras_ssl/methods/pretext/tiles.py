"""Tiles: pieces of an image, each embedded by itself."""

from keras import ops

from keras_ssl import checks, inputs
from keras_ssl.method import check_counts


def rows_and_columns(grid):
    """The grid, an int or a pair of ints, as a pair."""
    pair = tuple(grid) if isinstance(grid, (list, tuple)) else (grid, grid)
    if len(pair) != 2 or not all(checks.is_int(side, 1) for side in pair):
        raise ValueError(f"grid must be a positive int or a pair of them. Received: grid={grid!r}")
    return pair


def check_tiles(method, views, count):
    """Raises unless the first view holds so many tiles that fit the encoder."""
    check_counts(method, views)
    shape = inputs.static_shape(views[0])
    if shape is not None and (len(shape) != 5 or shape[1] != count):
        raise ValueError(
            f"{type(method).__name__} takes {count} patches of each image, (batch, {count}, height, width, channels), "
            f"as keras_ssl.augment.PatchGrid gives them. Received: shape={shape}"
        )
    inputs.check_fit(views[0][:, 0], method.encoder, "A patch")


def embed(network, tiles):
    """The embedding of each tile: `(batch, tiles, height, width, channels)` to `(batch, tiles, dim)`."""
    each = network(ops.reshape(tiles, (-1, *tiles.shape[2:])), training=True)
    return ops.reshape(each, (-1, tiles.shape[1], each.shape[-1]))


def check_parts(method, views):
    """Raises unless the second view holds parts that have the size of the images of the first."""
    whole, parts = map(inputs.static_shape, views)
    if whole is not None and parts is not None and (len(parts) != 5 or not inputs.fits(parts[1:], whole)):
        raise ValueError(
            f"{type(method).__name__} takes images and their parts (batch, parts, height, width, channels) of the same "
            f"size, as keras_ssl.augment.counting gives them. Received: shapes {whole} and {parts}"
        )
