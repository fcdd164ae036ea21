"""Located: views that say where they lie, as `keras_ssl.augment.Located` makes them, and what compares their places."""

import math

import keras
from keras import ops

from keras_ssl import checks, encoders, heads, inputs, teacher
from keras_ssl.augment.image.located import centers, diagonals, distances
from keras_ssl.method import Method


class PlacesMethod(Method):
    """Base of PixContrast and PixPro: the places of two views, a target of them, and which of them lie together.

    Args: see `PixContrast`.
    """

    view_counts = (2, 2)

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "threshold": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
    }

    def __init__(
        self, encoder, augment=None, *, hidden=4096, dim=256, threshold=0.7, momentum=0.99, steps=None, **kwargs
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.threshold = hidden, dim, threshold
        self.momentum, self.steps = momentum, steps

    def make_branches(self, *names):
        """From images to one map of embeddings for each name `(batch, rows, columns, dim)`; and the target of it."""
        images = heads.inputs_like(self.encoder)
        _, places = encoders.with_map(self.encoder)(images)
        size = (None, None, places.shape[-1])
        projectors = [heads.mlp(size, self.hidden, self.dim, output_bias=True, name=name) for name in names]
        made = [projector(places) for projector in projectors]
        self.online = keras.Model(images, made if len(made) > 1 else made[0], name="online")
        self.target = teacher.copy(self.online, name="target")

    def check_views(self, views):
        super().check_views(apart(self, views)[0])
        check_boxes(self, views)

    def near(self, boxes, grids):
        """Which places of the two views belong together, bool `(batch, places, other places)`."""
        first, second = (centers(boxes[:, view], grid) for view, grid in enumerate(grids))
        largest = ops.maximum(*(diagonals(boxes[:, view], grid) for view, grid in enumerate(grids)))
        # Boxes of whole pixels make exact ties, which are not near: the margin is larger than any rounding.
        return distances(first, second) < (1.0 - 1e-5) * self.threshold * largest[:, None, None]

    def after_step(self, outputs):
        teacher.follow(self.target, self.online, teacher.cosine(self.momentum, 1.0, self.step, self.steps))


def apart(method, views):
    """The views, and where they lie: list, and float32 `(batch, views, 4)`."""
    *images, boxes = views
    shape = inputs.static_shape(boxes)
    if not images or shape is not None and (len(shape) != 3 or shape[2] != 4):
        raise ValueError(needs_boxes(method, views))
    return images, boxes


def check_boxes(method, views):
    """Raises where the boxes are not those of the views."""
    images, boxes = apart(method, views)
    shape = inputs.static_shape(boxes)
    if shape is not None and shape[1] != len(images):
        raise ValueError(needs_boxes(method, views))


def needs_boxes(method, views):
    return (
        f"{type(method).__name__} has to know where in the image the views lie: take "
        "augment=keras_ssl.augment.Located(views), which gives their boxes (batch, views, 4) after the views. "
        f"Received: tensors of shape {', '.join(str(inputs.static_shape(view)) for view in views)}, by "
        f"augment={method.augment}"
    )


def as_places(x):
    """A map `(batch, rows, columns, dim)` as `(batch, rows * columns, dim)`, row by row."""
    return ops.reshape(x, (-1, math.prod(x.shape[1:3]), x.shape[-1]))
