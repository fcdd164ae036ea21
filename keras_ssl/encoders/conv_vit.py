"""ConvViT: the hybrid encoder of ConvMAE (Gao et al., 2022), https://arxiv.org/abs/2205.03892.

Two stages of convolutional blocks, then a vision transformer on what they make, which also gets what the first two
stages found. Convolutions can be told which patches are visible: they then read nothing else, see `conv_vit_stages`.
"""

import math

import keras
from keras import layers, ops

from keras_ssl.checks import is_int, is_number
from keras_ssl.encoders.resnet import _check_ratio, _normalize, _shape
from keras_ssl.encoders.vit import VitStages, _blocks, _grid, _initializers, _positions


def conv_vit(input_shape=(224, 224, 3), patch=(4, 2, 2), *, width=(256, 384, 768), depth=(2, 2, 11), heads=12,
             mlp_ratio=4, pooling="mean", grid=None, drop_path=0.0, preprocessing=True, name="conv_vit"):
    """A pyramid of two convolutional stages and a transformer, without a class token.

    The model takes images of 0..255 in any dtype. It consists of plain Keras layers, so that a saved file loads with
    Keras alone. Positions are fixed, of sine and cosine, and stretched to other sizes as those of `vit`.

    The authors' model for fine-tuning leaves the early stages' maps out at the end, and normalizes after pooling; this
    one is the same network as in pretraining. Their conv blocks' drop path, a fifth of that of the transformer and
    less, is left out.

    Args:
        input_shape: ints `(height, width, channels)`; height and width are multiples of the product of `patch`.
        patch: three positive ints, the strides in front of the stages; their product is the side of a patch in pixels.
            `(4, 2, 2)` for 224 pixels, `(1, 2, 2)` for 32.
        width: three positive ints, channels of the stages; the last is a multiple of `heads` and of 4.
        depth: three ints from 0, blocks of the stages; at least 1 of the transformer.
        heads: int, heads of the attention.
        mlp_ratio: number > 0, hidden units of a block's multi-layer perceptron, in widths.
        pooling: `"mean"`: the mean of the tokens; None: all tokens.
        grid: int or ints `(rows, columns)` of patches for which the positions are; None for those of `input_shape`.
        drop_path: float in [0, 1), stochastic depth of the transformer; it rises linearly from 0.
        preprocessing: whether the first layer maps 0..255 to `(x / 255 - mean) / std`, as in `vit`.
        name: str.

    Returns:
        a functional `keras.Model`: images to features `(batch, width)`, or to tokens `(batch, patches, width)`.

    Raises:
        ValueError: an argument is out of its range, or the patches do not divide the image.

    Example:
    ```python
    encoder = keras_ssl.encoders.conv_vit((32, 32, 3), (1, 2, 2), width=(32, 64, 128), depth=(1, 1, 4), heads=4)
    features = encoder(np.zeros((2, 32, 32, 3), "uint8"))  # (2, 128)
    ```
    """
    input_shape = _shape(input_shape)
    patch, width, depth = (tuple(x) if isinstance(x, list) else x for x in (patch, width, depth))
    _check(input_shape, patch, width, depth, heads, mlp_ratio, pooling, drop_path)
    draw, side = _initializers("xavier_fused"), math.prod(patch)
    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1]) if preprocessing else images
    everything = ops.ones_like(x[:, ::side, ::side, :1])  # (batch, rows, columns, 1)
    x, early = _convolutions(x.shape[1:], patch, width, depth, mlp_ratio)([x, everything])
    grid = _grid(grid, x.shape[1:3], "sincos")
    x = _positions(width[-1], "sincos", grid, None, None)(x)
    early = layers.Reshape((-1, width[-1]), name="early")(early)
    x = _fused_blocks(width[-1], depth[-1], heads, mlp_ratio, drop_path, draw)([x, early])
    return keras.Model(images, ops.mean(x, axis=1) if pooling == "mean" else x, name=name)


def conv_vit_stages(encoder):
    """The stages of a `conv_vit`, for methods that hide patches.

    Args:
        encoder: `keras.Model` from `conv_vit`, or a copy of one, or one loaded from a file.

    Returns:
        named tuple of three `keras.Model`s that share its weights. `patches`: `[images, visible]` to two maps
        `(batch, rows, columns, width)`, of the third stage and of the first two; `visible` is 1 where a patch is seen
        and 0 where it is hidden, float `(batch, rows, columns, 1)`. No convolution reads hidden pixels: at visible
        places the maps do not depend on them. `positions`: the first map to tokens. `blocks`: `[tokens, early]`, as
        many of the third stage as of the first two, to as many, normalized.

    Raises:
        ValueError: the model has no such stages.

    Example:
    ```python
    patches, positions, blocks = keras_ssl.encoders.conv_vit_stages(encoder)
    maps, early = patches([images, visible])
    ```
    """
    names = [layer.name for layer in getattr(encoder, "layers", ())]
    if not {"convolutions", "positions", "fused_blocks"} <= set(names):
        raise ValueError(
            "A conv_vit of keras_ssl.encoders has the layers 'convolutions', 'positions' and 'fused_blocks', and this "
            f"model does not. Received: encoder={encoder}, with the layers {', '.join(names)}"
        )
    convolutions = encoder.get_layer("convolutions")
    images, visible = keras.Input(encoder.input_shape[1:]), keras.Input(convolutions.input_shape[1][1:])
    x = encoder.get_layer("preprocessing")(images) if "preprocessing" in names else images
    patches = keras.Model([images, visible], convolutions([x, visible]), name="patches_of_images")
    return VitStages(patches, encoder.get_layer("positions"), encoder.get_layer("fused_blocks"))


# The stages


def _convolutions(shape, patch, width, depth, mlp_ratio):
    """From images, and which patches are visible, to the third stage's map and the sum of the two before it."""
    x = images = keras.Input(shape, name="images")
    side = math.prod(patch)
    visible = keras.Input((*(size and size // side for size in shape[:2]), 1), name="visible")
    early = []
    for i, (stride, size) in enumerate(zip(patch, width)):
        x = _conv(x, size, stride, f"stage{i + 1}_patches")
        x = layers.LayerNormalization(epsilon=1e-5, name=f"stage{i + 1}_norm")(x)
        x = layers.Activation("gelu", name=f"stage{i + 1}_gelu")(x)
        if i < 2:
            factor = math.prod(patch[i + 1 :])
            shown = layers.UpSampling2D(factor, "channels_last", name=f"stage{i + 1}_visible")(visible)
            for j in range(depth[i]):
                x = _conv_block(x, shown, mlp_ratio, f"stage{i + 1}_block{j + 1}")
            early.append(_conv(x, width[-1], factor, f"stage{i + 1}_early"))
    x = layers.Dense(width[-1], kernel_initializer=_initializers("xavier")["dense"](), name="projection")(x)
    return keras.Model([images, visible], [x, ops.add(*early)], name="convolutions")


def _conv_block(x, shown, mlp_ratio, name):
    size = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm1")(x)
    # Only what the convolution reads is hidden: the map itself stays, and so does its gradient.
    y = ops.multiply(_conv(y, size, 1, f"{name}_conv1"), shown)
    uniform = _initializers("truncated_normal")
    y = layers.DepthwiseConv2D(
        5, padding="same", depthwise_initializer=uniform["patches"](25, size),
        bias_initializer=uniform["patches_bias"](25), data_format="channels_last", name=f"{name}_depthwise",
    )(y)
    x = ops.add(x, _conv(y, size, 1, f"{name}_conv2"))
    y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm2")(x)
    y = layers.Activation("gelu", name=f"{name}_gelu")(_conv(y, int(size * mlp_ratio), 1, f"{name}_hidden"))
    return ops.add(x, _conv(y, size, 1, f"{name}_output"))


def _conv(x, size, stride, name):
    """Convolution of squares that do not overlap, +- 1 / sqrt(fan in) at the start, as PyTorch's."""
    uniform, fan_in = _initializers("truncated_normal"), x.shape[-1] * stride**2
    draw = {"kernel_initializer": uniform["patches"](fan_in, size), "bias_initializer": uniform["patches_bias"](fan_in)}
    if stride == 1:
        return layers.Dense(size, name=name, **draw)(x)
    return layers.Conv2D(size, stride, stride, data_format="channels_last", name=name, **draw)(x)


def _fused_blocks(width, depth, heads, mlp_ratio, drop_path, draw):
    plain = _blocks(width, depth, heads, mlp_ratio, drop_path, 0.0, draw)
    early = keras.Input((None, width), name="early")
    x = ops.add(plain.get_layer("norm").input, early)
    x = layers.LayerNormalization(epsilon=1e-6, name="fused_norm")(x)
    return keras.Model([plain.input, early], x, name="fused_blocks")


def _check(input_shape, patch, width, depth, heads, mlp_ratio, pooling, drop_path):
    for argument, values, least in (("patch", patch, 1), ("width", width, 1), ("depth", depth, 0)):
        if not isinstance(values, tuple) or len(values) != 3 or not all(is_int(value, least) for value in values):
            raise ValueError(f"{argument} must be three ints from {least}. Received: {argument}={values!r}")
    if depth[-1] < 1:
        raise ValueError(f"depth must give the transformer at least 1 block. Received: depth={depth}")
    if any(size is not None and (size < math.prod(patch) or size % math.prod(patch)) for size in input_shape[:2]):
        raise ValueError(
            "height and width must be multiples of the product of the patches, in pixels. "
            f"Received: input_shape={input_shape}, patch={patch}"
        )
    if not is_int(heads, 1) or width[-1] % heads or width[-1] % 4:
        raise ValueError(f"the last width must be a multiple of heads and of 4. Received: width={width}, heads={heads}")
    _check_ratio(mlp_ratio)
    if pooling not in (None, "mean"):
        raise ValueError(f"pooling must be 'mean' or None: there is no class token. Received: pooling={pooling!r}")
    if not is_number(drop_path) or not 0 <= drop_path < 1:
        raise ValueError(f"drop_path must be in [0, 1). Received: drop_path={drop_path}")
