"""Decoders of masked image modeling: light transformers from the tokens of what is left to all patches.

As in MAE: Masked Autoencoders Are Scalable Vision Learners (He et al., 2021), https://arxiv.org/abs/2111.06377
"""

import keras
from keras import layers, ops

from keras_ssl.checks import check_flags, is_int
from keras_ssl.encoders.resnet import _check_ratio
from keras_ssl.encoders.vit import _blocks, _initializers, _positions


def token_decoder(inputs, grid, width=512, depth=8, heads=16, outputs=768, *, mlp_ratio=4, class_token=False,
                  embed=True, name="decoder"):
    """A light vision transformer from the tokens of all patches to a vector for each patch.

    It consists of plain Keras layers: Dense to `width`, fixed positions of sine and cosine, pre-norm blocks, layer
    normalization, Dense to `outputs`.

    Args:
        inputs: int, size of the tokens that come in.
        grid: int or ints `(rows, columns)` of the patches.
        width: int, size of a token inside, a multiple of `heads` and of 4 (512).
        depth: int from 0, number of blocks (8).
        heads: int, heads of the attention (16).
        outputs: int, size of the vectors: `patch * patch * channels` for pixels; None leaves out the last Dense.
        mlp_ratio: number > 0, hidden units of a block's multi-layer perceptron, in widths (4).
        class_token: whether a class token stands before the patches; it has no position, and none comes out for it.
        embed: whether the first Dense is there; without it `inputs` is `width`.
        name: str.

    Returns:
        `keras.Model` from `(batch, rows * columns, inputs)`, one token more with a class token, to
        `(batch, rows * columns, outputs)`, or `width` in place of `outputs`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    decoder = keras_ssl.encoders.token_decoder(192, grid=8, width=96, depth=2, heads=3, outputs=48)
    patches = decoder(np.zeros((2, 64, 192)))  # (2, 64, 48)
    ```
    """
    rows, columns = grid = tuple(grid) if isinstance(grid, (tuple, list)) else (grid, grid)
    check_flags(class_token=class_token, embed=embed)
    check_sizes(inputs, grid, width, depth, heads, outputs)
    if not embed and inputs != width:
        raise ValueError(f"embed=False needs inputs equal to width. Received: inputs={inputs}, width={width}")
    _check_ratio(mlp_ratio)
    draw = _initializers("xavier_fused")
    tokens = x = keras.Input((rows * columns + class_token, inputs), name="tokens")
    if embed:
        x = layers.Dense(width, kernel_initializer=draw["dense"](), name="embed")(x)
    patches = layers.Reshape((rows, columns, width), name="map")(x[:, 1:] if class_token else x)
    patches = _positions(width, "sincos", grid, None, None)(patches)
    x = ops.concatenate([x[:, :1], patches], axis=1) if class_token else patches
    if depth:
        x = _blocks(width, depth, heads, mlp_ratio, 0.0, 0.0, draw)(x)
    else:
        x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = x[:, 1:] if class_token else x
    if outputs is not None:
        x = layers.Dense(outputs, kernel_initializer=draw["dense"](), name="outputs")(x)
    return keras.Model(tokens, x, name=name)


@keras.saving.register_keras_serializable("keras_ssl")
class MaskToken(layers.Layer):
    """One learned vector in place of every hidden token.

    Call arguments:
        tokens: `(batch, patches, width)`, or a map `(batch, rows, columns, width)`.
        mask: bool tensor of that shape without the last axis, True where hidden.

    Args:
        width: int, size of a token.
        stddev: float from 0, of the normal distribution that the vector is drawn from (0.02); 0 for zeros, as in iBOT.
        decays: whether it decays, as in MAE, BEiT and iBOT: it is then a matrix of one row, and the optimizers leave
            vectors out of weight decay. False in SimMIM.
        name: str.

    Returns:
        tensor like `tokens`.

    Example:
        >>> import numpy as np
        >>> MaskToken(3, stddev=0)(np.ones((1, 2, 3)), np.array([[True, False]])).numpy().tolist()
        [[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]
    """

    def __init__(self, width, stddev=0.02, decays=True, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        check_flags(decays=decays)
        self.width, self.stddev, self.decays = width, stddev, decays
        self.build(None)  # a method builds all its parts at once

    def build(self, shape):
        if self.built:
            return
        draw = keras.initializers.RandomNormal(stddev=self.stddev) if self.stddev else "zeros"
        shape = (1, self.width) if self.decays else (self.width,)
        self.token = self.add_weight(shape, initializer=draw, name="token")
        self.built = True

    def call(self, tokens, mask):
        token = ops.reshape(ops.cast(self.token, tokens.dtype), (self.width,))
        return ops.where(ops.expand_dims(mask, -1), token, tokens)

    def compute_output_spec(self, tokens, mask):
        return keras.KerasTensor(tokens.shape, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "stddev": self.stddev, "decays": self.decays}


def patch_grid(encoder):
    """The grid of the patches of a `vit`, and their side.

    Args:
        encoder: `keras.Model` from `vit` or `conv_vit` with a known `input_shape`.

    Returns:
        pair of ints `(rows, columns)`, and the side of a patch in pixels.

    Raises:
        ValueError: the model's images have no fixed size, or it has no patches.

    Example:
    ```python
    keras_ssl.encoders.patch_grid(keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4))  # (8, 8), 4
    ```
    """
    found = [layer for layer in getattr(encoder, "layers", ()) if layer.name in ("patches", "convolutions")]
    if not found:
        raise ValueError(f"The encoder has no layer 'patches', as those of keras_ssl.encoders.vit. Received: {encoder}")
    (height, width), (rows, columns) = encoder.input_shape[1:3], keras.tree.flatten(found[0].output)[0].shape[1:3]
    if None in (height, width):
        raise ValueError(
            "Masks need images of one size: build the encoder with input_shape=(height, width, channels). For other "
            "sizes later, set the weights of one that has them in another. "
            f"Received: an encoder with the input shape {tuple(encoder.input_shape)}"
        )
    return (rows, columns), height // rows


def check_sizes(inputs, grid, width, depth, heads, outputs):
    sizes = {"inputs": inputs, "grid": grid, "width": width, "heads": heads}
    sizes |= {} if outputs is None else {"outputs": outputs}
    for argument, value in sizes.items():
        for size in value if isinstance(value, tuple) else (value,):
            if not is_int(size, 1):
                raise ValueError(f"{argument} must be a positive int. Received: {argument}={value!r}")
    if not is_int(depth, 0):
        raise ValueError(f"depth must be an int from 0. Received: depth={depth}")
    if width % heads or width % 4:
        raise ValueError(f"width must be a multiple of heads and of 4. Received: width={width}, heads={heads}")
