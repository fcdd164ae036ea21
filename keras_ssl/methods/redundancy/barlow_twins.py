r"""Barlow Twins: Self-Supervised Learning via Redundancy Reduction (Zbontar, Jing, Misra, LeCun, Deny, 2021).

https://arxiv.org/abs/2103.03230

Objective:
    \mathcal{L} = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2, \quad C_{ij} = \operatorname{mean}_b
    a_{bi} b_{bj}
    where $a$ and $b$ are the embeddings of the two views, each dimension standardized over the batch.

Flow:
    view 1 -> encoder -> projector -> cross-correlation -> distance to the identity
    view 2 -> encoder

Take it when neither negatives nor a teacher are wanted, and memory for a wide projector is there.

Leave it when the batch is below about 128: the cross-correlation is an estimate from it.
"""

import keras

from keras_ssl import checks, heads
from keras_ssl.losses import barlow_twins
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class BarlowTwins(Method):
    """Each dimension of the embedding agrees with itself in the other view and with no other dimension.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views, which differ in blur and solarization;
            `keras_ssl.augment.barlow_twins`.
        hidden: int, units of the projector's hidden layers (8192; 2048 on CIFAR-10).
        dim: int, size of the embedding (D, 8192; 2048 on CIFAR-10). The wider the better.
        depth: int >= 1, Dense layers of the projector (3).
        redundancy_weight: float >= 0, the weight of what is off the diagonal of the cross-correlation (lambda, 0.0051).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.BarlowTwins(encoder, keras_ssl.augment.byol_cifar(32), hidden=2048, dim=2048)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.3, weight_decay=1e-4))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "redundancy_weight": checks.numbers(least=0),
    }

    def __init__(self, encoder, augment=None, *, hidden=8192, dim=8192, depth=3, redundancy_weight=0.0051, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.depth, self.redundancy_weight = hidden, dim, depth, redundancy_weight
        self.projector = heads.mlp(
            encoder.output_shape[-1], hidden, dim, depth=depth, hidden_bias=False, name="projector"
        )

    def objective(self, views):
        # The loss standardizes the embeddings, which is the paper's last batch normalization.
        first, second = (self.projector(self.encoder(x, training=True), training=True) for x in views)  # (batch, dim)
        return barlow_twins(first, second, self.redundancy_weight)
