r"""DetCon: Efficient Visual Pretraining with Contrastive Detection (Henaff, Koppula, Alayrac, van den Oord, Vinyals,
Carreira, 2021).

https://arxiv.org/abs/2103.10957

Objective:
    \mathcal{L} = -\operatorname{mean}_{b, r} w_{br} \operatorname{mean}_{q \in P(br)} \log
    \frac{\exp(\cos(u_{br}, v'_{bq}) / \tau)}{\sum_{n} \exp(\cos(u_{br}, v_{n}) / \tau)} + \text{the same with the views
    exchanged}
    where $u_{br}$ is what is predicted from region $r$ of one view of image $b$, $v$ are the embeddings of all regions
    of both views of all images but those of the own view that are the same region, $P$ are the same region in the
    other view, and $w$ is 1 over how often the region was drawn, or 0 where the other view does not show it.

Flow:
    view 1 -> encoder -> mean of each region -> projector -> predictor -> contrast of regions, both ways
    view 2 ~> target network ~> contrast of regions, both ways
    mask of the image ~boxes~> mean of each region
    projector ~EMA~> target network

Take it when images show several things and a cheap segmentation finds their outlines, roughly.

Leave it when there are no masks of any kind: DenseCL and PixPro need none.
"""

import keras
from keras import ops

from keras_ssl import checks, encoders, heads, teacher
from keras_ssl.augment import uniform
from keras_ssl.augment.image.located import labels_of_cells
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import region_contrast
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method
from keras_ssl.methods.dense.located import apart, as_places, check_boxes


@keras.saving.register_keras_serializable("keras_ssl")
class DetCon(Method):
    """Regions of an image, by a mask of it, are to be found in its other view among the regions of all images.

    The masks are the column `"mask"` of the data, ints `(batch, height, width)`, which number the regions of the whole
    image; see `keras_ssl.data.segment` and `keras_ssl.data.grid_segments`. What a view shows of a mask follows from its
    box. A place of the map belongs to the region that has most of it. Of the regions of a view some are drawn, each as
    likely, with repetition, and the features of their places averaged.

    With `target="ema"` (DetCon-B) a predictor is compared with a slowly moving target, as in BYOL; with `"siamese"`
    (DetCon-S) the network with itself, as in SimCLR, and all regions get a gradient.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` that ends with its pooling: those of
            `keras_ssl.encoders`, or `keras_ssl.encoders.pool(backbone)`.
        augment: `keras_ssl.augment.Located` of two views; of `keras_ssl.augment.byol`.
        target: `"ema"` or `"siamese"`.
        regions: int, how many regions of each view are drawn (16).
        hidden: int, units of the hidden layer of projector and predictor (4096).
        dim: int, size of projection and prediction (256).
        temperature: float > 0 (tau, 0.1).
        momentum: float in [0, 1], how slowly the target follows at the start (0.996).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1; None keeps it constant.

    Raises:
        ValueError: the encoder has no map of features, or the views do not say where they lie.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(64, 64, 3), stem="cifar")
    >>> views = keras_ssl.augment.Located(keras_ssl.augment.byol(64))
    >>> model = keras_ssl.DetCon(encoder, views, hidden=512, steps=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.2, weight_decay=1.5e-6))
    """

    needs = ("mask",)
    view_counts = (2, 2)

    bounds = {
        "target": checks.choice("ema", "siamese"),
        "regions": checks.ints(),
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        target="ema",
        regions=16,
        hidden=4096,
        dim=256,
        temperature=0.1,
        momentum=0.996,
        steps=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.target, self.regions, self.hidden, self.dim = target, regions, hidden, dim
        self.temperature, self.momentum, self.steps = temperature, momentum, steps
        self.maps = encoders.with_map(encoder)
        self.projector = heads.mlp(self.maps.outputs[1].shape[-1], hidden, dim, name="projector")
        self.predictor = self.target_maps = self.target_projector = None
        if target == "ema":
            self.predictor = heads.mlp(dim, hidden, dim, name="predictor")
            self.target_maps = teacher.copy(self.maps, name="target_maps")
            self.target_projector = teacher.copy(self.projector, name="target_projector")
        self.draws = keras.random.SeedGenerator()

    def check_views(self, views):
        super().check_views(apart(self, views)[0])
        check_boxes(self, views)

    def objective(self, views, masks):
        (first, second), boxes = apart(self, views)
        places = [self.maps(view, training=True)[1] for view in (first, second)]
        drawn = [self.draw(masks, boxes[:, view], x.shape[1:3]) for view, x in enumerate(places)]
        projections = [self.embed(self.projector, x, own) for x, (_, own) in zip(places, drawn)]
        queries, keys = projections, projections
        if self.target == "ema":
            queries = [on_regions(self.predictor, x) for x in projections]
            target_places = [self.target_maps(view, training=True)[1] for view in (first, second)]
            keys = [self.embed(self.target_projector, x, own) for x, (_, own) in zip(target_places, drawn)]
        (ids, _), (other_ids, _) = drawn
        options = {"temperature": self.temperature, "gradient": self.target == "siamese"}
        there = region_contrast(queries[0], keys[1], keys[0], ids, other_ids, **options)
        return there + region_contrast(queries[1], keys[0], keys[1], other_ids, ids, **options)

    def draw(self, masks, boxes, grid):
        """Some regions of a view: their ids `(batch, regions)`, and which places they have `(batch, regions, places)`.

        The regions are those that most of a place belongs to, each as likely.
        """
        labels = labels_of_cells(masks, boxes, grid)  # (batch, places)
        places = ops.arange(labels.shape[1], dtype="int32")
        earlier = places[None, :] < places[:, None]
        again = ops.any((labels[:, :, None] == labels[:, None, :]) & earlier, axis=2)
        number = ops.cumsum(ops.cast(~again, "int32"), axis=1)  # of its region, where a place is the first one of it
        count = number[:, -1:]
        rows = ops.shape(labels)[0]
        draws = uniform(local_seeds(self.draws, rows), self.regions)
        chosen = ops.minimum(ops.cast(draws * ops.cast(count, "float32"), "int32"), count - 1) + 1
        first = (number[:, None, :] == chosen[:, :, None]) & ~again[:, None, :]
        place = ops.cast(ops.argmax(ops.cast(first, "int32"), axis=2), "int32")
        ids = ops.take_along_axis(labels, place, axis=1)
        return ids, labels[:, None, :] == ids[:, :, None]

    def embed(self, projector, places, own):
        """The projections of the mean features of regions, `(batch, regions, dim)`."""
        weights = ops.cast(own, "float32")
        weights = weights / ops.sum(weights, axis=2, keepdims=True)
        return on_regions(projector, ops.matmul(weights, precise(as_places(places))))

    def after_step(self, outputs):
        if self.target == "ema":
            momentum = teacher.cosine(self.momentum, 1.0, self.step, self.steps)
            teacher.follow(self.target_maps, self.maps, momentum)
            teacher.follow(self.target_projector, self.projector, momentum)


def on_regions(head, x):
    """A head's outputs for `(batch, regions, dim)`, whose batch normalization is over all regions."""
    rows = head(ops.reshape(x, (-1, x.shape[-1])), training=True)
    return ops.reshape(rows, (-1, x.shape[1], rows.shape[-1]))
