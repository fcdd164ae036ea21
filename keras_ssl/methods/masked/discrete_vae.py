"""dVAE: the tokenizer of Zero-Shot Text-to-Image Generation (Ramesh et al., 2021), https://arxiv.org/abs/2102.12092.

BEiT (https://arxiv.org/abs/2106.08254) takes its tokens from DALL-E's; this one is trained on the user's images.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.random import split, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import kl_from_uniform
from keras_ssl.losses.vectors import precise
from keras_ssl.methods.masked.tokenizer import Tokenizer
from keras_ssl.teacher import cosine


@keras.saving.register_keras_serializable("keras_ssl")
class DiscreteVAE(Tokenizer):
    """Each place draws a token from its own softmax, softly enough for a gradient, and the drawn ones paint the image.

    `L = error + beta * KL`, the error per number of a pixel and the divergence from a uniform choice per place. Noise
    and temperature act in training alone: `tokens` takes the most likely one. The convolutions are those of the usual
    open implementations, smaller than DALL-E's; DALL-E has another likelihood of the pixels, the logit-Laplace.

    Terms: see `Tokenizer`; and `divergence`, from 0 (each place could be any token) to log K (each is sure).

    Args:
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        channels: int, of the images (3).
        stride: int, a power of 2 from 2, the side in pixels of a token's square (8).
        vocabulary: int, number of different tokens (K, 8192). For a few thousand small images 256 to 1024.
        dim: int, size of a token's vector (512; DALL-E's decoder 128).
        width: int, channels of the convolutions.
        blocks: int from 0, residual blocks of encoder and decoder.
        temperature: float > 0, of the soft choice (tau; 0.9, DALL-E starts at 1).
        end_temperature: float > 0, at `steps` and after it, along half a cosine (DALL-E 1/16); None: the same.
        steps: int, length of the run in optimizer steps; None keeps `temperature`.
        hard: whether the decoder gets single tokens in training too, with the gradient of the soft choice
            (straight-through).
        beta: float from 0, weight of the divergence. DALL-E's 6.6 is for the sum over the places of an image by the
            sum over its pixels: 6.6 / (stride**2 * channels) here.
        smooth: whether the error is the smooth absolute one (quadratic below 1), instead of the squared one.
        name, dtype: see `Method`.

    Raises:
        ValueError: an argument is out of its range.

    Example:

    >>> model = keras_ssl.DiscreteVAE(keras_ssl.augment.mae(32), stride=4, vocabulary=512, width=64)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> model.tokens(np.zeros((2, 32, 32, 3), "uint8")).shape  # after model.fit(images)
    TensorShape([2, 8, 8])
    """

    terms = ("error", "perplexity", "divergence")

    bounds = {
        "temperature": checks.numbers(above=0),
        "end_temperature": checks.numbers(above=0, optional=True),
        "steps": checks.ints(optional=True),
        "hard": checks.flag(),
        "beta": checks.numbers(least=0),
    }

    def __init__(
        self,
        augment=None,
        *,
        channels=3,
        stride=8,
        vocabulary=8192,
        dim=512,
        width=256,
        blocks=1,
        temperature=0.9,
        end_temperature=None,
        steps=None,
        hard=False,
        beta=1e-3,
        smooth=False,
        name=None,
        dtype=None,
    ):
        super().__init__(augment, channels, stride, vocabulary, dim, width, blocks, smooth, name=name, dtype=dtype)
        self.temperature, self.end_temperature, self.steps = temperature, end_temperature, steps
        self.hard, self.beta = hard, beta
        self.logits = keras.layers.Conv2D(vocabulary, 1, name="logits")
        self.logits.build((None, None, None, width))
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.codebook = keras.layers.Dense(dim, use_bias=False, kernel_initializer=normal, name="codebook")
        self.codebook.build((None, None, None, vocabulary))
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        (images,) = views
        logits = precise(self.logits(self.trunk(images, training=True)))  # (batch, rows, columns, vocabulary)
        choice = ops.softmax((logits + self.noise(logits)) / self.current_temperature(), axis=-1)
        if self.hard:
            single = ops.one_hot(ops.argmax(choice, axis=-1), self.vocabulary, dtype=choice.dtype)
            choice = choice + ops.stop_gradient(single - choice)
        prediction = self.decoder(self.codebook(choice), training=True)
        error, divergence = self.error(prediction, images), kl_from_uniform(logits)
        outputs = {"loss": error + self.beta * divergence, "error": error, "divergence": divergence}
        return outputs | self.count(ops.argmax(logits, axis=-1))

    def noise(self, logits):
        """Gumbel noise: with it, the largest logit is a draw from the softmax."""
        count, (rows, columns) = ops.shape(logits)[0], logits.shape[1:3]
        seeds = local_seeds(self.draws, count)  # (batch, 2)
        seeds = ops.reshape(ops.stack(split(seeds, range(rows * columns)), axis=1), (-1, 2))  # of each place
        draws = ops.maximum(uniform(seeds, self.vocabulary), 2.0**-25)
        return ops.reshape(-ops.log(-ops.log(draws)), (-1, rows, columns, self.vocabulary))

    def current_temperature(self):
        if self.end_temperature is None:
            return self.temperature
        return cosine(self.temperature, self.end_temperature, self.step, self.steps)

    def assign(self, features):
        return ops.argmax(self.logits(features), axis=-1)

    def vectors(self, tokens):
        return ops.take(ops.convert_to_tensor(self.codebook.kernel), tokens, axis=0)
