r"""DebiasedContrastive: Debiased Contrastive Learning (Chuang, Robinson, Lin, Torralba, Jegelka, 2020).

https://arxiv.org/abs/2007.00224

Objective:
    \mathcal{L} = -\frac{1}{2N} \sum_{i=1}^{2N} \log \frac{e^{s_{ip}/\tau}}{e^{s_{ip}/\tau} + G_i}, \quad G_i =
    \max\left( \frac{\sum_n e^{s_{in}/\tau} - \tau^+ M e^{s_{ip}/\tau}}{1 - \tau^+},\ M e^{-1/\tau} \right)
    where $s$ are cosines, $p$ is the other view of the image of $i$, $n$ runs over the $M$ views of other images,
    and $\tau^+$ is how often these are of the same class.

Flow:
    view 1 -> encoder -> projector -> debiased contrast
    view 2 -> encoder
    more views -> encoder

Take it when the data has few classes, and about how many is known: a batch then holds many false negatives.

Leave it when there are hundreds of classes: the correction is next to nothing there.
"""

import keras

from keras_ssl import checks, heads
from keras_ssl.losses import debiased
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class DebiasedContrastive(Method):
    """SimCLR, corrected for the negatives that show the same class as the image, without knowing which these are.

    As in the authors' code, each view goes through the encoder in a call of its own.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.cifar`. Of more views, the first two are anchors
            and negatives; the others sharpen the estimate of what the positives look like (M of the paper).
        hidden: int, units of the projector's hidden layer (512).
        dim: int, size of the embedding (128).
        temperature: float > 0 (t, 0.5).
        tau_plus: float in [0, 1), probability that a negative is of the image's class (tau+; 0.1 for 10 classes, 0.01
            to 0.05 for many). 0 is NT-Xent, the loss of SimCLR.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.DebiasedContrastive(encoder, keras_ssl.augment.cifar(32), tau_plus=0.1)
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3, weight_decay=1e-6))
    """

    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "tau_plus": checks.numbers(least=0, below=1),
    }

    def __init__(self, encoder, augment=None, *, hidden=512, dim=128, temperature=0.5, tau_plus=0.1, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.temperature, self.tau_plus = hidden, dim, temperature, tau_plus
        features = encoder.output_shape[-1]
        self.projector = heads.mlp(features, hidden, dim, hidden_bias=False, output_bias=True, name="projector")

    def objective(self, views):
        first, second, *extra = [self.embed(view) for view in views]
        return debiased(first, second, self.temperature, self.tau_plus, extra)

    def embed(self, view):
        return self.projector(self.encoder(view, training=True), training=True)  # (batch, dim)
