r"""BiGAN: Adversarial Feature Learning (Donahue, Krahenbuhl, Darrell, 2016).

https://arxiv.org/abs/1605.09782

Objective:
    \mathcal{L}_d = -\operatorname{mean} \log d(x, E(x)) - \operatorname{mean} \log \left( 1 - d(G(z), z) \right) \quad
    \mathcal{L}_{E, G} = -\operatorname{mean} \log \left( 1 - d(x, E(x)) \right) - \operatorname{mean} \log d(G(z), z)
    where $E$ makes a code of an image, $G$ an image of a code that was drawn, and $d$ says how likely a pair of the two
    begins with a true image.

Flow:
    image -> encoder -> code -> discriminator
    image -> discriminator
    drawn code -> generator -> made image -> discriminator
    drawn code -> discriminator

Take it when features should come from a generator that knows the images, without an error of single pixels.

Leave it when there is no time to watch two players: a reconstruction is simpler, and on small images no worse.
"""

import keras
from keras import layers, ops

from keras_ssl import checks, heads
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import conv_decoder, conv_tower, image_shape
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class BiGAN(Method):
    """A generator makes images of codes, an encoder codes of images, and a discriminator tells their pairs apart.

    A pair is an image with its code. To make both kinds alike the encoder has to undo the generator, although nothing
    compares an image with its reconstruction. Both kinds of codes lie between -1 and 1, or their range alone would tell
    them apart. Encoder and generator are one player, with the discriminator's labels swapped; both players move at
    once. True and made pairs go through the discriminator each as a batch with statistics of its own; it takes the code
    in after its convolutions, where the authors' does so in each of them. It is compiled with an optimizer for each
    player. The features that are evaluated are those of `encoder`, below the code.

    Args:
        encoder: `keras.Model` from images of one size to features `(batch, dim)`.
        augment: layer from images to one view; `keras_ssl.augment.mae`, a crop and a mirror image.
        dim: int, size of the code (200), whose numbers are drawn evenly from -1 to 1.
        width: int, channels of the generator's last transposed convolution, see `keras_ssl.encoders.conv_decoder`.
        discriminator_width: int, channels of the discriminator's first convolution, see
            `keras_ssl.encoders.conv_tower`.
        hidden: int, units of the discriminator's dense layers, one of the code and one of both.

    Raises:
        ValueError: the encoder takes images of any size.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.BiGAN(encoder, keras_ssl.augment.mae(32), dim=64)
    >>> model.compile({player: keras_ssl.optimizers.Adam(2e-4, beta_1=0.5) for player in model.players})
    """

    players = ("generator", "discriminator")
    view_counts = (1, 1)
    bounds = {
        "dim": checks.ints(),
        "width": checks.ints(),
        "discriminator_width": checks.ints(),
        "hidden": checks.ints(),
    }

    def __init__(self, encoder, augment=None, *, dim=200, width=64, discriminator_width=64, hidden=512, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.dim, self.width, self.discriminator_width, self.hidden = dim, width, discriminator_width, hidden
        shape = image_shape(encoder)
        code = heads.linear(encoder.output_shape[-1], dim, bias=False, name="code")
        self.coder = heads.attach(encoder, code, name="coder")
        draw = keras.initializers.RandomNormal(stddev=0.02)
        self.generator = conv_decoder((dim,), shape[:2], shape[-1], width, initializer=draw, name="generator")
        self.discriminator = discriminator(shape, dim, discriminator_width, hidden)
        self.draws = keras.random.SeedGenerator()

    def weights_of(self, player):
        if player == "discriminator":
            return self.discriminator.trainable_variables
        return [*self.coder.trainable_variables, *self.generator.trainable_variables]

    def objective(self, views):
        (images,) = views
        code = 2.0 * uniform(local_seeds(self.draws, ops.shape(images)[0]), self.dim) - 1.0
        made, true = self.made(code, training=True), precise(images) / 127.5 - 1.0
        of_true = precise(self.discriminator([true, self.codes(images, training=True)], training=True))
        of_made = precise(self.discriminator([made, code], training=True))
        mean = lambda x: ops.mean(ops.softplus(x))  # noqa: E731
        losses = {"generator": mean(of_true) + mean(-of_made), "discriminator": mean(-of_true) + mean(of_made)}
        return {"loss": losses}

    def codes(self, images, training=False):
        """Codes of images, from -1 to 1: a sigmoid, stretched."""
        return ops.tanh(0.5 * precise(self.coder(images, training=training)))

    def made(self, code, training=False):
        """Images of codes, from -1 to 1."""
        return ops.tanh(precise(self.generator(code, training=training)))

    def sample(self, count, seed=0):
        """Images of codes that are drawn.

        Args:
            count: int, how many.
            seed: int.

        Returns:
            NumPy array `(count, height, width, channels)`, float32 of 0..255.
        """
        numbers = ops.arange(count, dtype="int32")
        code = 2.0 * uniform(ops.stack([numbers, ops.full_like(numbers, seed)], axis=1), self.dim) - 1.0
        return ops.convert_to_numpy((self.made(code) + 1.0) * 127.5)

    def pictures(self, images):
        """Images, what the generator makes of their codes, and others, for `keras_ssl.visualize.pictures`.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.

        Returns:
            dict from titles to NumPy arrays `(batch, height, width, channels)`, 0..255.
        """
        images = ops.convert_to_tensor(images)
        made = ops.convert_to_numpy((self.made(self.codes(images)) + 1.0) * 127.5)
        return {"image": ops.convert_to_numpy(images), "reconstruction": made, "drawn": self.sample(len(made))}


def discriminator(shape, dim, width, hidden):
    """From images and codes to a logit: large where the pair begins with a true image."""
    tower, code = conv_tower(shape, width), keras.Input((dim,), name="code")
    draw = lambda: keras.initializers.RandomNormal(stddev=0.02)  # noqa: E731

    def dense(x, units, name):
        return layers.LeakyReLU(0.2)(layers.Dense(units, kernel_initializer=draw(), name=name)(x))

    both = layers.Concatenate(name="pair")([layers.Flatten(name="flat")(tower.output), dense(code, hidden, "of_code")])
    logit = layers.Dense(1, kernel_initializer=draw(), name="logit")(dense(both, hidden, "of_pair"))
    return keras.Model([tower.input, code], logit, name="discriminator")
