"""Swin: Hierarchical Vision Transformer using Shifted Windows (Liu et al., 2021), https://arxiv.org/abs/2103.14030.

The model is made of plain Keras layers, in the stages of a `vit` and under their names, so that `vit_stages` finds
them: "patches" (images to a map of normalized patches), "positions" (nothing: a window knows where its patches are to
each other) and "blocks" (the map to a smaller map of more channels).
"""

import math

import keras
from keras import initializers, layers, ops

from keras_ssl.checks import check_ints, is_int, is_number
from keras_ssl.encoders.resnet import _check_ratio, _normalize, _shape


def swin(input_shape=(224, 224, 3), patch=4, *, width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=7,
         mlp_ratio=4, pooling="mean", drop_path=0.0, preprocessing=True, name="swin"):
    """Hierarchical vision transformer: attention inside windows, which every second block shifts by half a window.

    Each stage but the first joins squares of 2 x 2 patches and doubles the channels. A map that is not larger than the
    window is one window, without a shift. The model takes images of 0..255 in any dtype, of the one size it is built
    for; its weights fit any other size with the same windows: `other.set_weights(encoder.get_weights())`.

    The defaults are those of Swin-T. SimMIM's Swin-B has 192 pixels, a width of 128, depths of 2, 2, 18, 2, heads of 4,
    8, 16, 32 and a window of 6.

    Args:
        input_shape: ints `(height, width, channels)`, multiples of `patch`.
        patch: positive int, side of a patch in pixels; 4, or 2 for 32 pixels.
        width: positive int, channels of the first stage (C).
        depths: positive ints, blocks of each stage.
        heads: as many positive ints, heads of the attention of each stage; they divide its channels.
        window: positive int, side of a window in patches (M, 7). It divides the map of every stage that is larger.
        mlp_ratio: number > 0, hidden units of a block's multi-layer perceptron, in channels (4).
        pooling: `"mean"`: the mean of the last map; None: the map itself. Both after the last layer normalization.
        drop_path: float in [0, 1), share of the samples for which the last block is left out in training; it rises
            linearly from 0 in the first block.
        preprocessing: whether the first layer maps 0..255 to `(x / 255 - mean) / std`, as in `vit`.
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: images to features `(batch, 2 ** (stages - 1) * width)`, or to the map
        `(batch, rows, columns, ...)` of one place for `patch * 2 ** (stages - 1)` pixels where `pooling` is None.

    Raises:
        ValueError: where an argument is out of its range, or patches, windows or squares do not fit the image.

    Example:

    >>> encoder = swin((32, 32, 3), patch=2, width=64, depths=(2, 2, 2), heads=(2, 4, 8), window=4)
    >>> encoder.output_shape
    (None, 256)
    """
    input_shape = _shape(input_shape)
    depths, heads = (tuple(x) if isinstance(x, (list, tuple)) else () for x in (depths, heads))
    _check(input_shape, patch, width, depths, heads, window, mlp_ratio, pooling, drop_path)
    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1]) if preprocessing else images
    x = layers.Conv2D(
        width, patch, patch, kernel_initializer=_draw(), data_format="channels_last", name="patches_projection"
    )(x)
    x = layers.LayerNormalization(epsilon=1e-5, name="patches")(x)  # (batch, rows, columns, width)
    x = layers.Identity(name="positions")(x)
    x = _blocks(x.shape[1:], depths, heads, window, mlp_ratio, drop_path)(x)
    if pooling == "mean":
        x = layers.GlobalAveragePooling2D("channels_last", name="pool")(x)
    return keras.Model(images, x, name=name)


def _blocks(shape, depths, heads, window, mlp_ratio, drop_path):
    """From a map of patches to the last stage's map."""
    patches = x = keras.Input(shape, name="map")
    number, last = 0, max(sum(depths) - 1, 1)
    for stage, depth in enumerate(depths):
        if stage:
            x = _merge(x, f"stage{stage + 1}_merge")
        size = tuple(min(window, side) for side in x.shape[1:3])
        for i in range(depth):
            # A side of one window has nothing to be shifted to.
            shift = tuple((window // 2 if side > window and i % 2 else 0) for side in x.shape[1:3])
            name = f"stage{stage + 1}_block{i + 1}"
            x = _block(x, heads[stage], size, shift, mlp_ratio, drop_path * number / last, name)
            number += 1
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    return keras.Model(patches, x, name="blocks")


def _block(x, heads, window, shift, mlp_ratio, rate, name):
    channels = x.shape[-1]

    def branch(x, part):
        return layers.Dropout(rate, (None, 1, 1, 1), name=f"{name}_drop_path{part}")(x) if rate else x

    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm1")(x)
    y = ops.roll(y, [-step for step in shift], axis=(1, 2)) if any(shift) else y
    y = _attention(y, heads, window, shift, name)
    y = ops.roll(y, list(shift), axis=(1, 2)) if any(shift) else y
    x = ops.add(x, branch(y, 1))

    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm2")(x)
    y = layers.Dense(int(channels * mlp_ratio), kernel_initializer=_draw(), name=f"{name}_hidden")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(channels, kernel_initializer=_draw(), name=f"{name}_output")(y)
    return ops.add(x, branch(y, 2))


def _attention(x, heads, window, shift, name):
    rows, columns, channels = x.shape[1:]
    tokens = math.prod(window)
    windows = _to_windows(x, window)  # (batch, windows, tokens, channels)

    def split(part, order):
        y = layers.Dense(channels, kernel_initializer=_draw(), name=f"{name}_{part}")(windows)
        return layers.Permute(order)(layers.Reshape((-1, tokens, heads, channels // heads))(y))

    query, key, value = split("query", (1, 3, 2, 4)), split("key", (1, 3, 4, 2)), split("value", (1, 3, 2, 4))
    logits = ops.matmul(query * (channels // heads) ** -0.5, key)  # (batch, windows, heads, tokens, tokens)
    logits = ops.add(logits, ops.cast(_bias(windows, heads, window, name), logits.dtype))
    if any(shift):
        logits = ops.where(_strangers(x, window, shift), ops.cast(-100.0, logits.dtype), logits)
    weights = layers.Softmax(name=f"{name}_attention")(logits)
    y = layers.Permute((1, 3, 2, 4))(ops.matmul(weights, value))
    y = layers.Reshape((-1, tokens, channels))(y)
    y = layers.Dense(channels, kernel_initializer=_draw(), name=f"{name}_projection")(y)
    return _from_windows(y, rows, columns, window)


def _bias(windows, heads, window, name):
    """What a head adds to the logit of two patches, by their places: `(1, 1, heads, tokens, tokens)`."""
    # Numbers that stand in the model itself would be written out in its file: they are computed from the input.
    place = ops.cumsum(ops.ones_like(windows[:1, 0, :, 0], dtype="int32"), axis=1) - 1  # (1, tokens)
    row, column = place // window[1], place % window[1]
    down, across = (x[:, :, None] - x[:, None, :] for x in (row, column))
    offset = (down + window[0] - 1) * (2 * window[1] - 1) + across + window[1] - 1  # (1, tokens, tokens)
    # A Dense on one-hot rows is a table, with a gradient that is not sparse.
    chosen = layers.Flatten(name=f"{name}_offsets", dtype="float32")(offset)
    chosen = ops.one_hot(ops.cast(chosen, "int32"), (2 * window[0] - 1) * (2 * window[1] - 1), dtype="float32")
    bias = layers.Dense(heads, use_bias=False, kernel_initializer=_draw(), name=f"{name}_table")(chosen)
    tokens = math.prod(window)
    return layers.Permute((1, 4, 2, 3))(layers.Reshape((1, tokens, tokens, heads))(bias))


def _strangers(x, window, shift):
    """Pairs in one window that the shift brought from two ends of the map: bool `(1, windows, 1, tokens, tokens)`."""
    ones = ops.ones_like(x[:1, :, :, :1], dtype="int32")  # (1, rows, columns, 1)
    region = ops.zeros_like(ones)
    for axis in (1, 2):
        if shift[axis - 1]:
            place = ops.cumsum(ones, axis=axis)  # from 1
            region = 2 * region + ops.cast(place > x.shape[axis] - shift[axis - 1], "int32")
    region = ops.cast(_to_windows(ops.cast(region, "float32"), window), "int32")[..., 0]  # (1, windows, tokens)
    return ops.not_equal(region[:, :, None, :, None], region[:, :, None, None, :])


def _to_windows(x, window):
    rows, columns, channels = x.shape[1:]
    x = layers.Reshape((rows // window[0], window[0], columns // window[1], window[1], channels))(x)
    return layers.Reshape((-1, math.prod(window), channels))(layers.Permute((1, 3, 2, 4, 5))(x))


def _from_windows(x, rows, columns, window):
    channels = x.shape[-1]
    x = layers.Reshape((rows // window[0], columns // window[1], *window, channels))(x)
    return layers.Reshape((rows, columns, channels))(layers.Permute((1, 3, 2, 4, 5))(x))


def _merge(x, name):
    rows, columns, channels = x.shape[1:]
    x = _to_windows(x, (2, 2))
    x = layers.Reshape((rows // 2, columns // 2, 4 * channels))(x)
    x = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.Dense(2 * channels, use_bias=False, kernel_initializer=_draw(), name=name)(x)


def _draw():
    return initializers.RandomNormal(stddev=0.02)  # the authors cut it at 100 deviations


def _check(input_shape, patch, width, depths, heads, window, mlp_ratio, pooling, drop_path):
    if len(input_shape) != 3 or not all(is_int(side, 1) for side in input_shape):
        raise ValueError(
            "input_shape must be (height, width, channels), three positive ints: the windows need a size. "
            f"Received: input_shape={input_shape}"
        )
    check_ints(patch=patch, width=width, window=window)
    if not depths or len(depths) != len(heads) or not all(is_int(x, 1) for x in (*depths, *heads)):
        raise ValueError(
            "depths and heads must hold a positive int for each stage. "
            f"Received: depths={depths}, heads={heads}"
        )
    if any(side % patch for side in input_shape[:2]):
        raise ValueError(
            f"height and width must be multiples of the patch. Received: input_shape={input_shape}, patch={patch}"
        )
    for stage, count in enumerate(heads):
        if width * 2**stage % count:
            raise ValueError(
                f"The channels of stage {stage + 1}, {width * 2**stage}, must be a multiple of its heads. "
                f"Received: width={width}, heads={heads}"
            )
        for side in input_shape[:2]:
            places, rest = divmod(side // patch, 2**stage)
            if rest or places % min(window, places or 1):
                raise ValueError(
                    f"The map of stage {stage + 1} has {side // patch / 2**stage:g} places along a side: they must be "
                    "a whole number, and a multiple of the window where they are more. "
                    f"Received: input_shape={input_shape}, patch={patch}, window={window}"
                )
    _check_ratio(mlp_ratio)
    if pooling not in (None, "mean"):
        raise ValueError(f"pooling must be 'mean' or None. Received: pooling={pooling!r}")
    if not is_number(drop_path) or not 0 <= drop_path < 1:
        raise ValueError(f"drop_path must be in [0, 1). Received: drop_path={drop_path}")
