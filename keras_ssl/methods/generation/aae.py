r"""AAE: Adversarial Autoencoders (Makhzani, Shlens, Jaitly, Goodfellow, Frey, 2015).

https://arxiv.org/abs/1511.05644

Objective:
    \mathcal{L}_{E, D} = \operatorname{mean}_i \left( x_i - D(E(x))_i \right)^2 - \lambda \operatorname{mean} \log
    c(E(x)) \quad
    \mathcal{L}_c = -\operatorname{mean} \log c(z) - \operatorname{mean} \log \left( 1 - c(E(x)) \right)
    where $z$ is drawn from the standard normal distribution, $c$ says how likely a code is to be drawn from it, and
    $x_i$ are the standardized numbers of the image.

Flow:
    image -> encoder -> code -> decoder -> squared error
    image ~> squared error
    code -> discriminator
    normal draw -> discriminator

Take it when codes should be distributed as something that can be drawn from, and the decoder should see them exactly.

Leave it when there is no time to watch two players: `VAE` asks for the same with one loss.
"""

import keras
from keras import layers, ops

from keras_ssl import checks, heads
from keras_ssl.augment.random import normal
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import conv_decoder, image_shape
from keras_ssl.losses import plain_pixels, standard_pixels
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class AAE(Method):
    """An autoencoder whose codes a discriminator compares with draws from the standard normal distribution.

    The encoder should deceive the discriminator, so that the codes of all images together look like draws. Codes and
    draws go through the discriminator each as a batch of their own. The paper moves the encoder twice in a step, for
    the error and against the discriminator, by an optimizer each; here both are parts of one loss, and all weights move
    at once. It is compiled with an optimizer for each player. The features that are evaluated are the codes,
    `(batch, dim)`: `evaluated_encoder` is the encoder with its linear layer.

    Terms: `error`, the mean squared error of the standardized numbers.

    Args:
        encoder: `keras.Model` from images of one size to features `(batch, dim)`.
        augment: layer from images to one view; `keras_ssl.augment.simmim`, a crop and a mirror image.
        dim: int, size of the code.
        width: int, channels of the decoder's last transposed convolution, see `keras_ssl.encoders.conv_decoder`.
        hidden: int, units of both hidden layers of the discriminator (1000).
        weight: float from 0, of the adversary in the autoencoder's loss (lambda, 1). With 0 it is an autoencoder with a
            linear code.

    Raises:
        ValueError: the encoder takes images of any size.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.AAE(encoder, keras_ssl.augment.simmim(32), dim=64)
    >>> model.compile({player: keras_ssl.optimizers.Adam(1e-3, beta_1=0.5) for player in model.players})
    """

    players = ("autoencoder", "discriminator")
    terms = ("error",)
    view_counts = (1, 1)
    bounds = {
        "dim": checks.ints(),
        "width": checks.ints(),
        "hidden": checks.ints(),
        "weight": checks.numbers(least=0),
    }

    def __init__(self, encoder, augment=None, *, dim=64, width=32, hidden=1000, weight=1.0, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.dim, self.width, self.hidden, self.weight = dim, width, hidden, weight
        *size, channels = image_shape(encoder)
        self.coder = heads.attach(encoder, heads.linear(encoder.output_shape[-1], dim, name="code"), name="coder")
        self.decoder = conv_decoder((dim,), size, channels, width)
        dense = [layer for _ in range(2) for layer in (layers.Dense(hidden), layers.LeakyReLU(0.2))]
        self.discriminator = keras.Sequential([keras.Input((dim,)), *dense, layers.Dense(1)], name="discriminator")
        self.draws = keras.random.SeedGenerator()

    @property
    def evaluated_encoder(self):
        return self.coder

    def weights_of(self, player):
        if player == "discriminator":
            return self.discriminator.trainable_variables
        return [*self.coder.trainable_variables, *self.decoder.trainable_variables]

    def objective(self, views):
        (images,) = views
        code = precise(self.coder(images, training=True))
        drawn = normal(local_seeds(self.draws, ops.shape(images)[0]), self.dim)
        error = ops.mean(ops.square(precise(self.decoder(code, training=True)) - standard_pixels(images)))
        of_drawn = precise(self.discriminator(drawn, training=True))
        of_code = precise(self.discriminator(code, training=True))
        losses = {
            "autoencoder": error + self.weight * ops.mean(ops.softplus(-of_code)),
            "discriminator": ops.mean(ops.softplus(-of_drawn)) + ops.mean(ops.softplus(of_code)),
        }
        return {"loss": losses, "error": error}

    def decoded(self, code):
        """Images of codes `(batch, dim)`, float32 of 0..255."""
        return ops.clip(plain_pixels(self.decoder(code, training=False)), 0.0, 255.0)

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
        """Images, what the model makes of their codes, and as many that it draws, for `keras_ssl.visualize.pictures`.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.

        Returns:
            dict from titles to NumPy arrays `(batch, height, width, channels)`, 0..255.
        """
        images = ops.convert_to_tensor(images)
        made = ops.convert_to_numpy(self.decoded(self.coder(images, training=False)))
        return {"image": ops.convert_to_numpy(images), "reconstruction": made, "drawn": self.sample(len(made))}
