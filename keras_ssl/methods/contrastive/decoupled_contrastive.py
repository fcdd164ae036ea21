r"""DCL: Decoupled Contrastive Learning (Yeh, Hong, Hsu, Liu, Chen, LeCun, 2021).

https://arxiv.org/abs/2110.06848

Objective:
    \mathcal{L} = \frac{1}{2N} \sum_{i=1}^{2N} \left( -w_i \frac{z_i \cdot z_p}{\tau} + \log \sum_{n} \exp(z_i \cdot
    z_n / \tau) \right)
    where $p$ is the other view of the image of $i$, $n$ runs over the views of other images, and $w_i$ is 1 unless
    `weighted`.

Flow:
    view 1 -> encoder -> projector -> decoupled contrast
    view 2 -> encoder

Take it when SimCLR is wanted with batches of 32 to 256.

Leave it when batches are in the thousands: there it is SimCLR.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.inputs import together
from keras_ssl.losses import decoupled
from keras_ssl.methods.contrastive.simclr import SimCLR


@keras.saving.register_keras_serializable("keras_ssl")
class DecoupledContrastive(SimCLR):
    """SimCLR without the positive in the denominator: a small batch then learns nearly as well, its paper says.

    The loss is the mean over all views, as that of `SimCLR`; the authors add the means of the two views, twice as
    much. It may be negative.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.simclr`.
        temperature: float > 0 (tau, 0.1).
        weighted: whether pairs that are close already weigh less (DCLW).
        sigma: float > 0, how fast the weight changes with the cosine of a pair (0.5). Without `weighted`, unused.
        **kwargs: the other arguments of `SimCLR`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.DecoupledContrastive(encoder, keras_ssl.augment.simclr_cifar(32), weighted=True)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    bounds = {
        "weighted": checks.flag(),
        "sigma": checks.numbers(above=0),
    }

    def __init__(self, encoder, augment=None, *, temperature=0.1, weighted=False, sigma=0.5, **kwargs):
        super().__init__(encoder, augment, temperature=temperature, **kwargs)
        self.weighted, self.sigma = weighted, sigma

    def objective(self, views):
        features = self.encoder(together(views), training=True)  # (2 * batch, features)
        first, second = ops.split(self.projector(features, training=True), 2)  # (batch, dim) each
        return decoupled(first, second, self.temperature, self.weighted, self.sigma)
