r"""VAE: Auto-Encoding Variational Bayes (Kingma, Welling, 2013).

https://arxiv.org/abs/1312.6114

Objective:
    \mathcal{L} = \operatorname{mean}_n \left[ -\log p(x \mid z) + \frac{1}{2} \sum_d \left( \mu_d^2 + \sigma_d^2 - \log
    \sigma_d^2 - 1 \right) \right]
    where $z = \mu + \sigma \epsilon$ is drawn from the encoder's normal distribution, $\epsilon$ from the standard one,
    and $-\log p(x \mid z)$ is the error of the decoder's image, summed over all its numbers.

Flow:
    image -> encoder -> mean, variance -> draw -> decoder -> log likelihood
    image ~> log likelihood
    mean, variance -> divergence from the standard normal

Take it when the code should be a distribution: one that can be drawn from, and that fills the space evenly.

Leave it when only the features count: what a divergence costs, a plain `Autoencoder` may keep.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.augment.random import normal
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import conv_decoder, image_shape
from keras_ssl.losses import kl_from_normal, plain_pixels, standard_pixels
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method

BOUND = 10.0  # of the logarithm of a variance


@keras.saving.register_keras_serializable("keras_ssl")
class VAE(Method):
    """The encoder says of each image a normal distribution, and the decoder paints the image from a draw of it.

    The loss is the negative lower bound of the log likelihood, but for a constant: the error, summed over the numbers
    of an image and not averaged, plus the divergence from the standard normal distribution. The features that are
    evaluated are the means, `(batch, dim)`: `evaluated_encoder` is the encoder with its linear layer. `encoder` alone
    is what lies below.

    Terms: `error`, the negative log likelihood of an image but for the constant; `divergence`, in nats. A divergence
    near 0 is a collapse: the decoder paints without looking at the code.

    Args:
        encoder: `keras.Model` from images of one size to features `(batch, dim)`.
        augment: layer from images to one view; `keras_ssl.augment.simmim`, a crop and a mirror image.
        dim: int, size of the code (the paper 3 to 200 for digits).
        width: int, channels of the decoder's last transposed convolution, see `keras_ssl.encoders.conv_decoder`.
        likelihood: `"gaussian"`, of standardized pixels, or `"bernoulli"`, of pixels from 0 to 1, for black and white
            images.
        deviation: float > 0, of the Gaussian (sigma, 1). The smaller it is, the more the error weighs.

    Raises:
        ValueError: the encoder takes images of any size.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.VAE(encoder, keras_ssl.augment.simmim(32), dim=64)
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3))
    >>> model.sample(4).shape  # after model.fit(images)
    (4, 32, 32, 3)
    """

    terms = ("error", "divergence")
    view_counts = (1, 1)
    bounds = {
        "dim": checks.ints(),
        "width": checks.ints(),
        "likelihood": checks.choice("gaussian", "bernoulli"),
        "deviation": checks.numbers(above=0),
    }
    beta = 1.0  # weight of the divergence

    def __init__(
        self, encoder, augment=None, *, dim=128, width=32, likelihood="gaussian", deviation=1.0, **kwargs
    ):  # fmt: skip
        super().__init__(encoder, augment, **kwargs)
        self.dim, self.width, self.likelihood, self.deviation = dim, width, likelihood, deviation
        *size, channels = image_shape(encoder)
        inputs = encoder.output_shape[-1]
        self.mean_head = heads.linear(inputs, dim, name="mean")
        self.variance_head = heads.linear(inputs, dim, name="log_variance")
        self.means = heads.attach(encoder, self.mean_head, name="means")
        self.decoder = conv_decoder((dim,), size, channels, width)
        self.draws = keras.random.SeedGenerator()

    @property
    def evaluated_encoder(self):
        return self.means

    def objective(self, views):
        (images,) = views
        mean, log_variance = self.posterior(images, training=True)
        noise = normal(local_seeds(self.draws, ops.shape(images)[0]), self.dim)
        code = mean + ops.exp(0.5 * log_variance) * noise
        error = ops.mean(self.error(precise(self.decoder(code, training=True)), images))
        divergence = ops.mean(kl_from_normal(mean, log_variance))
        return {"loss": error + self.beta * divergence, "error": error, "divergence": divergence}

    def posterior(self, images, training=False):
        """Mean and logarithm of the variance of each image's distribution, float32 `(batch, dim)`."""
        features = self.encoder(images, training=training)
        log_variance = ops.clip(precise(self.variance_head(features)), -BOUND, BOUND)
        return precise(self.mean_head(features)), log_variance

    def error(self, prediction, images):
        """The negative log likelihood of each image, but for a constant: `(batch,)`."""
        if self.likelihood == "bernoulli":
            each = ops.softplus(prediction) - precise(images) / 255.0 * prediction
        else:
            each = 0.5 * ops.square((prediction - standard_pixels(images)) / self.deviation)
        return ops.sum(each, axis=(1, 2, 3))

    def decoded(self, code):
        """Images of codes `(batch, dim)`, float32 of 0..255."""
        found = precise(self.decoder(code, training=False))
        if self.likelihood == "bernoulli":
            return 255.0 * ops.sigmoid(found)
        return ops.clip(plain_pixels(found), 0.0, 255.0)

    def sample(self, count, seed=0):
        """Images of codes that are drawn from the standard normal distribution.

        Args:
            count: int, how many.
            seed: int.

        Returns:
            NumPy array `(count, height, width, channels)`, float32 of 0..255.
        """
        numbers = ops.arange(count, dtype="int32")
        code = normal(ops.stack([numbers, ops.full_like(numbers, seed)], axis=1), self.dim)
        return ops.convert_to_numpy(self.decoded(code))

    def pictures(self, images):
        """Images, what the model makes of their means, and as many that it draws, for `keras_ssl.visualize.pictures`.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.

        Returns:
            dict from titles to NumPy arrays `(batch, height, width, channels)`, 0..255.
        """
        images = ops.convert_to_tensor(images)
        made = ops.convert_to_numpy(self.decoded(self.posterior(images)[0]))
        return {"image": ops.convert_to_numpy(images), "reconstruction": made, "drawn": self.sample(len(made))}
