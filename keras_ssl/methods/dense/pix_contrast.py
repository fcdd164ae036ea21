r"""PixContrast: Propagate Yourself: Exploring Pixel-Level Consistency for Unsupervised Visual Representation Learning
(Xie, Lin, Zhang, Cao, Lin, Hu, 2020).

https://arxiv.org/abs/2011.10043

Objective:
    \mathcal{L} = -\frac{1}{N} \sum_{b} \operatorname{mean}_{i} \log \frac{\sum_{j \in P(i)} \exp(\cos(x_{bi},
    x'_{bj}) / \tau)}{\sum_{j} \exp(\cos(x_{bi}, x'_{bj}) / \tau)} + \text{the same with the views exchanged}
    where $x_{bi}$ are the embeddings of the places of one view, $x'_{bj}$ those of the other by the target network, and
    $P(i)$ are the places of the other view that lie where $i$ does.

Flow:
    view 1 -> encoder -> projector of places -> contrast of places, both ways
    view 2 ~> target network ~> contrast of places, both ways
    boxes of the views ~> contrast of places, both ways
    projector of places ~EMA~> target network

Take it when features have to tell apart places that lie beside each other.

Leave it when features should be smooth within a thing: PixPro, from the same paper, was better at every task there.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.losses import place_contrast
from keras_ssl.methods.dense.located import PlacesMethod, apart, as_places


@keras.saving.register_keras_serializable("keras_ssl")
class PixContrast(PlacesMethod):
    """A place of one view finds, among all places of the other view of its image, those that lie where it does.

    Two places belong together where their centers are less than `threshold` apart, in units of the diagonal of a cell,
    of the view whose cells are larger. Distances are in pixels of the image; in the authors' code height and width of
    the image are 1, which differs where it is no square. Views that do not overlap have a loss of 0.

    The paper moves the target before it is asked; here it moves at the end of the step before, which is the same.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` that ends with its pooling: those of
            `keras_ssl.encoders`, or `keras_ssl.encoders.pool(backbone)`.
        augment: `keras_ssl.augment.Located` of two views; of `keras_ssl.augment.byol`.
        hidden: int, units of the projector's hidden layer (4096).
        dim: int, size of an embedding (256).
        threshold: float > 0, how near places belong together (T, 0.7).
        temperature: float > 0 (tau, 0.3).
        momentum: float in [0, 1], how slowly the target follows at the start (0.99).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1; None keeps it constant.

    Raises:
        ValueError: the encoder has no map of features, or the views do not say where they lie.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(64, 64, 3), stem="cifar")
    >>> views = keras_ssl.augment.Located(keras_ssl.augment.byol(64))
    >>> model = keras_ssl.PixContrast(encoder, views, hidden=512, steps=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-5))
    """

    bounds = {"temperature": checks.numbers(above=0)}

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=4096,
        dim=256,
        threshold=0.7,
        temperature=0.3,
        momentum=0.99,
        steps=None,
        **kwargs,
    ):
        options = {"hidden": hidden, "dim": dim, "threshold": threshold, "momentum": momentum, "steps": steps}
        super().__init__(encoder, augment, **options, **kwargs)
        self.temperature = temperature
        self.make_branches("projector")

    def objective(self, views):
        views, boxes = apart(self, views)
        maps = [self.online(view, training=True) for view in views]
        targets = [self.target(view, training=True) for view in views]
        near = self.near(boxes, [x.shape[1:3] for x in maps])
        there = self.contrast(maps[0], targets[1], near)
        return there + self.contrast(maps[1], targets[0], ops.swapaxes(near, 1, 2))

    def contrast(self, places, targets, near):
        return place_contrast(as_places(places), as_places(targets), near, self.temperature)
