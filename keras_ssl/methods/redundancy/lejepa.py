r"""LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics (Balestriero, LeCun, 2025).

https://arxiv.org/abs/2511.08544

Objective:
    \mathcal{L} = (1 - \lambda) \operatorname{mean}_v \left( z_v - \bar{z} \right)^2 + \lambda
    \operatorname{mean}_{v, a} N \int_{-3}^{3} \left| \operatorname{mean}_n e^{i t a \cdot z_{v, n}} -
    e^{-t^2 / 2} \right|^2 e^{-t^2 / 2} \, dt
    where $z_v$ are the embeddings of a view, $\bar{z}$ is the mean of those of the global views, $a$ are random unit
    vectors, others at each step, and $N$ is the size of the batch.

Flow:
    all views -> encoder -> projector -> distance
    global views -> encoder
    projector -> mean -> distance
    projector -> random directions -> test of normality

Take it when a method without teacher, predictor and stop-gradient is wanted, with one weight to choose and a loss that
    says how far the training is.

Leave it when the embeddings should have unit length or be clusters: they become an isotropic Gaussian.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.augment.random import normal
from keras_ssl.augment.rows import row_seeds
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import invariance_to_mean, sig_reg
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class LeJEPA(Method):
    """All views of an image meet the mean of its global views, and the embeddings of a batch are an isotropic Gaussian.

    The Gaussian is what prevents a collapse: each view's embeddings are tested along random directions, the same on all
    replicas (`keras_ssl.losses.sig_reg`). Views of one size go through encoder and projector in one call, those of
    another size in another one. With views of several sizes the encoder must take them: `input_shape=(None, None, 3)`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two or more views, the global ones first; `keras_ssl.augment.lejepa`.
        hidden: int, units of the projector's hidden layers (2048).
        dim: int, size of the embedding (128; 16 for the ten classes of Imagenette).
        depth: int >= 1, Dense layers of the projector (3).
        regularizer_weight: float in [0, 1], of the test of normality; the invariance has the rest (lambda, 0.05; 0.02
            on Imagenette). The test of embeddings that are no Gaussian grows with the batch.
        slices: int, random directions of a step (1024; 256 on Imagenette).
        activation: of the projector's hidden layers, `"relu"` or `"gelu"`.
        global_views: int, how many of the views are global, at most all; None for all that have the size of the first,
            as far as sizes are known when the step is compiled.

    Example:

    >>> encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4)
    >>> model = keras_ssl.LeJEPA(encoder, keras_ssl.augment.lejepa(32), dim=16, regularizer_weight=0.02, slices=256)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(2e-3, weight_decay=0.05))
    """

    terms = ("invariance", "sig_reg")
    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "regularizer_weight": checks.numbers(least=0, most=1),
        "slices": checks.ints(),
        "activation": checks.choice("relu", "gelu"),
        "global_views": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        dim=128,
        depth=3,
        regularizer_weight=0.05,
        slices=1024,
        activation="relu",
        global_views=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.depth, self.regularizer_weight = hidden, dim, depth, regularizer_weight
        self.slices, self.activation, self.global_views = slices, activation, global_views
        projector = heads.mlp(
            encoder.output_shape[-1], hidden, dim, depth, output_bias=True, name="projector", activation=activation
        )
        self.projection = heads.attach(encoder, projector, name="projection")
        self.draws = keras.random.SeedGenerator()

    def check_views(self, views):
        super().check_views(views)
        if self.global_views is not None and self.global_views > len(views):
            raise ValueError(
                f"global_views must be at most the number of views. Received: global_views={self.global_views} and "
                f"{len(views)} views"
            )

    def objective(self, views):
        embeddings = self.embed(views)  # (views, batch, dim)
        invariance = invariance_to_mean(embeddings, self.count_global(views))
        regularizer = sig_reg(embeddings, self.directions())
        loss = (1.0 - self.regularizer_weight) * invariance + self.regularizer_weight * regularizer
        return {"loss": loss, "invariance": invariance, "sig_reg": regularizer}

    def embed(self, views):
        return ops.stack(ops.split(multi_crop(self.projection, views, training=True), len(views)))

    def count_global(self, views):
        return self.global_views or sum(view.shape[1:] == views[0].shape[1:] for view in views)

    def directions(self):
        """Random unit vectors `(slices, dim)`: others at each step, the same on all replicas."""
        return unit(normal(row_seeds(self.draws, self.slices), self.dim))
