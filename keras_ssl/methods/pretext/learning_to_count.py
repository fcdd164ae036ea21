r"""LearningToCount: Representation Learning by Learning to Count (Noroozi, Pirsiavash, Favaro, 2017).

https://arxiv.org/abs/1708.06734

Objective:
    \mathcal{L} = \left\| \phi(D x) - \sum_{j=1}^{4} \phi(T_j x) \right\|^2 + \max \left( 0, M - \left\| \phi(D y) -
    \sum_{j=1}^{4} \phi(T_j x) \right\|^2 \right)
    where $\phi \ge 0$ are counts, $D$ makes an image half as large, $T_j$ are its quarters, and $y$ is another image
    of the batch.

Flow:
    whole image, made smaller -> encoder -> counts -> distance
    four quarters -> encoder
    counts -> sum of quarters -> distance
    counts of another image -> hinge
    sum of quarters -> hinge

Take it when what an image holds is a number of things, and the features should add up over its parts.

Leave it when the encoder normalizes its features by the batch and you cannot choose another: counts want a scale.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute, heads
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method
from keras_ssl.methods.pretext.tiles import check_parts


@keras.saving.register_keras_serializable("keras_ssl")
class LearningToCount(Method):
    """What the network counts in an image, made smaller, is the sum of what it counts in its four quarters.

    The counts have no names: vectors of numbers from 0 up. All of them 0 would do, so the counts of another image must
    differ from that sum by a squared distance of `margin` at least. The other image is the next one of the batch, of
    all replicas; batches should be shuffled.

    Wholes and quarters go through the network in one call. An encoder with batch normalization then sees both with
    the same statistics; the paper's AlexNet has none. Watch the terms: where `hinge` stays at the margin and
    `difference` goes to 0, nothing is counted, and the rate is too large.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two views: the images, made smaller, and their parts `(batch, parts, height,
            width, channels)` of the same size: `keras_ssl.augment.counting`.
        hidden: int, units of the two hidden layers (4096).
        dim: int, number of counts (1000).
        margin: float > 0, the least squared distance to another image (M, 10).

    Logs `accuracy`, the share of the images whose quarters add up to their own count better than to that of another
    image, of which guessing gets 0.5; `difference` and `hinge`, the two parts of the loss; and `norm`, how much is
    counted.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((48, 48, 3), stem="cifar")
    >>> model = keras_ssl.LearningToCount(encoder, keras_ssl.augment.counting(96), hidden=512, dim=128)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4))
    """

    terms = ("accuracy", "difference", "hinge", "norm")
    view_counts = (2, 2)
    least_batch = 2
    chance = 0.5

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "margin": checks.numbers(above=0),
    }

    def __init__(self, encoder, augment=None, *, hidden=4096, dim=1000, margin=10.0, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.margin = hidden, dim, margin
        head = heads.mlp(
            encoder.output_shape[-1], hidden, dim, depth=3, batch_norm=False, output_bias=True, name="head",
            output_norm=keras.layers.ReLU(),
        )  # fmt: skip
        self.counter = heads.attach(encoder, head, name="counter")

    def check_views(self, views):
        super().check_views(views)
        check_parts(self, views)

    def objective(self, views):
        images, parts = views
        rows, number = ops.shape(images)[0], parts.shape[1]
        together = ops.concatenate([images, ops.reshape(parts, (-1, *parts.shape[2:]))])
        counts = precise(self.counter(together, training=True))
        whole, each = counts[:rows], ops.reshape(counts[rows:], (-1, number, self.dim))
        total = ops.sum(each, axis=1)
        other = distribute.local(ops.roll(distribute.gather(whole), -1, axis=0), rows)
        return count_loss(whole, total, other, self.margin) | {"norm": ops.mean(ops.norm(whole, axis=1))}


def count_loss(whole, total, other, margin):
    """The loss of counts `(batch, dim)`: of wholes, of the sums over their parts, and of other images."""
    own = ops.sum(ops.square(whole - total), axis=1)
    foreign = ops.sum(ops.square(other - total), axis=1)
    difference, hinge = ops.mean(own), ops.mean(ops.relu(margin - foreign))
    accuracy = ops.mean(ops.cast(own < foreign, "float32"))
    return {"loss": difference + hinge, "accuracy": accuracy, "difference": difference, "hinge": hinge}
