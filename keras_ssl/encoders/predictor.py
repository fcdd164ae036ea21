"""Predictor: from the tokens of the patches that are seen to those of patches that are asked for, by their places.

As in I-JEPA: Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture (Assran et al., 2023),
https://arxiv.org/abs/2301.08243
"""

import keras
from keras import initializers, layers, ops

from keras_ssl.encoders.decoder import check_sizes
from keras_ssl.encoders.vit import _blocks, _grid, _initializers, _positions


@keras.saving.register_keras_serializable("keras_ssl")
class TokenPredictor(layers.Layer):
    """A narrow vision transformer that is asked for the tokens of patches, of which it is told the places only.

    A Dense makes the tokens narrow, and each gets the position of its patch. For every patch that is asked for stands
    one learned vector with the position of that patch. After pre-norm blocks and layer normalization, a Dense makes
    these as wide as they are to be. Patches of one block see each other and the context; blocks are predicted apart,
    each as if it were the only one.

    Call arguments:
        tokens: `(batch, seen, inputs)`, of the context.
        context: int32 `(batch, seen)`, the places of these patches in the grid, counted row by row.
        asked: int32 `(batch, blocks, count)`, the places of the patches that are asked for.

    Args:
        inputs: int, size of the tokens that come in.
        grid: int or ints `(rows, columns)` of the patches.
        width: int, size of a token inside, a multiple of 4 and of `heads` (384).
        depth: int from 0, number of blocks of the transformer (6).
        heads: int, heads of the attention (12).
        outputs: int, size of the tokens that come out; None for `inputs`.
        name: str.

    Returns:
        tensor `(batch, blocks, count, outputs)`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> predictor = TokenPredictor(192, grid=8, width=96, depth=2, heads=3)
        >>> context, asked = np.array([[0, 1, 2]]), np.array([[[10, 11], [20, 21]]])
        >>> predictor(np.zeros((1, 3, 192)), context, asked).shape
        TensorShape([1, 2, 2, 192])
    """

    def __init__(self, inputs, grid, width=384, depth=6, heads=12, outputs=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        grid = _grid(grid, (0, 0), None)
        check_sizes(inputs, grid, width, depth, heads, outputs)
        self.inputs, self.grid, self.width, self.depth, self.heads = inputs, grid, width, depth, heads
        self.outputs = outputs
        draw = _initializers("truncated_normal")
        self.embed = layers.Dense(width, kernel_initializer=draw["dense"](), name="embed")
        self.positions = _positions(width, "sincos", grid, None, None)
        self.transformer = _blocks(width, depth, heads, 4, 0.0, 0.0, draw)
        self.project = layers.Dense(outputs or inputs, kernel_initializer=draw["dense"](), name="project")
        self.build(None)  # a method builds all its parts at once

    def build(self, tokens_shape, context_shape=None, asked_shape=None):
        if self.built:
            return
        self.embed.build((None, None, self.inputs))
        self.project.build((None, None, self.width))
        draw = initializers.RandomNormal(stddev=0.02)
        self.token = self.add_weight((1, self.width), draw, name="mask_token")  # a matrix, so that it decays
        self.built = True

    def call(self, tokens, context, asked, training=False):
        blocks, count = asked.shape[1:]
        places = self.positions(ops.zeros((1, *self.grid, self.width)))[0]  # (patches, width)
        seen = self.embed(tokens)
        seen = seen + ops.take(ops.cast(places, seen.dtype), context, axis=0)
        asked = ops.take(ops.cast(places, seen.dtype), ops.reshape(asked, (-1, count)), axis=0)
        asked = asked + ops.cast(self.token, seen.dtype)  # (batch * blocks, count, width)
        together = ops.concatenate([ops.repeat(seen, blocks, axis=0), asked], axis=1)
        found = self.transformer(together, training=training)[:, seen.shape[1] :]
        return ops.reshape(self.project(found), (-1, blocks, count, self.outputs or self.inputs))

    def get_config(self):
        config = {"inputs": self.inputs, "grid": self.grid, "width": self.width, "depth": self.depth}
        return {**super().get_config(), **config, "heads": self.heads, "outputs": self.outputs}
