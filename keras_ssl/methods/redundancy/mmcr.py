r"""MMCR: Learning Efficient Coding of Natural Images with Maximum Manifold Capacity Representations (Yerxa, Kuang,
Simoncelli, Chung, 2023).

https://arxiv.org/abs/2303.03307

Objective:
    \mathcal{L} = -\left\lVert C \right\rVert_* + \frac{\lambda}{N} \sum_{i=1}^{N} \left\lVert Z_i \right\rVert_*,
    \quad C_i = \operatorname{mean}_v z_{v, i}
    where $z_{v, i}$ are the unit embeddings of view $v$ of image $i$, $Z_i$ those of all its views, $C$ has a row for
    each image, and the nuclear norm is the sum of the singular values.

Flow:
    all views -> encoder -> projector -> mean of an image -> singular values of the batch
    all views ~> momentum encoder ~> mean of an image
    projector ~EMA~> momentum encoder

Take it when many views of each image fit into a step: one number asks that they agree and that the images differ.

Leave it when the batch is large: the singular values of a matrix with a row for each image take their time.
"""

import keras
from keras import ops

from keras_ssl import checks, heads, teacher
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import manifold_capacity
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class MMCR(Method):
    """The mean embedding of each image is long, so that its views agree, and those of a batch fill many directions.

    All views go through the network in one call, and so do they through its momentum twin: it sees the same views, and
    the mean of an image is of both. The loss is a sum over the batch. Its gradient is the product of the singular
    vectors, which is finite also where singular values are 0 or equal.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two or more views; `keras_ssl.augment.byol`, or for 2 n views of large images
            `keras_ssl.augment.Views(keras_ssl.augment.byol(224).each() * n)`, for small ones many of `moco_cifar`.
        hidden: int, units of the projector's hidden layers (8192; 512 on CIFAR-10).
        dim: int, size of the embedding (512; 128 on CIFAR-10).
        depth: int >= 1, Dense layers of the projector (3; 2 on CIFAR-10).
        momentum: float in [0, 1], how slowly the twin follows (0.99); None for no twin, as on CIFAR-10.
        manifold_weight: float >= 0, of the size of each image's own manifold (lambda, 0): the singular values of its
            views.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> views = keras_ssl.augment.moco_cifar(32, count=8)
    >>> model = keras_ssl.MMCR(encoder, views, hidden=512, dim=128, depth=2, momentum=None)
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3, weight_decay=1e-6))
    """

    terms = ("capacity",)
    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "momentum": checks.numbers(least=0, most=1, optional=True),
        "manifold_weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=8192,
        dim=512,
        depth=3,
        momentum=0.99,
        manifold_weight=0.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.depth = hidden, dim, depth
        self.momentum, self.manifold_weight = momentum, manifold_weight
        projector = heads.mlp(encoder.output_shape[-1], hidden, dim, depth, hidden_bias=False, name="projector")
        self.projection = heads.attach(encoder, projector, name="projection")
        self.twin = None if momentum is None else teacher.copy(self.projection, name="twin")

    def objective(self, views):
        embeddings = embedded(self.projection, views)  # (views, batch, dim)
        twins = None if self.twin is None else embedded(self.twin, views)
        loss, capacity = manifold_capacity(embeddings, twins, self.manifold_weight)
        return {"loss": loss, "capacity": capacity}

    def after_step(self, outputs):
        if self.twin is not None:
            teacher.follow(self.twin, self.projection, self.momentum)


def embedded(network, views):
    return ops.stack(ops.split(multi_crop(network, views, training=True), len(views)))
