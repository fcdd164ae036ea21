r"""FroSSL: Frobenius Norm Minimization for Efficient Multiview Self-Supervised Learning (Skean et al., 2023).

https://arxiv.org/abs/2310.02903

Objective:
    \mathcal{L} = \sum_v \left( 2 \log \left\lVert \frac{1}{d} Z_v^{\top} Z_v \right\rVert_F + \lambda V d
    \operatorname{mean} \left( Z_v - \bar{Z} \right)^2 \right)
    where $Z_v$ are the embeddings of one of the $V$ views, their $d$ columns centered and divided by their length over
    the batch, and $\bar{Z}$ is their mean over the views.

Flow:
    each view -> encoder -> projector -> unit columns -> Frobenius norm
    unit columns -> mean of the views -> distance
    unit columns -> distance

Take it when VICReg is wanted with more than two views and one weight: no statistic of pairs of views is needed.

Leave it when the batch is tiny: the norm is of its second moments.
"""

import keras

from keras_ssl import checks, heads
from keras_ssl.losses import frossl
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class FroSSL(Method):
    """The views of an image meet their mean, and the second moment of each view has eigenvalues as equal as can be.

    The log of the Frobenius norm is an entropy of these eigenvalues that needs none of them.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two or more views; `keras_ssl.augment.simclr`, with `count` for more.
        hidden: int, units of the projector's hidden layers (2048).
        dim: int, size of the embedding (d, 1024).
        depth: int >= 1, Dense layers of the projector (3).
        invariance_weight: float >= 0, of the distance to the mean (lambda, 1; 1.4 on STL-10, 2 on ImageNet).
        centered: whether the columns are centered, as in the authors' code for two views (True). Their later code, for
            any number, leaves them; embeddings then can, and in short runs do, become one.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.FroSSL(encoder, keras_ssl.augment.simclr(32, count=4))
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.3, weight_decay=1e-4))
    """

    terms = ("norm", "invariance")
    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "invariance_weight": checks.numbers(least=0),
        "centered": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        dim=1024,
        depth=3,
        invariance_weight=1.0,
        centered=True,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.depth = hidden, dim, depth
        self.invariance_weight, self.centered = invariance_weight, centered
        projector = heads.mlp(encoder.output_shape[-1], hidden, dim, depth, output_bias=True, name="projector")
        self.projection = heads.attach(encoder, projector, name="projection")

    def objective(self, views):
        embeddings = [self.projection(view, training=True) for view in views]  # (batch, dim) each
        loss, norm, invariance = frossl(embeddings, self.invariance_weight, self.centered)
        return {"loss": loss, "norm": norm, "invariance": invariance}
