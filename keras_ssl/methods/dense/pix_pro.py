r"""PixPro: Propagate Yourself: Exploring Pixel-Level Consistency for Unsupervised Visual Representation Learning (Xie,
Lin, Zhang, Cao, Lin, Hu, 2020).

https://arxiv.org/abs/2011.10043

Objective:
    y_i = \sum_{j} \max(\cos(x_i, x_j), 0)^\gamma \, g(x_j), \qquad \mathcal{L} = -\frac{2}{N} \sum_{b}
    \operatorname{mean}_{(i, j) \in A_b} \cos(y_{bi}, x'_{bj}) + \text{the same with the views exchanged}
    where $x$ are the embeddings of the places of one view, $x'$ those of the other by the target network, $g$ is linear
    and normalized, and $A$ are the pairs of places that lie at the same spot of the image.

Flow:
    view 1 -> encoder -> projector of places -> propagation -> distance of places, both ways
    view 2 ~> target network ~> distance of places, both ways
    boxes of the views ~> distance of places, both ways
    projector of places ~EMA~> target network

Take it when the encoder is for segmentation or detection: what is propagated between places that look alike makes
    features smooth within a thing.

Leave it when whole images are to be classified, or with `instance_weight=1` at least.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.losses import negative_cosine, place_consistency
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.dense.located import PlacesMethod, apart, as_places


@keras.saving.register_keras_serializable("keras_ssl")
class PixPro(PlacesMethod):
    """Each place, smoothed over what looks like it, is to be what a slow target makes of that spot in the other view.

    There are no negatives. The smoothing is on the side that is trained alone. Views that do not overlap have a loss
    of 0.

    Args:
        encoder, augment, hidden, dim, threshold, momentum, steps: as for `PixContrast`.
        gamma: float > 0, how much less places count that look less alike (2).
        transform: int, 0 to 2, layers of the transformation g (1); 0 is none.
        instance_weight: float >= 0, the weight of BYOL's loss of whole images beside it (alpha, 0; 1 in the paper for
            networks with a pyramid).

    Raises:
        ValueError: the encoder has no map of features, or the views do not say where they lie.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(64, 64, 3), stem="cifar")
    >>> views = keras_ssl.augment.Located(keras_ssl.augment.byol(64))
    >>> model = keras_ssl.PixPro(encoder, views, hidden=512, steps=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-5))
    """

    bounds = {
        "gamma": checks.numbers(above=0),
        "transform": checks.choice(0, 1, 2),
        "instance_weight": checks.numbers(least=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=4096,
        dim=256,
        threshold=0.7,
        gamma=2.0,
        transform=1,
        instance_weight=0.0,
        momentum=0.99,
        steps=None,
        **kwargs,
    ):
        options = {"hidden": hidden, "dim": dim, "threshold": threshold, "momentum": momentum, "steps": steps}
        super().__init__(encoder, augment, **options, **kwargs)
        self.gamma, self.transform, self.instance_weight = gamma, transform, instance_weight
        self.make_branches("projector", *["instance_projector"] * bool(instance_weight))
        size = (None, None, dim)
        self.value = heads.mlp(size, dim, dim, transform, output_bias=True, name="value") if transform else None
        self.predictor = None
        if instance_weight:
            self.predictor = heads.mlp(size, hidden, dim, output_bias=True, name="predictor")
            self.track("place_loss", "instance_loss")

    def objective(self, views):
        views, boxes = apart(self, views)
        maps, wholes = zip(*(self.look(self.online, view) for view in views))
        targets, target_wholes = zip(*(self.look(self.target, view) for view in views))
        near = self.near(boxes, [x.shape[1:3] for x in maps])
        loss = place_consistency(self.propagate(maps[0]), as_places(targets[1]), near)
        loss = loss + place_consistency(self.propagate(maps[1]), as_places(targets[0]), ops.swapaxes(near, 1, 2))
        if self.predictor is None:
            return loss
        predictions = [pooled(self.predictor(x, training=True)) for x in wholes]
        wanted = [ops.stop_gradient(pooled(x)) for x in reversed(target_wholes)]
        instance = sum(2.0 * negative_cosine(p, t) for p, t in zip(predictions, wanted))
        return {"loss": loss + self.instance_weight * instance, "place_loss": loss, "instance_loss": instance}

    def look(self, network, view):
        """The embeddings of places, and those for whole images or None."""
        found = network(view, training=True)
        return found if self.instance_weight else (found, None)

    def propagate(self, x):
        """What each place gets from all that look like it (y): a map to `(batch, places, dim)`."""
        value = x if self.value is None else self.value(x, training=True)
        places = unit(as_places(x))
        alike = ops.relu(ops.matmul(places, ops.swapaxes(places, 1, 2)))
        if self.gamma < 1:  # the slope at 0
            alike = alike + 1e-6
        return ops.matmul(ops.power(alike, self.gamma), unit(as_places(value)))


def pooled(x):
    return ops.mean(x, axis=(1, 2))
