r"""VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning (Bardes, Ponce, LeCun, 2021).

https://arxiv.org/abs/2105.04906

Objective:
    \mathcal{L} = \lambda \operatorname{mean} (z - y)^2 + \mu \frac{v(z) + v(y)}{2} + \nu \left( c(z) + c(y)
    \right), \quad v(z) = \operatorname{mean}_d \max\left(0, 1 - \sqrt{\operatorname{Var}_d + \epsilon}\right), \quad
    c(z) = \frac{1}{D} \sum_{i \ne j} \operatorname{Cov}_{ij}^2
    where $z$ and $y$ are the embeddings of the two views; variances and covariances are of the batch.

Flow:
    view 1 -> encoder -> expander -> variance, invariance, covariance
    view 2 -> encoder (or another one) -> expander

Take it when the two views come from different senses or networks: the branches may differ; collapse shows in the
    logged terms.

Leave it when the batch is tiny, or three weights are two too many.
"""

import keras

from keras_ssl import checks, heads
from keras_ssl.losses import invariance, variance_covariance
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class VICReg(Method):
    """Two embeddings of an image are close, each dimension varies in the batch, and no two vary together.

    The variance term is the mean of the two branches, as in the authors' code; the paper writes their sum.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.vicreg`.
        hidden: int, units of the expander's hidden layers (8192; 2048 on CIFAR-10).
        dim: int, size of the embedding (d, 8192; 2048 on CIFAR-10).
        depth: int >= 1, Dense layers of the expander (3).
        invariance_weight: float >= 0 (lambda, 25).
        variance_weight: float >= 0 (mu, 25).
        covariance_weight: float >= 0 (nu, 1).
        other_encoder: `keras.Model` of the second views, of any architecture, with an expander of its own; None where
            both branches share their weights. `predict` is of `encoder`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.VICReg(encoder, keras_ssl.augment.vicreg_cifar(32), hidden=2048, dim=2048)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.3, weight_decay=1e-4))
    """

    terms = ("invariance", "variance", "covariance")
    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "invariance_weight": checks.numbers(least=0),
        "variance_weight": checks.numbers(least=0),
        "covariance_weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=8192,
        dim=8192,
        depth=3,
        invariance_weight=25.0,
        variance_weight=25.0,
        covariance_weight=1.0,
        other_encoder=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        if other_encoder is not None and not isinstance(other_encoder, keras.Model):
            raise ValueError(f"other_encoder must be a keras.Model or None. Received: other_encoder={other_encoder!r}")
        self.hidden, self.dim, self.depth = hidden, dim, depth
        self.invariance_weight, self.variance_weight = invariance_weight, variance_weight
        self.covariance_weight, self.other_encoder = covariance_weight, other_encoder
        self.first = self.second = self.branch(encoder)
        if other_encoder is not None:
            self.second = self.branch(other_encoder)

    def branch(self, encoder):
        expander = heads.mlp(encoder.output_shape[-1], self.hidden, self.dim, depth=self.depth, name="expander")
        return heads.attach(encoder, expander)

    def objective(self, views):
        first, second = (f(x, training=True) for f, x in zip((self.first, self.second), views))  # (batch, dim)
        apart = invariance(first, second)
        (variance, covariance), (other_variance, other_covariance) = map(self.spread, (first, second))
        variance, covariance = (variance + other_variance) / 2, covariance + other_covariance
        loss = self.invariance_weight * apart + self.variance_weight * variance + self.covariance_weight * covariance
        return {"loss": loss, "invariance": apart, "variance": variance, "covariance": covariance}

    def spread(self, embeddings):
        """The variance and the covariance of a branch."""
        return variance_covariance(embeddings)
