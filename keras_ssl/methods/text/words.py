"""Words: what the methods that learn vectors of words share: the windows, and the words that are drawn by chance."""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.random import fold, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders.words import WordEmbedding
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


class WordMethod(Method):
    """Base of the methods of vectors of words: two tables, one of the words that look and one of those looked for.

    The output table starts at 0, as in the code of word2vec. Each place of a text is a center, with a window of its
    own, of 1 to `window` words on each side, all equally likely. Tokens with a count of 0, as of unknown words, are no
    part of any pair.

    Args:
        encoder: `keras_ssl.encoders.word_vectors`, whose layer `"words"` is the input table.
        augment: layer from texts to one view; `keras_ssl.augment.SubsampleTokens`.
        counts: list of numbers, how often each token is there; tokens are drawn in proportion to `count ** power`.
        window: int, the largest number of words on each side.
        negatives: int, words drawn for each pair.
        power: float from 0.
    """

    view_counts = (1, 1)

    bounds = {
        "window": checks.ints(),
        "negatives": checks.ints(),
        "power": checks.numbers(least=0),
    }

    def __init__(self, encoder, augment=None, *, counts, window=5, negatives=5, power=0.75, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        layer = next((layer for layer in encoder.layers if isinstance(layer, WordEmbedding)), None)
        if layer is None:
            raise ValueError(
                f"{type(self).__name__} needs a word_vectors of keras_ssl.encoders, whose vectors of words it trains. "
                f"Received: encoder={encoder}"
            )
        self.counts = checks.number_list("counts", counts)
        self.window, self.negatives, self.power = window, negatives, power
        self.share = shares(self.counts, power, layer.vocabulary)
        self.words = layer
        shape = (layer.vocabulary, layer.dim)
        self.output_vectors = self.add_weight(shape, "zeros", autocast=False, name="output_vectors")
        self.draws = keras.random.SeedGenerator()

    def texts(self, view):
        """The tokens of a view, int32, and which of them are real and were ever there."""
        tokens, known = ops.cast(view["token_ids"], "int32"), np.array(self.counts) > 0
        return tokens, ops.logical_and(view["padding_mask"], ops.take(ops.convert_to_tensor(known), tokens, axis=0))

    def draw(self, tokens, pairs):
        """How far each center looks, int `(batch, length)`, and the drawn tokens, `(batch, length, pairs, k)`."""
        rows, length = ops.shape(tokens)
        seeds = local_seeds(self.draws, rows)
        reach = 1 + ops.cast(ops.floor(uniform(seeds, length) * self.window), "int32")
        drawn = uniform(fold(seeds, 0), length * pairs * self.negatives)
        found = ops.searchsorted(ops.convert_to_tensor(self.share), ops.reshape(drawn, (-1,)), side="right")
        return reach, ops.reshape(ops.cast(found, "int32"), (rows, length, pairs, self.negatives))

    def scored(self, vectors, tokens):
        """The scores of vectors `(batch, ..., dim)` with tokens `(batch, ...)`, or with several for each."""
        table = ops.reshape(ops.convert_to_tensor(self.output_vectors), self.output_vectors.shape)
        vectors, found = precise(vectors), precise(ops.take(table, tokens, axis=0))
        vectors = vectors[..., None, :] if len(found.shape) > len(vectors.shape) else vectors
        return ops.sum(vectors * found, axis=-1)


def shares(counts, power, vocabulary):
    """The upper ends of the tokens' shares of the numbers from 0 to 1, float32 `(vocabulary,)`."""
    weights = np.array(counts, "float64")
    if weights.shape != (vocabulary,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(
            f"counts must be numbers from 0, one for each of the {vocabulary} tokens of the encoder, not all 0: "
            f"Vocabulary.token_counts() of keras_ssl.data. Received: {len(counts)} numbers"
        )
    weights = np.where(weights > 0, weights**power, 0)  # what was never there is not drawn, whatever the power
    ends = np.cumsum(weights) / weights.sum()
    ends[np.flatnonzero(weights)[-1] :] = 2.0  # rounding must not leave a number that is nobody's
    return ends.astype("float32")


def neighbors(x, window):
    """For each place those before and behind it, from left to right: `(batch, length, 2 * window, ...)`.

    What would lie outside of the text is 0.
    """
    length = ops.shape(x)[1]
    padded = ops.pad(x, [(0, 0), (window, window)] + [(0, 0)] * (len(x.shape) - 2))
    offsets = [*range(window), *range(window + 1, 2 * window + 1)]
    return ops.stack([padded[:, offset : offset + length] for offset in offsets], axis=2)


def distances(window):
    """How far these are from the center: int32 `(2 * window,)`."""
    return np.abs([*range(-window, 0), *range(1, window + 1)]).astype("int32")


def within(mask, reach, window):
    """Which of the neighbors are real and within the reach of a real center: bool `(batch, length, 2 * window)`."""
    near = ops.convert_to_tensor(distances(window)) <= reach[:, :, None]
    there = ops.cast(neighbors(ops.cast(mask, "int32"), window), "bool")
    return ops.logical_and(ops.logical_and(near, there), mask[:, :, None])
