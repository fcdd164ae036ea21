"""ViT: An Image is Worth 16x16 Words (Dosovitskiy et al., 2020), https://arxiv.org/abs/2010.11929.

The form that MoCo v3 (https://arxiv.org/abs/2104.02057), DINO (https://arxiv.org/abs/2104.14294) and MAE
(https://arxiv.org/abs/2111.06377) train: pre-norm blocks, layer normalization with an epsilon of 1e-6, exact GELU,
stochastic depth.

The model is made of plain Keras layers, in three stages that a method can run one by one, see `vit_stages`: "patches"
(images to a map of patches), "positions" (the map to tokens, which know where they are) and "blocks" (any number of
tokens to as many). No stage holds a size: sizes are read off the input, so that views of several sizes go through the
same weights, and every call with a static shape compiles to static shapes.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import initializers, layers, ops

from keras_ssl.checks import check_flags, check_ints, check_numbers, choice, is_int, is_number
from keras_ssl.encoders.remat import RematBlocks
from keras_ssl.encoders.resnet import _check_ratio, _normalize, _shape
from keras_ssl.pixels import cubic


def vit(input_shape=(224, 224, 3), patch=16, *, width=384, depth=12, heads=6, mlp_ratio=4, pooling="token",
        class_token=True, positions="sincos", grid=None, drop_path=0.0, dropout=0.0, initializer="xavier",
        preprocessing=True, registers=0, activation="gelu", first_norm=False, epsilon=1e-6, layer_scale=None,
        remat=False, name="vit"):
    """Vision transformer: images as a sequence of patches that attend to each other.

    The model takes images of 0..255 in any dtype. It consists of plain Keras layers, so that a saved file loads with
    Keras alone. With `input_shape=(None, None, 3)` it takes images of any size that `patch` divides, for instance the
    large and small crops of DINO; give it the `grid` of the large ones.

    Positions have a place in the `grid`, and a map of another size is stretched over it: sine and cosine are computed
    at the places between, learned positions are interpolated (bicubic, PyTorch's, as in DINO, iBOT and MSN, without the
    0.1 of a patch by which DINO stretches further). The official models learn one more position,
    of the class token; it would be added to that token, which is learned anyway.

    Args:
        input_shape: ints `(height, width, channels)`, multiples of `patch`; height and width may be None.
        patch: positive int, side of a patch in pixels (P); 16 or 14 for 224 pixels, 4 for 32 pixels.
        width: positive int, size of a token (D). A multiple of `heads`, and of 4 for sine and cosine.
        depth: positive int, number of blocks (L).
        heads: positive int, heads of the attention.
        mlp_ratio: number > 0, hidden units of a block's multi-layer perceptron, in widths (4).
        pooling: `"token"`: the class token; `"mean"`: the mean of the patches' tokens; None: all tokens, the class
            token first. Each after the last layer normalization.
        class_token: whether there is one. Without it, `pooling` is `"mean"` or None.
        positions: `"sincos"`: fixed, of sine and cosine of column and row, as in MoCo v3 and MAE; `"learned"`: as in
            the paper and in DINO; None: no positions.
        grid: int or ints `(rows, columns)` of patches for which the positions are. None for those of `input_shape`.
            Where that is unknown, sine and cosine then count the patches from 0 and are not stretched.
        drop_path: float in [0, 1), share of the samples for which the last block is left out in training (stochastic
            depth, https://arxiv.org/abs/1603.09382). It rises linearly from 0 in the first block. 0.1 in DINO. A pair
            of floats: the shares of the first block and of the last; `(0.3, 0.3)` in DINOv2.
        dropout: float in [0, 1), share of the units set to 0 after attention and in the multi-layer perceptron.
        initializer: `"xavier"`: uniform, the patch projection too, query, key and value each by their own size, class
            token N(0, 1e-6), as in MoCo v3; `"xavier_fused"`: the same, but query, key and value by the size of the
            one matrix that holds all three, class token N(0, 0.02^2), as in MAE; `"truncated_normal"`: N(0, 0.02^2),
            the patch projection uniform in +- 1 / sqrt(fan in), as in DINO, whose cut at 2 is 100 deviations away. Or a
            float > 0: a normal distribution of this deviation, the patch projection too, biases 0: 0.02 in I-JEPA,
            0.0108 in data2vec, where 0.02 is cut at one deviation.
        preprocessing: whether the first layer maps 0..255 to `(x / 255 - mean) / std`, with ImageNet's mean and
            standard deviation for 3 channels, 0.5 and 0.25 for any other number. False: the caller does it. A pair
            `(mean, std)` of tuples, one number a channel: with these.
        registers: int >= 0, learned tokens that take part in the blocks and are dropped after them
            (https://arxiv.org/abs/2309.16588); 4 in DINOv2. They are inside the stage "blocks" alone, and in
            `attention_maps`, which is of all that take part.
        activation: `"gelu"`; `"quick_gelu"`: x * sigmoid(1.702 x), as in CLIP; or `"swiglu"`: silu(x) * y, of two
            linear maps x and y (https://arxiv.org/abs/2002.05202), with two thirds of the hidden units, a multiple of
            8, as in the larger models of DINOv2.
        first_norm: whether there is a layer normalization before the first block, as in CLIP.
        epsilon: float > 0, what the layer normalizations add to the variance. 1e-5 in CLIP.
        layer_scale: float > 0, the start of learned factors, one a channel, of what attention and the multi-layer
            perceptron add to a token (https://arxiv.org/abs/2103.17239); 1e-5 in DINOv2. None for no factors.
        remat: whether training keeps what enters each block, and computes the inside of a block again for the gradient
            (`keras.remat`, gradient checkpointing): much less memory for a third more work. Then without drop path
            and dropout, which would draw anew: not with the settings of DINOv2 and data2vec as they are.
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: images `(batch, height, width, channels)` to features `(batch, width)`, or to
        tokens `(batch, 1 + height / patch * width / patch, width)` where `pooling` is None.

    Raises:
        ValueError: where an argument is out of its range, or the patch does not divide the image.

    Example:
    ```python
    encoder = keras_ssl.encoders.vit((None, None, 3), patch=4, width=96, depth=4, heads=3, grid=8)
    features = encoder(np.zeros((4, 32, 32, 3), "uint8"))  # (4, 96)
    features = encoder(np.zeros((4, 16, 16, 3), "uint8"))  # (4, 96)
    ```
    """
    input_shape = _shape(input_shape)
    _check(input_shape, patch, width, depth, heads, mlp_ratio, pooling, class_token, positions, drop_path, dropout,
           initializer)
    _check_blocks(registers, activation, epsilon, layer_scale)
    check_flags(class_token=class_token, first_norm=first_norm, remat=remat)
    if remat and (drop_path or dropout):
        raise ValueError(
            "remat=True computes the blocks twice, and drop_path and dropout would draw anew: leave them at 0. "
            f"Received: drop_path={drop_path}, dropout={dropout}"
        )
    draw = _initializers(initializer)
    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1], preprocessing) if preprocessing else images
    x = layers.Conv2D(
        width, patch, patch, kernel_initializer=draw["patches"](x.shape[-1] * patch**2, width),
        bias_initializer=draw["patches_bias"](x.shape[-1] * patch**2), data_format="channels_last", name="patches",
    )(x)  # (batch, rows, columns, width)
    grid = _grid(grid, x.shape[1:3], positions)
    x = _positions(width, positions, grid, draw["token"]() if class_token else None, draw["dense"])(x)
    x = _blocks(
        width, depth, heads, mlp_ratio, drop_path, dropout, draw,
        registers=registers, activation=activation, first_norm=first_norm, epsilon=epsilon,
        layer_scale=layer_scale, kind=RematBlocks if remat else keras.Model,
    )(x)
    if pooling == "token":
        x = x[:, 0]
    elif pooling == "mean":
        x = ops.mean(x[:, 1:] if class_token else x, axis=1)
    return keras.Model(images, x, name=name)


def vit_tiny(input_shape=(224, 224, 3), patch=16, *, width=192, depth=12, heads=3, name="vit_tiny", **options):
    """ViT-Ti: 12 blocks of width 192 with 3 heads, 5.5 million parameters.

    Args, returns and errors: as for `vit`.
    """
    return vit(input_shape, patch, width=width, depth=depth, heads=heads, name=name, **options)


def vit_small(input_shape=(224, 224, 3), patch=16, *, width=384, depth=12, heads=6, name="vit_small", **options):
    """ViT-S: 12 blocks of width 384 with 6 heads (12 in MoCo v3), 22 million parameters.

    Args, returns and errors: as for `vit`.
    """
    return vit(input_shape, patch, width=width, depth=depth, heads=heads, name=name, **options)


def vit_base(input_shape=(224, 224, 3), patch=16, *, width=768, depth=12, heads=12, name="vit_base", **options):
    """ViT-B: 12 blocks of width 768 with 12 heads, 86 million parameters.

    Args, returns and errors: as for `vit`.
    """
    return vit(input_shape, patch, width=width, depth=depth, heads=heads, name=name, **options)


class VitStages(NamedTuple):
    """The stages of a `vit`, models that share its weights; see `vit_stages`."""

    patches: keras.Model
    positions: keras.Model
    blocks: keras.Model


def vit_stages(encoder):
    """The stages of a `vit`, for methods that hide, replace or read tokens.

    `encoder(images)` is `blocks(positions(patches(images)))`, pooled. A method that puts a mask token in place of
    patches (BEiT, SimMIM, iBOT) changes the output of `patches`; one that runs the blocks on some of the patches
    (MAE) drops tokens from the output of `positions`, which know their places already.

    Args:
        encoder: `keras.Model` from `vit`, or a copy of one, or one loaded from a file.

    Returns:
        named tuple of three `keras.Model`s: `patches`: images to `(batch, rows, columns, width)`; `positions`: such a
        map to tokens `(batch, 1 + rows * columns, width)`, the class token first where there is one, then the patches
        row by row; `blocks`: any number of tokens `(batch, tokens, width)` to as many, normalized. Pass `training=True`
        where drop path and dropout shall act.

    Raises:
        ValueError: the model has no such stages.

    Example:
    ```python
    patches, positions, blocks = keras_ssl.encoders.vit_stages(encoder)
    tokens = positions(patches(images))
    kept = ops.concatenate([tokens[:, :1], ops.take_along_axis(tokens[:, 1:], visible[..., None], axis=1)], axis=1)
    latent = blocks(kept, training=True)
    ```
    """
    names = [layer.name for layer in getattr(encoder, "layers", ())]
    if not {"patches", "positions", "blocks"} <= set(names):
        raise ValueError(
            "A vit of keras_ssl.encoders has the layers 'patches', 'positions' and 'blocks', and this model does not. "
            f"Received: encoder={encoder}, with the layers {', '.join(names)}"
        )
    patches = keras.Model(encoder.input, encoder.get_layer("patches").output, name="patches_of_images")
    return VitStages(patches, encoder.get_layer("positions"), encoder.get_layer("blocks"))


def has_class_token(stages):
    return any(layer.name == "class_token" for layer in stages.positions.layers)


def class_token_stages(encoder):
    """`vit_stages` of an encoder whose features are its class token, for methods that read that token themselves.

    Args and returns: as for `vit_stages`.

    Raises:
        ValueError: the model has no such stages, or its features are something else.
    """
    stages = vit_stages(encoder)
    if type(encoder.operations[-1]).__name__ != "GetItem":
        raise ValueError(
            f"The method reads the class token, and the encoder '{encoder.name}' gives something else: build it with "
            "pooling='token'."
        )
    return stages


def attention_maps(encoder, block=-1):
    """A model from images to what the tokens of a block attend to.

    Args:
        encoder: `keras.Model` from `vit`.
        block: int, number of the block from 0, or from the end where it is negative.

    Returns:
        `keras.Model` from images to `(batch, heads, tokens, tokens)`; entry i, j is the weight of token j for token i,
        the class token is number 0, registers are the last ones, and every row sums to 1. It shares the weights of the
        encoder.

    Raises:
        ValueError: the model is no `vit`, or has no such block.

    Example:
    ```python
    encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4)
    maps = keras_ssl.encoders.attention_maps(encoder).predict(images)  # (batch, 3, 65, 65)
    of_the_class_token = maps[:, :, 0, 1:65].reshape(-1, 3, 8, 8)
    ```
    """
    patches, positions, blocks = vit_stages(encoder)
    found = [layer for layer in blocks.layers if layer.name.endswith("_attention")]
    if not -len(found) <= block < len(found):
        raise ValueError(f"block must be from {-len(found)} to {len(found) - 1}. Received: block={block}")
    images = keras.Input(encoder.input_shape[1:], name="images")
    maps = keras.Model(blocks.input, found[block].output)(positions(patches(images)))
    return keras.Model(images, maps, name="attention_maps")


def freeze_patches(encoder, frozen=True):
    """Leaves the patch projection of a `vit` as it is, which steadies the training (MoCo v3, section 4).

    Do so before the model is compiled.

    Args:
        encoder: `keras.Model` from `vit`, or one that holds a `vit`. It is changed in place.
        frozen: False undoes it, for training of your own; `keras_ssl.eval.fine_tune` does so itself. (Keras skips
            `encoder.trainable = True` where the encoder as a whole is trainable already.)

    Returns:
        whether there was a patch projection.

    Example:
    ```python
    encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4)
    keras_ssl.encoders.freeze_patches(encoder)  # True
    ```
    """
    found = [x for x in encoder._flatten_layers() if x.name == "patches" and isinstance(x, layers.Conv2D)]
    for layer in found:
        layer.trainable = not frozen
    return bool(found)


# The stages


def _positions(width, positions, grid, token, draw):
    """From a map of patches to tokens."""
    patches = keras.Input((None, None, width), name="map")
    x = layers.Reshape((-1, width), name="tokens")(patches)  # (batch, patches, width)
    if positions is not None:
        ones = ops.ones_like(patches[:1, :, :, :1], dtype="float32")  # (1, rows, columns, 1)
        place = [_places(ones, axis, None if grid is None else grid[axis - 1]) for axis in (1, 2)]
        where = _sines(place, ones, width) if positions == "sincos" else _table(place, grid, width, draw())
        x = ops.add(x, ops.cast(where, x.dtype))
    if token is not None:
        # A plain layer with a vector of its own. An Embedding has one too, but with a sparse gradient.
        one = ops.ones_like(x[:, :1, :1])
        token = layers.Dense(width, use_bias=False, kernel_initializer=token, name="class_token")(one)
        x = ops.concatenate([token, x], axis=1)
    return keras.Model(patches, x, name="positions")


def _places(ones, axis, size):
    """Where the rows (axis 1) or columns (axis 2) are in a grid of `size`: 0, 1, ... where the map has that size."""
    place = ops.cumsum(ones, axis=axis) - 0.5  # the middle of each patch
    if size is not None:
        place = place * (size / ops.sum(ones, axis=axis, keepdims=True))
    return place - 0.5  # (1, rows, columns, 1)


def _sines(place, ones, width):
    frequency = (10000.0 ** (-np.arange(width // 4) / (width // 4))).astype("float32")
    angles = [x * frequency for x in reversed(place)]  # columns, then rows
    where = ops.concatenate([f(angle) for angle in angles for f in (ops.sin, ops.cos)], axis=-1)
    return layers.Reshape((-1, width), name="sines", dtype="float32")(where)  # (1, patches, width)


def _table(place, grid, width, draw):
    """Learned positions: a table, and a Dense that mixes its rows by the weights of bicubic interpolation."""
    rows, columns = (_shares(x, size) for x, size in zip(place, grid))
    weights = ops.expand_dims(rows, -1) * ops.expand_dims(columns, -2)  # (1, rows, columns, *grid)
    weights = layers.Reshape((-1, math.prod(grid)), name="interpolation", dtype="float32")(weights)
    return layers.Dense(width, use_bias=False, kernel_initializer=draw, name="table")(weights)


def _shares(place, size):
    """The shares of the `size` rows or columns of a table in each place, `(..., size)`: PyTorch's, as DINO has them.

    Keys' cubic with a parameter of -0.75. What lies outside of the table is its border.
    """
    shares = cubic(ops.abs(place - np.arange(-2, size + 2, dtype="float32")), -0.75)
    if size == 1:
        return ops.sum(shares, axis=-1, keepdims=True)
    first, last = (ops.sum(part, axis=-1, keepdims=True) for part in (shares[..., :3], shares[..., -3:]))
    return ops.concatenate([first, shares[..., 3:-3], last], axis=-1)


def _blocks(width, depth, heads, mlp_ratio, drop_path, dropout, draw, registers=0, activation="gelu",
            first_norm=False, epsilon=1e-6, layer_scale=None, kind=keras.Model):
    """From tokens to as many tokens."""
    tokens = x = keras.Input((None, width), name="tokens")
    if first_norm:
        x = layers.LayerNormalization(epsilon=epsilon, name="first_norm")(x)
    if registers:  # the last ones here and the second to fifth in DINOv2, which is the same: no token has an order
        one = ops.ones_like(x[:, 0, :1])
        new = layers.Dense(registers * width, use_bias=False, kernel_initializer=draw["dense"](), name="registers")(one)
        x = ops.concatenate([x, layers.Reshape((registers, width))(new)], axis=1)
    first, last = drop_path if isinstance(drop_path, (tuple, list)) else (0, drop_path)
    for i in range(depth):
        name, rate = f"block{i + 1}", first + (last - first) * i / max(depth - 1, 1)

        def branch(x, part):
            if layer_scale is not None:
                x = x * _vector(x, layer_scale, f"{name}_scale{part}")
            if rate:
                x = layers.Dropout(rate, noise_shape=(None, 1, 1), name=f"{name}_drop_path{part}")(x)
            return x

        y = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm1")(x)
        y = _attention(y, width, heads, draw, name)
        if dropout:
            y = layers.Dropout(dropout, name=f"{name}_dropout1")(y)
        x = ops.add(x, branch(y, 1))

        y = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm2")(x)
        units = int(width * mlp_ratio) if activation != "swiglu" else 2 * _gated(width * mlp_ratio)
        y = layers.Dense(units, kernel_initializer=draw["dense"](), name=f"{name}_hidden")(y)
        if activation == "swiglu":
            gate, y = ops.split(y, 2, axis=-1)
            y = layers.Activation("silu", name=f"{name}_silu")(gate) * y
        elif activation == "gelu":
            y = layers.Activation("gelu", name=f"{name}_gelu")(y)  # Keras's default is the exact one
        else:
            y = y * ops.sigmoid(1.702 * y)
        if dropout:
            y = layers.Dropout(dropout, name=f"{name}_dropout2")(y)
        y = layers.Dense(width, kernel_initializer=draw["dense"](), name=f"{name}_output")(y)
        if dropout:
            y = layers.Dropout(dropout, name=f"{name}_dropout3")(y)
        x = ops.add(x, branch(y, 2))
    x = layers.LayerNormalization(epsilon=epsilon, name="norm")(x)
    return kind(tokens, x[:, :-registers] if registers else x, name="blocks")


def _gated(units):
    """As many gated units as have about the weights of so many plain ones, a multiple of 8."""
    return (int(units * 2 / 3) + 7) // 8 * 8


def _vector(x, value, name):
    """A learned vector `(1, 1, width)` that starts with one value. On the whole of `x` the einsum would be slow."""
    start = initializers.Constant(value)
    vector = layers.EinsumDense("btd,d->btd", (None, x.shape[-1]), kernel_initializer=start, name=name)
    return vector(ops.ones_like(x[:1, :1]))


def _attention(x, width, heads, draw, name):
    # Three Dense layers and two products are a quarter faster on a CPU than MultiHeadAttention with its einsums, and
    # half the time of ops.dot_product_attention on one fused Dense.
    def split(part, order):
        y = layers.Dense(width, kernel_initializer=draw["query_key_value"](width), name=f"{name}_{part}")(x)
        return layers.Permute(order)(layers.Reshape((-1, heads, width // heads))(y))

    query, key, value = split("query", (2, 1, 3)), split("key", (2, 3, 1)), split("value", (2, 1, 3))
    logits = ops.matmul(query * (width // heads) ** -0.5, key)  # (batch, heads, tokens, tokens)
    weights = layers.Softmax(name=f"{name}_attention")(logits)
    y = layers.Permute((2, 1, 3))(ops.matmul(weights, value))  # (batch, tokens, heads, width / heads)
    y = layers.Reshape((-1, width))(y)
    return layers.Dense(width, kernel_initializer=draw["dense"](), name=f"{name}_projection")(y)


def _initializers(initializer):
    """What makes the initial values of each kind of weight. One initializer a layer: an instance repeats itself."""
    if is_number(initializer):
        normal = lambda *sizes: initializers.RandomNormal(stddev=initializer)  # noqa: E731
        kinds = dict.fromkeys(("dense", "query_key_value", "patches", "token"), normal)
        return kinds | {"patches_bias": lambda fan_in: initializers.Zeros()}
    if initializer == "truncated_normal":
        return {
            "dense": _normal,
            "query_key_value": lambda width: _normal(),
            "patches": lambda fan_in, width: _uniform(fan_in**-0.5),
            "patches_bias": lambda fan_in: _uniform(fan_in**-0.5),
            "token": _normal,
        }
    fused = initializer == "xavier_fused"
    return {
        "dense": lambda: initializers.GlorotUniform(),
        "query_key_value": lambda width: _uniform(math.sqrt(6 / ((4 if fused else 2) * width))),
        "patches": lambda fan_in, width: _uniform(math.sqrt(6 / (fan_in + width))),
        "patches_bias": lambda fan_in: initializers.Zeros(),
        "token": _normal if fused else lambda: initializers.RandomNormal(stddev=1e-6),
    }


def _normal():
    return initializers.RandomNormal(stddev=0.02)


def _uniform(limit):
    return initializers.RandomUniform(-limit, limit)


def _grid(grid, size, positions):
    if grid is not None:
        grid = tuple(grid) if isinstance(grid, (tuple, list)) else (grid, grid)
        if len(grid) != 2 or not all(is_int(side, 1) for side in grid):
            raise ValueError(f"grid must be a positive int or a pair of them, in patches. Received: grid={grid}")
        return grid
    if None not in size:
        return tuple(size)
    if positions == "learned":
        raise ValueError(
            "Learned positions need a grid: with an unknown height or width pass grid=(rows, columns) of patches. "
            "Received: grid=None"
        )
    return None


def _check(input_shape, patch, width, depth, heads, mlp_ratio, pooling, class_token, positions, drop_path, dropout,
           initializer):
    check_ints(patch=patch, width=width, depth=depth, heads=heads)
    if any(side is not None and (side < patch or side % patch) for side in input_shape[:2]):
        raise ValueError(
            "height and width must be multiples of the patch, in pixels. "
            f"Received: input_shape={input_shape}, patch={patch}"
        )
    if width % heads:
        raise ValueError(f"width must be a multiple of heads. Received: width={width}, heads={heads}")
    if positions not in (None, "sincos", "learned"):
        raise ValueError(f"positions must be 'sincos', 'learned' or None. Received: positions={positions!r}")
    if positions == "sincos" and width % 4:
        raise ValueError(f"width must be a multiple of 4 for positions='sincos'. Received: width={width}")
    _check_ratio(mlp_ratio)
    if pooling not in (None, "token", "mean"):
        raise ValueError(f"pooling must be 'token', 'mean' or None. Received: pooling={pooling!r}")
    if pooling == "token" and not class_token:
        raise ValueError("pooling='token' needs class_token=True. Received: class_token=False")
    pair = isinstance(drop_path, (tuple, list)) and len(drop_path) == 2
    for argument, given in {"drop_path": drop_path, "dropout": dropout}.items():
        for value in given if pair and given is drop_path else [given]:
            if not is_number(value) or not 0 <= value < 1:
                raise ValueError(f"{argument} must be in [0, 1). Received: {argument}={given}")
    names = "xavier", "xavier_fused", "truncated_normal"
    if initializer not in names and not (is_number(initializer) and initializer > 0):
        raise ValueError(
            f"initializer must be one of {names}, or a float above 0. Received: initializer={initializer!r}"
        )


def _check_blocks(registers, activation, epsilon, layer_scale):
    if not is_int(registers, 0):
        raise ValueError(f"registers must be an int of at least 0. Received: registers={registers!r}")
    choice("gelu", "quick_gelu", "swiglu")("activation", activation)
    if not is_number(epsilon) or epsilon <= 0:
        raise ValueError(f"epsilon must be positive. Received: epsilon={epsilon}")
    check_numbers(above=0, optional=True, layer_scale=layer_scale)
