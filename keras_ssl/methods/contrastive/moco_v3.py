r"""MoCo v3: An Empirical Study of Training Self-Supervised Vision Transformers (Chen, Xie, He, 2021).

https://arxiv.org/abs/2104.02057

Objective:
    \mathcal{L} = -\frac{2\tau}{N} \sum_{i=1}^{N} \left( \log \frac{\exp(q^1_i \cdot k^2_i / \tau)}{\sum_n \exp(q^1_i
    \cdot k^2_n / \tau)} + \log \frac{\exp(q^2_i \cdot k^1_i / \tau)}{\sum_n \exp(q^2_i \cdot k^1_n / \tau)} \right)
    where $q^1, q^2$ are the predicted queries of the two views and $k^1, k^2$ their keys, which get no gradient; $n$
    runs over the batch.

Flow:
    view 1 -> encoder -> projector -> predictor -> InfoNCE, both ways
    view 2 ~> key encoder ~> InfoNCE, both ways
    projector ~EMA~> key encoder

Take it when a vision transformer is trained by contrast: the frozen patch projection keeps it stable.

Leave it when batches are small: the negatives are those of the batch, 4096 in the paper.
"""

import keras

from keras_ssl import checks, encoders, heads, teacher
from keras_ssl.losses import info_nce_in_batch
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class MoCoV3(Method):
    """A query finds the key of the other view among the keys of the batch, and a frozen patch projection steadies it.

    There is no queue: the batch is large (4096). The query has a predictor that the key has not, as in BYOL. The
    defaults are those for a vision transformer. The authors' ResNet-50 has `depth=2`, `predictor_norm=False`,
    `temperature=1.0` and, for 1000 epochs, `momentum=0.996`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, for instance `keras_ssl.encoders.vit_small`.
        augment: layer from images to two views, which differ in blur and solarization; `keras_ssl.augment.byol`.
        hidden: int, units of the hidden layers of projector and predictor (4096).
        dim: int, size of queries and keys (256).
        depth: int, number of Dense layers of the projector (3). The predictor has 2.
        predictor_norm: whether the predictor, like the projector, ends in a batch normalization without scale and
            offset.
        temperature: float > 0 (tau, 0.2).
        momentum: float in [0, 1], how slowly the key encoder follows at the start (m, 0.99).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1; None keeps it constant.
        freeze_patches: whether the patch projection of a `keras_ssl.encoders.vit` stays at its random start. It has
            no part with another encoder; freeze that of another library's ViT yourself.

    Example:

    >>> encoder = keras_ssl.encoders.vit_tiny(input_shape=(32, 32, 3), patch=4, depth=4)
    >>> model = keras_ssl.MoCoV3(encoder, keras_ssl.augment.byol_cifar(32), hidden=512, steps=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.1))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "predictor_norm": checks.flag(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
        "freeze_patches": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=4096,
        dim=256,
        depth=3,
        predictor_norm=True,
        temperature=0.2,
        momentum=0.99,
        steps=None,
        freeze_patches=True,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.depth, self.predictor_norm = hidden, dim, depth, predictor_norm
        self.temperature, self.momentum, self.steps = temperature, momentum, steps
        self.freeze_patches = freeze_patches
        if freeze_patches:
            encoders.freeze_patches(encoder)
        features = encoder.output_shape[-1]
        self.query_encoder = heads.attach(encoder, head(features, hidden, dim, depth, norm=True, name="projector"))
        self.predictor = head(dim, hidden, dim, 2, norm=predictor_norm, name="predictor")
        self.key_encoder = teacher.copy(self.query_encoder)

    def objective(self, views):
        q1, q2 = (self.predictor(self.query_encoder(view, training=True), training=True) for view in views)
        k1, k2 = (self.key_encoder(view, training=True) for view in views)  # (batch, dim)
        return info_nce_in_batch(q1, k2, self.temperature) + info_nce_in_batch(q2, k1, self.temperature)

    def after_step(self, outputs):
        # The paper moves the key encoder before the keys of the next step are made, with the momentum of that step.
        momentum = teacher.cosine(self.momentum, 1.0, self.step + 1, self.steps)
        teacher.follow(self.key_encoder, self.query_encoder, momentum)


def head(inputs, hidden, dim, depth, norm, name):
    """The authors' head: no bias anywhere, and at the end a batch normalization that only normalizes."""
    norm = heads.batch_normalization(center=False, scale=False) if norm else None
    return heads.mlp(inputs, hidden, dim, depth, hidden_bias=False, output_norm=norm, name=name)
