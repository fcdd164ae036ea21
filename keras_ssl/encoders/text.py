"""Text: a transformer over tokens, by default CLIP's, and texts as bytes for it.

Learning Transferable Visual Models From Natural Language Supervision (Radford et al., 2021),
https://arxiv.org/abs/2103.00020, section 2.4, and the sizes and starting weights of its authors' code.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_ssl.checks import check_flags, check_ints, check_numbers, choice
from keras_ssl.encoders.masked import masked_pool

START, END = 256, 257  # behind the 256 bytes; the end has the highest number


def text_transformer(vocabulary=49408, length=77, width=512, depth=12, heads=8, *, pooling="end", causal=True,
                     dropout=0.0, name=None):
    """A transformer over tokens; by default CLIP's, of 63 million parameters.

    CLIP's features are what the network makes of the end of the text: of the token with the highest number in a row, as
    in the authors' code. Every token sees those before it only, so what follows the end has no part in them. The
    normalization stands before each part of a block.

    With any other `pooling` the model takes a dict: `"token_ids"`, int, and `"padding_mask"`, bool, True where real.
    Then no token sees padding: the features are those of the text alone, whatever fills it up.

    Args:
        vocabulary: int, number of different tokens; 258 for `byte_tokens`.
        length: int, number of tokens of a text.
        width: int, size of the tokens and of the features; divisible by `heads`.
        depth: int, number of blocks.
        heads: int, number of attention heads.
        pooling: `"end"`: as in CLIP; `"mean"`: the mean of the real tokens; `"first"`: the first token, where each text
            begins with one of its own ([CLS]); None: all tokens, with padding as zeros.
        causal: whether a token sees only itself and those before it. False as in BERT.
        dropout: float in [0, 1), share of the numbers that are set to 0 in training after the embedding and in each
            branch; 0.1 in BERT and SimCSE.
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: int token ids `(batch, length)`, or the dict, to features `(batch, width)`.

    Raises:
        ValueError: where a size is not a positive int, `heads` does not divide `width`, or an argument is unknown.

    Example:
    ```python
    encoder = keras_ssl.encoders.text_transformer(vocabulary=258, length=32, width=64, depth=2, heads=4)
    features = encoder(keras_ssl.encoders.byte_tokens(["a photo of a dog"], 32))  # (1, 64)

    encoder = keras_ssl.encoders.text_transformer(258, 32, 128, 2, 4, pooling="mean", causal=False)
    tokens = keras_ssl.encoders.byte_tokens(["a photo of a dog"], 32)
    features = encoder({"token_ids": tokens, "padding_mask": tokens > 0})  # (1, 128)
    ```
    """
    check_ints(vocabulary=vocabulary, length=length, width=width, depth=depth, heads=heads)
    check_flags(causal=causal)
    choice("end", "mean", "first", None)("pooling", pooling)
    check_numbers(least=0, below=1, dropout=dropout)
    if width % heads:
        raise ValueError(f"heads must divide width. Received: heads={heads}, width={width}")

    inner, outer, wide = width**-0.5, width**-0.5 * (2 * depth) ** -0.5, (2 * width) ** -0.5
    inputs = tokens = keras.Input((length,), dtype="int32", name="tokens" if pooling == "end" else "token_ids")
    real = None
    if pooling != "end":
        real = keras.Input((length,), dtype="bool", name="padding_mask")
        inputs = {"token_ids": tokens, "padding_mask": real}

    def drop(x, name):
        return layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x

    x = drop(TokenEmbedding(vocabulary, length, width, name="embedding")(tokens), "embedding")  # (batch, length, width)
    for i in range(depth):
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block{i + 1}_norm1")(x)
        y = dense(3 * width, inner, f"block{i + 1}_query_key_value")(y)
        y = ops.reshape(y, (-1, length, 3, heads, width // heads))
        # The softmax is float32 also in half precision.
        seen = {} if real is None else {"mask": real[:, None, None, :]}
        y = ops.dot_product_attention(y[:, :, 0], y[:, :, 1], y[:, :, 2], is_causal=causal, **seen)
        y = dense(width, outer, f"block{i + 1}_output")(ops.reshape(y, (-1, length, width)))
        x = x + drop(y, f"block{i + 1}_output")
        y = layers.LayerNormalization(epsilon=1e-5, name=f"block{i + 1}_norm2")(x)
        y = dense(4 * width, wide, f"block{i + 1}_mlp1")(y)
        y = y * ops.sigmoid(1.702 * y)  # "QuickGELU"
        x = x + drop(dense(width, outer, f"block{i + 1}_mlp2")(y), f"block{i + 1}_mlp2")
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    if pooling == "end":
        end = ops.one_hot(ops.argmax(tokens, axis=-1), length, dtype=x.dtype)  # (batch, length)
        x = ops.sum(x * end[:, :, None], axis=1)
    elif pooling == "first":
        x = x[:, 0]
    elif pooling == "mean":
        x = masked_pool(x, real, "avg")
    else:
        x = ops.where(real[:, :, None], x, ops.zeros_like(x))
    return keras.Model(inputs, x, name=name or "text_transformer")


def byte_tokens(texts, length=77):
    """Texts as their bytes in UTF-8, between a start (256) and an end (257), filled up with zeros.

    Args:
        texts: list of str.
        length: int, number of tokens of a text; what is longer is cut, and keeps its end.

    Returns:
        int32 array `(texts, length)` of 258 different tokens.

    Example:
    >>> byte_tokens(["ab"], length=6)
    array([[256,  97,  98, 257,   0,   0]], dtype=int32)
    """
    if not isinstance(length, int) or length < 2:
        raise ValueError(f"length must be an int of at least 2, for start and end. Received: length={length!r}")
    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of str. Received: texts={texts!r}")
    tokens = np.zeros((len(texts), length), "int32")
    for row, text in zip(tokens, texts):
        numbers = [START, *text.encode()[: length - 2], END]
        row[: len(numbers)] = numbers
    return tokens


@keras.saving.register_keras_serializable("keras_ssl")
class TokenEmbedding(layers.Layer):
    """A learned vector for each token plus one for each position.

    Args:
        vocabulary: int, number of different tokens.
        length: int, number of positions.
        width: int, size of the vectors.
        name: str.
    """

    def __init__(self, vocabulary, length, width, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.vocabulary, self.length, self.width = vocabulary, length, width
        self.tokens = self.add_weight(shape=(vocabulary, width), initializer=normal(0.02), name="tokens")
        self.positions = self.add_weight(shape=(length, width), initializer=normal(0.01), name="positions")
        self.built = True

    def call(self, tokens):
        # TensorFlow gives the gradient of a lookup as a list of rows, which not every optimizer takes; that of the
        # reshaping, which changes nothing, is dense.
        table = ops.reshape(self.tokens, (self.vocabulary, self.width))
        return ops.take(table, tokens, axis=0) + self.positions

    def compute_output_shape(self, shape):
        return (*shape, self.width)

    def get_config(self):
        return {**super().get_config(), "vocabulary": self.vocabulary, "length": self.length, "width": self.width}


def dense(units, deviation, name):
    return layers.Dense(units, kernel_initializer=normal(deviation), name=name)


def normal(deviation):
    return keras.initializers.RandomNormal(stddev=deviation)
