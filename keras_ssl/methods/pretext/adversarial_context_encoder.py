r"""Context encoder with an adversary: Feature Learning by Inpainting (Pathak et al., 2016).

https://arxiv.org/abs/1604.07379

Objective:
    \mathcal{L}_G = 0.999 \, \mathcal{L}_{rec} - 0.001 \operatorname{mean} \log d(\hat{r}) \quad
    \mathcal{L}_d = -\operatorname{mean} \log d(r) - \operatorname{mean} \log \left( 1 - d(\hat{r}) \right)
    where $\mathcal{L}_{rec}$ is the weighted squared error, $r$ is the true region, $\hat{r}$ the one that was made,
    and $d$ says how likely a region is to be true.

Flow:
    image -> region removed -> encoder -> map -> channel-wise dense layer -> decoder -> squared error
    image ~> squared error
    decoder -> discriminator -> is it true
    image ~> discriminator

Take it when the pictures of `ContextEncoder` are too blurred: a squared error alone makes the mean of all that may be.

Leave it when features are what is wanted. The authors trained those without the adversary.
"""

import keras
from keras import layers, ops

from keras_ssl import checks
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import conv_tower
from keras_ssl.losses.vectors import precise
from keras_ssl.methods.pretext.context_encoder import ContextEncoder


@keras.saving.register_keras_serializable("keras_ssl")
class AdversarialContextEncoder(ContextEncoder):
    """A `ContextEncoder` whose regions should look true to a discriminator, which learns to tell them from true ones.

    The discriminator sees what the decoder makes, without what surrounds it, and the same part of the image, each as a
    batch with statistics of its own. With `region="random"` the decoder makes the whole image, and all of it is
    compared: what is visible weighs `band_weight` times as much as the region. Images are from -1 to 1 here, and so is
    what the decoder makes, by a tanh. Both players move at once. It is compiled with an optimizer for each player.

    Terms: `error`, the weighted squared error.

    Args:
        encoder, augment, region, band, band_weight, area, cell, width: see `ContextEncoder`.
        error_weight: float in [0, 1], of the squared error (lambda_rec, 0.999); the adversary's has the rest.
        discriminator_width: int, channels of the discriminator's first convolution (64); they double up to 8 times as
            many.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.AdversarialContextEncoder(encoder, keras_ssl.augment.mae(32))
    >>> rates = {"generator": 2e-3, "discriminator": 2e-4}
    >>> model.compile({name: keras_ssl.optimizers.Adam(rate, beta_1=0.5) for name, rate in rates.items()})
    """

    players = ("generator", "discriminator")
    terms = ("error",)
    bounds = {
        "error_weight": checks.numbers(least=0, most=1),
        "discriminator_width": checks.ints(),
    }
    kernels = keras.initializers.RandomNormal(stddev=0.02)  # as in the authors' code, in both players

    def __init__(self, encoder, augment=None, *, error_weight=0.999, discriminator_width=64, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.error_weight, self.discriminator_width = error_weight, discriminator_width
        self.discriminator = discriminator(self.painter.output_shape[1:], discriminator_width)

    def weights_of(self, player):
        return self.painter.trainable_variables if player == "generator" else self.discriminator.trainable_variables

    def painted(self, images, masks, training=False):
        return ops.tanh(super().painted(images, masks, training))

    def error(self, prediction, images, masks):
        return self.weighted(self.square(prediction, images), masks)

    def scaled(self, images):
        """Images as the decoder makes them: from -1 to 1."""
        return precise(images) / 127.5 - 1.0

    def pixels(self, made):
        return 127.5 * (made + 1.0)

    def objective(self, views):
        (images,) = views
        masks = self.mask(images, local_seeds(self.draws, ops.shape(images)[0]), training=True)
        made = self.painted(images, masks, training=True)
        error = self.error(made, images, masks)
        true = precise(self.discriminator(self.compared(self.scaled(images)), training=True))
        false = precise(self.discriminator(made, training=True))
        generator = self.error_weight * error + (1.0 - self.error_weight) * ops.mean(ops.softplus(-false))
        losses = {
            "generator": generator,
            "discriminator": ops.mean(ops.softplus(-true)) + ops.mean(ops.softplus(false)),
        }
        return {"loss": losses, "error": error}


def discriminator(shape, width):
    """From regions to a logit: large where they look true."""
    tower = conv_tower(shape, width)
    x = layers.Flatten(name="flat")(tower.output)
    draw = AdversarialContextEncoder.kernels.clone()
    return keras.Model(tower.input, layers.Dense(1, kernel_initializer=draw, name="logit")(x), name="discriminator")
