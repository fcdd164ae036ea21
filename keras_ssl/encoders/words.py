"""Words: a vector for each word or its parts, and the mean of those of a text.

Efficient Estimation of Word Representations in Vector Space (Mikolov et al., 2013), https://arxiv.org/abs/1301.3781,
and Enriching Word Vectors with Subword Information (Bojanowski et al., 2016), https://arxiv.org/abs/1607.04606.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_ssl.checks import check_ints
from keras_ssl.encoders.masked import masked_pool


def word_vectors(vocabulary, dim=100, *, words=None, buckets=100_000, shortest=3, longest=6, name="word_vectors"):
    """A vector for each word; the features of a text are the mean of its words.

    With `words`, as in fastText, the vector of a word is the mean of one of its own and of those of its parts, all
    runs of 3 to 6 letters of "<word>", which words share: see `parts_of_word`. Then a word that was never there has a
    vector too: `keras_ssl.encoders.vectors_of_words`.

    The model takes a dict: `"token_ids"`, int `(batch, length)`, and `"padding_mask"`, bool, True where real.

    Args:
        vocabulary: int, number of different tokens.
        dim: int, size of the vectors (100).
        words: list of str, the words of the last `len(words)` tokens, those before being special ones without parts;
            None for no parts. As `keras_ssl.data.Vocabulary.words`.
        buckets: int, number of vectors that all parts share by their hash (2,000,000 in fastText). A step of an
            optimizer goes over all of them.
        shortest, longest: ints, letters of a part (3, 6). A `longest` of 0 is for no parts.
        name: str, name of the model.

    Returns:
        a functional `keras.Model` to features `(batch, dim)`. Its layer `"words"` makes the vectors
        `(batch, length, dim)`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.word_vectors(1000, dim=50)
    features = encoder({"token_ids": np.zeros((2, 8), "int32"), "padding_mask": np.ones((2, 8), bool)})  # (2, 50)
    ```
    """
    check_ints(vocabulary=vocabulary, dim=dim)
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    real = keras.Input((None,), dtype="bool", name="padding_mask")
    parts = {} if words is None else {"words": words, "buckets": buckets, "shortest": shortest, "longest": longest}
    x = WordEmbedding(vocabulary, dim, **parts, name="words")(tokens)
    return keras.Model({"token_ids": tokens, "padding_mask": real}, masked_pool(x, real, "avg"), name=name)


@keras.saving.register_keras_serializable("keras_ssl")
class WordEmbedding(layers.Layer):
    """A learned vector for each word, or the mean of those of the word and of its parts. See `word_vectors`.

    Args:
        vocabulary, dim, words, buckets, shortest, longest: see `word_vectors`.
        name: str.
    """

    def __init__(self, vocabulary, dim, words=None, buckets=100_000, shortest=3, longest=6, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        check_ints(vocabulary=vocabulary, dim=dim, buckets=buckets, shortest=shortest)
        check_ints(least=0, longest=longest)
        if words is not None and len(words) > vocabulary:
            raise ValueError(f"words must be at most vocabulary={vocabulary}. Received: {len(words)} words")
        self.vocabulary, self.dim, self.buckets = vocabulary, dim, buckets
        self.words = None if words is None else list(words)
        self.shortest, self.longest = shortest, longest
        self.rows = vocabulary + (buckets if words is not None and longest else 0)
        limit = 1 / dim if words is not None else 0.5 / dim  # as in the code of fastText and of word2vec
        self.kernel = self.add_weight(
            (self.rows, dim), keras.initializers.RandomUniform(-limit, limit), name="kernel"
        )
        self.table = self.number_parts() if self.rows > vocabulary else None
        self.built = True

    def number_parts(self):
        """For each token the rows of its vectors, filled up with -1."""
        special = self.vocabulary - len(self.words)
        rows = [[number] for number in range(special)]
        rows += [[special + number, *self.rows_of_parts(word)] for number, word in enumerate(self.words)]
        table = np.full((self.vocabulary, max(map(len, rows))), -1, "int32")
        for number, own in enumerate(rows):
            table[number, : len(own)] = own
        return table

    def rows_of_parts(self, word):
        parts = parts_of_word(word, self.shortest, self.longest)
        return [self.vocabulary + hash_of(part) % self.buckets for part in parts]

    def call(self, tokens):
        # TensorFlow gives the gradient of a lookup as a list of rows, which not every optimizer takes; that of the
        # reshaping, which changes nothing, is dense.
        kernel = ops.reshape(self.kernel, (self.rows, self.dim))
        if self.table is None:
            return ops.take(kernel, tokens, axis=0)
        rows = ops.take(ops.convert_to_tensor(self.table), tokens, axis=0)  # (..., parts)
        there = ops.cast(rows >= 0, kernel.dtype)[..., None]
        total = ops.sum(ops.take(kernel, ops.maximum(rows, 0), axis=0) * there, axis=-2)
        return total / ops.sum(there, axis=-2)

    def compute_output_spec(self, tokens):
        return keras.KerasTensor((*tokens.shape, self.dim), self.compute_dtype)

    def get_config(self):
        config = {"vocabulary": self.vocabulary, "dim": self.dim, "words": self.words, "buckets": self.buckets}
        return {**super().get_config(), **config, "shortest": self.shortest, "longest": self.longest}


def vectors_of_words(encoder, words):
    """The vectors of words, also of such as were never there, by their parts.

    Args:
        encoder: `keras.Model` from `word_vectors` with `words`.
        words: list of str.

    Returns:
        float32 array `(words, dim)`; zeros for a word that is unknown and has no parts.

    Raises:
        ValueError: the encoder knows no words.

    Example:
    ```python
    encoder = keras_ssl.encoders.word_vectors(7, 50, words=["walk", "walked"])
    vectors = keras_ssl.encoders.vectors_of_words(encoder, ["walk", "walking"])  # (2, 50)
    ```
    """
    found = [layer for layer in encoder.layers if isinstance(layer, WordEmbedding) and layer.words is not None]
    if not found:
        raise ValueError(f"The encoder must be a word_vectors with words=. Received: encoder={encoder}")
    layer, kernel = found[0], ops.convert_to_numpy(found[0].kernel)
    special = layer.vocabulary - len(layer.words)
    numbers = {word: special + number for number, word in enumerate(layer.words)}
    vectors = np.zeros((len(words), layer.dim), "float32")
    for vector, word in zip(vectors, words):
        rows = [numbers[word]] if word in numbers else []
        rows += layer.rows_of_parts(word) if layer.longest else []
        if rows:
            vector[:] = kernel[rows].mean(axis=0)
    return vectors


def parts_of_word(word, shortest=3, longest=6):
    """The runs of letters of "<word>", as in fastText: all of so many letters, but for a boundary alone.

    Args:
        word: str.
        shortest, longest: ints, the number of letters, which may be of several bytes.

    Returns:
        list of str.

    Example:
        >>> parts_of_word("her", 3, 4)
        ['<he', '<her', 'her', 'her>', 'er>']
    """
    marked = f"<{word}>"
    found = []
    for start in range(len(marked)):
        for length in range(shortest, min(longest, len(marked) - start) + 1):
            part = marked[start : start + length]
            if part not in ("<", ">"):
                found.append(part)
    return found


def hash_of(text):
    """FNV-1a of 32 bits of the bytes of a text, each with its sign, as in fastText: equal in every process."""
    found = 2166136261
    for byte in text.encode():
        found ^= byte if byte < 128 else byte | 0xFFFFFF00  # a signed byte, widened
        found = found * 16777619 % 2**32
    return found
