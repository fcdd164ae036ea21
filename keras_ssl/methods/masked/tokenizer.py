"""Tokenizer: what BEiT's two tokenizers share, images as maps of discrete tokens and back."""

import keras
from keras import layers, ops

from keras_ssl import checks
from keras_ssl.encoders import pool
from keras_ssl.losses import perplexity, token_share
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


class Tokenizer(Method):
    """Base of the tokenizers: convolutions to a map, a token for each place, convolutions back to pixels.

    It is a method like the others, trained by `fit` on images without labels, saved and loaded. It takes images of any
    size that `stride` divides. `model.predict(images)` gives the pooled map of its own convolutions.

    A subclass implements `objective`, `assign(map)`, the tokens of a map, and `vectors(tokens)`, what the decoder gets
    of them.

    Terms: `error`, of the pixels; `perplexity`, how many tokens are in use, of a running mean of the last steps, to
    be seen as a part of `vocabulary`. A perplexity that stays near 1 is a collapse.

    Args:
        augment: layer from images to one view.
        channels: int, of the images.
        stride: int, a power of 2 from 2, the side in pixels of the square that a token stands for.
        vocabulary: int, number of different tokens (K).
        dim: int, size of a token's vector.
        width: int, channels of the convolutions.
        blocks: int from 0, residual blocks on each side.
        smooth: whether the error is the smooth absolute one (quadratic below 1), instead of the squared one.
        name, dtype: see `Method`.

    Raises:
        ValueError: an argument is out of its range.
    """

    terms = ("error", "perplexity")

    bounds = {
        "channels": checks.ints(),
        "vocabulary": checks.ints(),
        "dim": checks.ints(),
        "width": checks.ints(),
        "blocks": checks.ints(0),
        "smooth": checks.flag(),
    }

    def __init__(
        self, augment, channels, stride, vocabulary, dim, width, blocks, smooth, name=None, dtype=None
    ):  # fmt: skip
        if not isinstance(stride, int) or stride < 2 or stride & (stride - 1):
            raise ValueError(f"stride must be a power of 2, from 2. Received: stride={stride}")
        trunk = encoder_of(channels, stride, width, blocks)
        super().__init__(pool(trunk), augment, name=name, dtype=dtype)
        self.channels, self.stride, self.vocabulary, self.dim = channels, stride, vocabulary, dim
        self.width, self.blocks, self.smooth = width, blocks, smooth
        self.trunk = trunk
        self.decoder = decoder_of(channels, stride, dim, width, blocks)
        self.usage = self.keep("usage", (vocabulary,))

    def tokens(self, images):
        """The tokens of images, each a function of the pixels around its place.

        Args:
            images: `(batch, height, width, channels)` of 0..255, any dtype; `stride` divides height and width.

        Returns:
            int32 tensor `(batch, height / stride, width / stride)`, from 0 to `vocabulary - 1`.
        """
        return ops.cast(self.assign(self.trunk(images, training=False)), "int32")

    def decode(self, tokens):
        """Images of tokens.

        Args:
            tokens: int `(batch, rows, columns)`.

        Returns:
            float32 tensor `(batch, rows * stride, columns * stride, channels)`, 0..255.
        """
        pixels = precise(self.decoder(self.vectors(tokens), training=False))
        return ops.clip((pixels + 1.0) * 127.5, 0.0, 255.0)

    def reconstruct(self, images):
        """What the tokens keep of images: `decode(tokens(images))`.

        Args:
            images: see `tokens`.

        Returns:
            NumPy array of the images' shape, float32 of 0..255.
        """
        return ops.convert_to_numpy(self.decode(self.tokens(images)))

    def assign(self, features):
        raise NotImplementedError(f"{type(self).__name__} must write `assign(features)`, which returns the tokens.")

    def vectors(self, tokens):
        raise NotImplementedError(f"{type(self).__name__} must write `vectors(tokens)`, which the decoder gets.")

    def error(self, prediction, images):
        """The mean over all numbers of the error, of pixels between -1 and 1."""
        difference = precise(prediction) - (precise(images) / 127.5 - 1.0)
        square = ops.square(difference)
        if not self.smooth:
            return ops.mean(square)
        distance = ops.abs(difference)
        return ops.mean(ops.where(distance < 1.0, 0.5 * square, distance - 0.5))

    def count(self, tokens):
        """The running mean of the tokens' shares after this step, and its perplexity, as parts of the outputs."""
        usage = 0.99 * self.usage + 0.01 * token_share(tokens, self.vocabulary)
        return {"usage": usage, "perplexity": perplexity(usage)}  # which is of the shares over their sum

    def after_step(self, outputs):
        self.usage.assign(outputs["usage"])


def encoder_of(channels, stride, width, blocks):
    images = keras.Input((None, None, channels), name="images")
    dtype = keras.backend.result_type(keras.config.dtype_policy().variable_dtype, "float32")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype=dtype, name="preprocessing")(images)
    for i in range(stride.bit_length() - 1):
        x = layers.Conv2D(width, 4, 2, padding="same", activation="relu", name=f"down{i + 1}")(x)
    for i in range(blocks):
        x = residual(x, width, f"block{i + 1}")
    return keras.Model(images, x, name="encoder")


def decoder_of(channels, stride, dim, width, blocks):
    vectors = keras.Input((None, None, dim), name="vectors")
    x = layers.Conv2D(width, 1, name="start")(vectors)
    for i in range(blocks):
        x = residual(x, width, f"block{i + 1}")
    for i in range(stride.bit_length() - 1):
        x = layers.Conv2DTranspose(width, 4, 2, padding="same", activation="relu", name=f"up{i + 1}")(x)
    return keras.Model(vectors, layers.Conv2D(channels, 1, name="pixels")(x), name="decoder")


def residual(x, width, name):
    y = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"{name}_conv1")(x)
    y = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"{name}_conv2")(y)
    return layers.Add(name=f"{name}_sum")([x, layers.Conv2D(width, 1, name=f"{name}_conv3")(y)])
