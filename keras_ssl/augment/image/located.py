"""Located: where in the image a view lies, for methods that compare places, and what follows from it."""

import keras
from keras import ops

from keras_ssl.augment.image.crop import RandomFlip, RandomResizedCrop
from keras_ssl.augment.image.geometry import CenterCrop, RandomCrop, RandomRotate, Resize, Rotations
from keras_ssl.augment.image.layer import ImageLayer
from keras_ssl.augment.view import Views
from keras_ssl.inputs import static_shape

MOVING = (RandomResizedCrop, RandomFlip, RandomCrop, CenterCrop, Resize, RandomRotate, Rotations)
POINTS = 8  # along a side of a cell, at which `labels_of_cells` looks: as many as a view has pixels there, or fewer


@keras.saving.register_keras_serializable("keras_ssl")
class Located(ImageLayer):
    """Views of each image, and after them where in the image they lie: a tuple of the views and of their boxes.

    The views are those that `views` makes with the same seeds. The boxes are one float32 tensor `(batch, views, 4)`:
    top, left, bottom and right of what a view shows, in pixels of the image. Where a view is mirrored, left and right
    have changed places, so that the i-th of n columns is around `left + (i + 0.5) / n * (right - left)` either way:
    see `centers`.

    Args:
        views: `Views` in which every view begins with a `RandomResizedCrop`, such as the recipes, and has no layer
            after it that moves pixels.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for other views, or where the data has a column `"mask"` of another size than the images.

    Example:
        >>> import numpy as np
        >>> located = Located(Views(RandomResizedCrop(32, flip=0.5), 2))
        >>> first, second, boxes = located(np.zeros((4, 48, 64, 3), "uint8"))
        >>> boxes.shape
        TensorShape([4, 2, 4])
    """

    locates = True  # the last of what it makes is no view

    def __init__(self, views, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not isinstance(views, Views):
            raise ValueError(f"views must be keras_ssl.augment.Views, such as the recipes. Received: views={views!r}")
        for view in views.each():
            check_view(view)
        self.views = views

    @property
    def separable(self):
        return False  # of one image it gives several tensors

    def prepare(self, columns):
        images = super().prepare(columns)
        if isinstance(columns, dict) and "mask" in columns:
            check_masks(columns["mask"], images)
        return images

    def each(self):
        return self.views.each()

    def split(self, seeds):
        return self.views.split(seeds)

    def draw(self, seeds, size):
        shares = self.views.shares(seeds, size)
        boxes = [corners(**crop_draws(*share, size)) for share in shares]
        return {"drawn": [drawn for _, drawn in shares], "boxes": ops.stack(boxes, axis=1)}

    def transform(self, sample, drawn, boxes):
        return (*self.views.transform(sample, drawn), boxes)

    def get_config(self):
        return {**super().get_config(), "views": keras.saving.serialize_keras_object(self.views)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "views": keras.saving.deserialize_keras_object(config["views"])})


def check_masks(masks, images):
    """Raises where the masks of whole images have another size: boxes are in pixels of the images."""
    masks, images = static_shape(masks), static_shape(images)
    known = masks is not None and images is not None and len(masks) == 3
    if known and any(None not in pair and pair[0] != pair[1] for pair in zip(masks[1:], images[1:3])):
        raise ValueError(
            "The column 'mask' must have the height and the width of the images: resize the images first, then make "
            f"the masks. Received: masks of shape {masks} and images of shape {images}"
        )


def check_view(view):
    first, *others = getattr(view, "layers", [view])
    moved = next((layer for layer in others if isinstance(layer, MOVING)), None)
    if not isinstance(first, RandomResizedCrop) or moved is not None:
        raise ValueError(
            "Every view must begin with a RandomResizedCrop, whose `flip` mirrors, and no layer after it may move "
            f"pixels: only then is it known where the view lies. Received: {type(moved or first).__name__} in {view}"
        )


def crop_draws(view, drawn, size):
    """What was drawn for the crop that a view begins with."""
    if "top" in drawn:
        return drawn
    if "drawn" in drawn:
        return drawn["drawn"][0]
    return view.layers[0].draw(view.split(drawn["seeds"])[0], size)  # of a view with foreign layers


def corners(top, left, height, width, flipped):
    """Boxes `(batch, 4)` as `Located` gives them: top, left, bottom, right; mirrored ones from right to left."""
    near, far, flipped = left, left + width, flipped[:, None]
    parts = [top, ops.where(flipped, far, near), top + height, ops.where(flipped, near, far)]
    return ops.concatenate(parts, axis=1)


def centers(boxes, grid):
    """The centers of the cells of views that are cut into a grid, such as the places of a map of features.

    Args:
        boxes: float32 `(batch, 4)`, see `Located`.
        grid: pair of ints (rows, columns).

    Returns:
        float32 `(batch, rows * columns, 2)`, row by row: y and x in pixels of the image.

    Example:
        >>> import numpy as np
        >>> centers(np.array([[0.0, 20.0, 10.0, 0.0]], "float32"), (1, 2)).numpy().tolist()  # mirrored
        [[[5.0, 15.0], [5.0, 5.0]]]
    """
    rows, columns = grid
    top, left, bottom, right = ops.split(ops.cast(boxes, "float32"), 4, axis=1)
    y = top + (bottom - top) * ((ops.arange(rows, dtype="float32") + 0.5) / rows)  # (batch, rows)
    x = left + (right - left) * ((ops.arange(columns, dtype="float32") + 0.5) / columns)
    return ops.stack([ops.repeat(y, columns, axis=1), ops.tile(x, (1, rows))], axis=2)


def diagonals(boxes, grid):
    """The diagonals of the cells of views in pixels of the image, float32 `(batch,)`; args as for `centers`."""
    boxes = ops.cast(boxes, "float32")
    height, width = (boxes[:, 2] - boxes[:, 0]) / grid[0], (boxes[:, 3] - boxes[:, 1]) / grid[1]
    return ops.sqrt(ops.square(height) + ops.square(width))


def distances(first, second):
    """How far apart points are: `(batch, n, 2)` and `(batch, m, 2)` to float32 `(batch, n, m)`."""
    return ops.sqrt(ops.sum(ops.square(first[:, :, None] - second[:, None]), axis=-1))


def labels_of_cells(masks, boxes, grid):
    """The label that most of each cell of a view has in a mask of its image; of equally frequent ones the smallest.

    A cell is looked at in 8 x 8 points.

    Args:
        masks: ints `(batch, height, width)`, labels of the pixels of the whole images.
        boxes: float32 `(batch, 4)`, see `Located`.
        grid: pair of ints (rows, columns).

    Returns:
        int32 `(batch, rows * columns)`, row by row.
    """
    rows, columns = grid
    height, width = ops.shape(masks)[1:3]
    points = centers(boxes, (rows * POINTS, columns * POINTS))
    pixels = ops.cast(ops.floor(points), "int32")
    y, x = ops.clip(pixels[..., 0], 0, height - 1), ops.clip(pixels[..., 1], 0, width - 1)
    found = ops.take_along_axis(ops.reshape(ops.cast(masks, "int32"), (-1, height * width)), y * width + x, axis=1)
    found = ops.reshape(found, (-1, rows, POINTS, columns, POINTS))
    found = ops.reshape(ops.transpose(found, (0, 1, 3, 2, 4)), (-1, rows * columns, POINTS**2))
    alike = ops.sum(ops.cast(found[..., None, :] == found[..., :, None], "int32"), axis=-1)  # (batch, cells, points)
    frequent = alike == ops.max(alike, axis=-1, keepdims=True)
    return ops.min(ops.where(frequent, found, 2**31 - 1), axis=-1)
