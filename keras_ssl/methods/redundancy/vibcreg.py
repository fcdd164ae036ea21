r"""VIbCReg: Variance-Invariance-better-Covariance Regularization for Self-Supervised Learning (Lee, Aune, 2021).

https://arxiv.org/abs/2109.00783

Objective:
    \mathcal{L} = \lambda \operatorname{mean} (z - y)^2 + \mu \frac{v(z) + v(y)}{2} + \nu \left( c(z) + c(y)
    \right), \quad v(z) = \operatorname{mean}_d \max\left(0, 1 - \sqrt{\operatorname{Var}_d + \epsilon}\right), \quad
    c(z) = \frac{1}{D^2} \sum_{i \ne j} \operatorname{Corr}_{ij}^2
    where $z$ and $y$ are the whitened embeddings of the two views; variances and correlations are of the batch.

Flow:
    view 1 -> encoder -> expander -> whitening -> variance, invariance, correlation
    view 2 -> encoder -> expander

Take it when VICReg is wanted with a covariance whose weight does not depend on the size of the embedding.

Leave it when the batch is small: each group of dimensions is whitened by it.
"""

import keras

from keras_ssl import checks, heads
from keras_ssl.losses import variance_correlation
from keras_ssl.methods.redundancy.vicreg import VICReg


@keras.saving.register_keras_serializable("keras_ssl")
class VIbCReg(VICReg):
    """VICReg with correlations in place of covariances, behind a projector that ends with iterative whitening.

    The hidden layers of the projector have GELU. This is the form in which solo-learn trains it on images; the paper
    is about series. The variance term is the mean of the two branches; solo-learn has their sum, and half the weight.

    Args:
        augment: layer from images to two views; `keras_ssl.augment.vicreg_cifar`.
        hidden: int, units of the projector's hidden layers (2048).
        dim: int, size of the embedding (2048).
        variance_weight: float >= 0 (mu, 50).
        covariance_weight: float >= 0, of the correlations (nu, 200).
        groups: int that divides `dim`, the groups of dimensions that are whitened apart (64); None for no whitening.
        iterations: int >= 1, of the whitening (5), see `keras_ssl.heads.IterNorm`.
        **kwargs: the other arguments of `VICReg`.

    Raises:
        ValueError: `groups` does not divide `dim`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.VIbCReg(encoder, keras_ssl.augment.vicreg_cifar(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.3, weight_decay=1e-4))
    """

    bounds = {"groups": checks.ints(optional=True), "iterations": checks.ints()}

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        dim=2048,
        variance_weight=50.0,
        covariance_weight=200.0,
        groups=64,
        iterations=5,
        **kwargs,
    ):
        self.groups, self.iterations = groups, iterations
        options = {"hidden": hidden, "dim": dim, "variance_weight": variance_weight}
        super().__init__(encoder, augment, covariance_weight=covariance_weight, **options, **kwargs)

    def branch(self, encoder):
        whitening = None if self.groups is None else heads.IterNorm(self.dim, self.groups, self.iterations)
        projector = heads.mlp(
            encoder.output_shape[-1], self.hidden, self.dim, self.depth, output_bias=whitening is None,
            output_norm=whitening, name="projector", activation="gelu",
        )  # fmt: skip
        return heads.attach(encoder, projector)

    def spread(self, embeddings):
        return variance_correlation(embeddings)
