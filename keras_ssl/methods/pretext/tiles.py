"""Tiles: pieces of an image, each embedded by itself."""

from keras import ops

from keras_ssl import inputs
from keras_ssl.method import check_counts


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
