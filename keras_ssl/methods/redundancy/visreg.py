r"""VISReg: Variance-Invariance-Sketching Regularization for JEPA training (Wu, Balestriero, Levine, 2026).

https://arxiv.org/abs/2606.02572

Objective:
    \mathcal{L} = (1 - \lambda) \operatorname{mean}_v \left( z_v - \bar{z} \right)^2 + \lambda \operatorname{mean}_v
    \left( \operatorname{mean}_d (s_d - 1)^2 + \operatorname{mean}_{a, n} \left( (a \cdot u)_{(n)} - \Phi^{-1}
    \left( \frac{n}{N + 1} \right) \right)^2 + \operatorname{mean}_d m_d^2 \right)
    where $z_v$ are the embeddings of a view, $\bar{z}$ is the mean of those of the global views, $m$ and $s$ are mean
    and standard deviation in the batch of $N$, $u$ the standardized embeddings, sorted along random unit vectors $a$,
    and $\Phi^{-1}$ gives the quantiles of the standard Gaussian.

Flow:
    all views -> encoder -> projector -> distance
    global views -> encoder
    projector -> mean -> distance
    projector -> center and scale
    projector -> standardize -> sort along random directions -> Gaussian quantiles

Take it when LeJEPA collapses at the start: the pull of the scale does not fade as all embeddings become alike.

Leave it when the batch is tiny, or memory is short: each step sorts the batch along thousands of directions.
"""

import keras

from keras_ssl import checks
from keras_ssl.losses import center_scale_shape, invariance_to_mean
from keras_ssl.methods.redundancy.lejepa import LeJEPA


@keras.saving.register_keras_serializable("keras_ssl")
class VISReg(LeJEPA):
    """All views of an image meet the mean of its global views; embeddings get mean 0, deviation 1 and Gaussian shape.

    The shape is measured on the standardized embeddings, with no gradient through their deviations, so that the three
    terms do not work against each other. Statistics are those of the global batch along the same directions on all
    replicas; in the authors' code each replica draws directions of its own, and the paper also has statistics of each
    replica alone.

    Args:
        dim: int, size of the embedding (256 for ViT-B; 128 on Imagenette).
        regularizer_weight: float in [0, 1], of the three terms; the invariance has the rest (lambda, 0.9; 0.6 for small
            data sets).
        slices: int, random directions of a step (4096).
        scale_weight, shape_weight, center_weight: floats >= 0, of each term (1).
        **kwargs: the other arguments of `LeJEPA`. For ImageNet the projector has `activation="gelu"`.

    Example:

    >>> encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4)
    >>> model = keras_ssl.VISReg(encoder, keras_ssl.augment.lejepa(32), dim=128, regularizer_weight=0.6)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.05, global_clipnorm=1.0))
    """

    terms = ("invariance", "center", "scale", "shape")

    bounds = {
        "scale_weight": checks.numbers(least=0),
        "shape_weight": checks.numbers(least=0),
        "center_weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        dim=256,
        regularizer_weight=0.9,
        slices=4096,
        scale_weight=1.0,
        shape_weight=1.0,
        center_weight=1.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, dim=dim, regularizer_weight=regularizer_weight, slices=slices, **kwargs)
        self.scale_weight, self.shape_weight, self.center_weight = scale_weight, shape_weight, center_weight

    def objective(self, views):
        embeddings = self.embed(views)  # (views, batch, dim)
        invariance = invariance_to_mean(embeddings, self.count_global(views))
        center, scale, shape = center_scale_shape(embeddings, self.directions())
        regularizer = self.scale_weight * scale + self.shape_weight * shape + self.center_weight * center
        loss = (1.0 - self.regularizer_weight) * invariance + self.regularizer_weight * regularizer
        return {"loss": loss, "invariance": invariance, "center": center, "scale": scale, "shape": shape}
