"""Text: a transformer over tokens, by default CLIP's, and texts as bytes for it.

Learning Transferable Visual Models From Natural Language Supervision (Radford et al., 2021),
https://arxiv.org/abs/2103.00020, section 2.4, and the sizes and starting weights of its authors' code.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_ssl import inputs as kinds
from keras_ssl.checks import check_flags, check_ints, check_numbers, choice
from keras_ssl.encoders.masked import masked_pool

START, END = 256, 257  # behind the 256 bytes; the end has the highest number


def text_transformer(vocabulary=49408, length=77, width=512, depth=12, heads=8, *, pooling="end", causal=True,
                     dropout=0.0, segments=None, bert=False, name=None):
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
            branch, not on the attention's weights; 0.1 in BERT and SimCSE.
        segments: int, into how many segments a text may be parted, each with a vector that is added to its tokens; the
            dict then has the column `"segment_ids"` too. None for no segments.
        bert: whether the blocks are BERT's: normalization behind each part of a block and behind the embedding, GELU,
            and starting weights with a deviation of 0.02, cut at two deviations.
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
    check_flags(causal=causal, bert=bert)
    check_ints(optional=True, segments=segments)
    choice("end", "mean", "first", None)("pooling", pooling)
    check_numbers(least=0, below=1, dropout=dropout)
    if width % heads:
        raise ValueError(f"heads must divide width. Received: heads={heads}, width={width}")
    if pooling == "end" and segments is not None:
        raise ValueError(f"segments go with another pooling than 'end'. Received: segments={segments}")

    inner, outer, wide = width**-0.5, width**-0.5 * (2 * depth) ** -0.5, (2 * width) ** -0.5
    inputs = tokens = keras.Input((length,), dtype="int32", name="tokens" if pooling == "end" else "token_ids")
    real = None
    if pooling != "end":
        real = keras.Input((length,), dtype="bool", name="padding_mask")
        inputs = {"token_ids": tokens, "padding_mask": real}
    if segments is not None:
        inputs["segment_ids"] = keras.Input((length,), dtype="int32", name="segment_ids")

    def drop(x, name):
        return layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x

    def norm(x, name):
        return layers.LayerNormalization(epsilon=1e-12 if bert else 1e-5, name=name)(x)

    def linear(units, deviation, name):
        return dense(units, cut_normal() if bert else normal(deviation), name)

    x = TokenEmbedding(vocabulary, length, width, cut=bert, name="embedding")(tokens)  # (batch, length, width)
    if segments is not None:
        x = x + SegmentEmbedding(segments, width, name="segments")(inputs["segment_ids"])
    x = drop(norm(x, "embedding_norm") if bert else x, "embedding")
    for i in range(depth):
        y = x if bert else norm(x, f"block{i + 1}_norm1")
        y = linear(3 * width, inner, f"block{i + 1}_query_key_value")(y)
        y = ops.reshape(y, (-1, length, 3, heads, width // heads))
        # The softmax is float32 also in half precision.
        seen = {} if real is None else {"mask": real[:, None, None, :]}
        y = ops.dot_product_attention(y[:, :, 0], y[:, :, 1], y[:, :, 2], is_causal=causal, **seen)
        y = linear(width, outer, f"block{i + 1}_output")(ops.reshape(y, (-1, length, width)))
        x = x + drop(y, f"block{i + 1}_output")
        x = norm(x, f"block{i + 1}_norm1") if bert else x
        y = x if bert else norm(x, f"block{i + 1}_norm2")
        y = linear(4 * width, wide, f"block{i + 1}_mlp1")(y)
        y = ops.gelu(y, approximate=False) if bert else y * ops.sigmoid(1.702 * y)  # "QuickGELU"
        x = x + drop(linear(width, outer, f"block{i + 1}_mlp2")(y), f"block{i + 1}_mlp2")
        x = norm(x, "norm" if i + 1 == depth else f"block{i + 1}_norm2") if bert else x
    x = x if bert else norm(x, "norm")
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


def text_tokens(encoder):
    """The tokens of a `text_transformer` beside its features, for methods that predict tokens.

    Args:
        encoder: `keras.Model` from `text_transformer`, or a copy of one, or one loaded from a file, with the pooling
            `"mean"` or `"first"`.

    Returns:
        `keras.Model` of the same weights, from the dict that the encoder takes to two tensors: the normalized tokens
        `(batch, length, width)`, those of padding being anything, and the features `(batch, width)`.

    Raises:
        ValueError: the model is no such transformer.

    Example:
    ```python
    encoder = keras_ssl.encoders.text_transformer(258, 32, 64, 2, 4, pooling="mean")
    tokens, features = keras_ssl.encoders.text_tokens(encoder)(columns)
    ```
    """
    taken, names = kinds.input_tensors(encoder), {layer.name for layer in getattr(encoder, "layers", ())}
    if not taken or "padding_mask" not in taken or not {"embedding", "norm"} <= names or len(encoder.output_shape) != 2:
        raise ValueError(
            "text_tokens needs a text_transformer of keras_ssl.encoders with pooling='mean' or 'first'. Received: "
            f"encoder={encoder}"
        )
    return keras.Model(taken, (encoder.get_layer("norm").output, encoder.output), name=f"{encoder.name}_tokens")


def is_causal(encoder):
    """Whether no token of a transformer sees one behind it."""
    found = [operation.is_causal for operation in encoder.operations if hasattr(operation, "is_causal")]
    return bool(found) and all(found)


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
        cut: whether the weights start as in BERT, not as in CLIP.
        name: str.
    """

    def __init__(self, vocabulary, length, width, cut=False, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.vocabulary, self.length, self.width, self.cut = vocabulary, length, width, cut
        tokens, positions = (cut_normal(), cut_normal()) if cut else (normal(0.02), normal(0.01))
        self.tokens = self.add_weight(shape=(vocabulary, width), initializer=tokens, name="tokens")
        self.positions = self.add_weight(shape=(length, width), initializer=positions, name="positions")
        self.built = True

    def call(self, tokens):
        # TensorFlow gives the gradient of a lookup as a list of rows, which not every optimizer takes; that of the
        # reshaping, which changes nothing, is dense.
        table = ops.reshape(self.tokens, (self.vocabulary, self.width))
        return ops.take(table, tokens, axis=0) + self.positions

    def compute_output_shape(self, shape):
        return (*shape, self.width)

    def get_config(self):
        own = {"vocabulary": self.vocabulary, "length": self.length, "width": self.width, "cut": self.cut}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("keras_ssl")
class SegmentEmbedding(layers.Layer):
    """A learned vector for each segment of a text.

    Args:
        segments: int, number of segments.
        width: int, size of the vectors.
        name: str.
    """

    def __init__(self, segments, width, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.segments, self.width = segments, width
        self.vectors = self.add_weight(shape=(segments, width), initializer=cut_normal(), name="vectors")
        self.built = True

    def call(self, segment_ids):
        return ops.matmul(ops.one_hot(segment_ids, self.segments, dtype=self.compute_dtype), self.vectors)

    def compute_output_shape(self, shape):
        return (*shape, self.width)

    def get_config(self):
        return {**super().get_config(), "segments": self.segments, "width": self.width}


def dense(units, initializer, name):
    return layers.Dense(units, kernel_initializer=initializer, name=name)


def normal(deviation):
    return keras.initializers.RandomNormal(stddev=deviation)


def cut_normal():
    return keras.initializers.TruncatedNormal(stddev=0.02)
