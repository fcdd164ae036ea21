r"""Beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (Higgins et al., 2017).

https://openreview.net/forum?id=Sy2fzU9gl

Objective:
    \mathcal{L} = \operatorname{mean}_n \left[ -\log p(x \mid z) + \frac{\beta}{2} \sum_d \left( \mu_d^2 + \sigma_d^2 -
    \log \sigma_d^2 - 1 \right) \right]
    where all is as in `VAE`, and the divergence weighs $\beta$ times as much.

Take it when single dimensions of the code should stand for single causes, such as place or color.

Leave it when details count: the more the divergence weighs, the fewer of them are kept.
"""

import keras

from keras_ssl import checks
from keras_ssl.methods.generation.vae import VAE


@keras.saving.register_keras_serializable("keras_ssl")
class BetaVAE(VAE):
    """A `VAE` whose code costs more, so that few of its dimensions are in use, each for something of its own.

    Args:
        encoder, augment, dim, width, likelihood, deviation: see `VAE`.
        beta: float from 0, weight of the divergence (4); 1 is `VAE`. It depends on the size of the image and of the
            code: beta * dim / numbers of an image is what to compare.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.BetaVAE(encoder, keras_ssl.augment.simmim(32), dim=64, beta=4.0)
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3))
    """

    bounds = {"beta": checks.numbers(least=0)}

    def __init__(self, encoder, augment=None, *, beta=4.0, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.beta = beta
