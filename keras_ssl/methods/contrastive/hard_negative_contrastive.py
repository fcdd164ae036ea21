r"""HCL: Contrastive Learning with Hard Negative Samples (Robinson, Chuang, Sra, Jegelka, 2020).

https://arxiv.org/abs/2010.04592

Objective:
    \mathcal{L} = -\frac{1}{2N} \sum_{i=1}^{2N} \log \frac{e^{s_{ip}/\tau}}{e^{s_{ip}/\tau} + G_i}, \quad G_i =
    \max\left( \frac{\sum_n w_{in} e^{s_{in}/\tau} - \tau^+ M e^{s_{ip}/\tau}}{1 - \tau^+},\ M e^{-1/\tau} \right),
    \quad w_{in} = \frac{e^{\beta s_{in} / \tau}}{\operatorname{mean}_m e^{\beta s_{im} / \tau}}
    where $s$ are cosines, $p$ is the other view of the image of $i$, $n$ and $m$ run over the $M$ views of other
    images, and $\tau^+$ is how often these are of the same class.

Flow:
    view 1 -> encoder -> projector -> weighted contrast
    view 2 -> encoder

Take it when SimCLR works and a little more is wanted: it was the best method without labels in our short runs.

Leave it when nothing is known of the classes: there are two more numbers to tune.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.losses import hard_negative
from keras_ssl.methods.contrastive.debiased_contrastive import DebiasedContrastive


@keras.saving.register_keras_serializable("keras_ssl")
class HardNegativeContrastive(DebiasedContrastive):
    """Debiased contrastive learning whose negatives weigh the more, the closer they are.

    The authors' code lowers beta in nine stairs, if at all; here it falls in a straight line.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.cifar`.
        beta: float >= 0, how much the close negatives count (beta, 1; 0.5 to 2). 0 is `DebiasedContrastive`.
        steps: int, number of steps over which beta falls to 0, or None: it stays.
        **kwargs: the other arguments of `DebiasedContrastive`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.HardNegativeContrastive(encoder, keras_ssl.augment.cifar(32), beta=1.0, tau_plus=0.1)
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3, weight_decay=1e-6))
    """

    bounds = {
        "beta": checks.numbers(least=0),
        "steps": checks.ints(optional=True),
    }

    def __init__(self, encoder, augment=None, *, beta=1.0, steps=None, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.beta, self.steps = beta, steps

    def objective(self, views):
        first, second, *extra = [self.embed(view) for view in views]  # (batch, dim) each
        return hard_negative(first, second, self.temperature, self.tau_plus, self.current_beta(), extra)

    def current_beta(self):
        if self.steps is None:
            return self.beta
        return self.beta * ops.maximum(1.0 - ops.cast(self.step, "float32") / self.steps, 0.0)
