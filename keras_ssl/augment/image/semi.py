"""Semi: views of labeled images and of the unlabeled ones beside them, weak and strong."""

import keras
from keras import ops

from keras_ssl.augment.image.crop import RandomFlip, RandomResizedCrop
from keras_ssl.augment.image.exemplar import ChangeHSV
from keras_ssl.augment.image.geometry import RandomCrop
from keras_ssl.augment.image.layer import ImageLayer, check_fill
from keras_ssl.augment.image.policies import GRAY, OPERATIONS, Policy, pick_one
from keras_ssl.augment.layer import Augmentation, check_probability, rows
from keras_ssl.augment.random import choose, fold, split, uniform
from keras_ssl.augment.view import View, Views, is_list_of
from keras_ssl.checks import check_ints, is_int
from keras_ssl.inputs import IMAGE, static_shape

CIFAR = (
    "identity", "autocontrast", "equalize", "rotate", "solarize", "color", "posterize", "contrast", "brightness",
    "sharpness", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
TABLES = {"cifar10": CIFAR, "imagenet": (*CIFAR, "invert", "solarize_add")}  # of which strengths which operations are


@keras.saving.register_keras_serializable("keras_ssl")
class SemiViews(Augmentation):
    """Views of labeled images, and views of the unlabeled ones that the data has beside each of them.

    The data holds labeled images in `"image"` and unlabeled ones in `"unlabeled"`, `(batch, ratio, height, width,
    channels)`: see `keras_ssl.data.with_unlabeled`. Each image has draws of its own.

    Args:
        labeled: list of augmentation layers, one for each view of a labeled image.
        unlabeled: list of augmentation layers, one for each view of an unlabeled image: a weak and a strong one for
            `FixMatch`. A layer that ends with several views (`View([crop, Views([...])])`) makes them of one crop.
        seed, name: see `Augmentation`.

    Returns:
        tuple: the views of labeled images `(batch, height, width, channels)`, then those of the unlabeled ones `(batch,
        ratio, height, width, channels)`.

    Raises:
        ValueError: a list is none of layers, or the data has no column `"unlabeled"` of that shape.

    Example:
        >>> import numpy as np
        >>> weak = RandomCrop(32, padding=4, flip=0.5)
        >>> views = SemiViews([weak], [weak, View([weak, Cutout(16)])])
        >>> data = {"image": np.zeros((4, 32, 32, 3), "uint8"), "unlabeled": np.zeros((4, 7, 32, 32, 3), "uint8")}
        >>> [view.shape for view in views(data)]
        [TensorShape([4, 32, 32, 3]), TensorShape([4, 7, 32, 32, 3]), TensorShape([4, 7, 32, 32, 3])]
    """

    kind = IMAGE
    columns = ("unlabeled", "unlabeled_seed")

    def __init__(self, labeled, unlabeled, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        for argument, value in {"labeled": labeled, "unlabeled": unlabeled}.items():
            if not is_list_of(value, Augmentation):
                raise ValueError(f"{argument} must be a list of augmentation layers. Received: {argument}={value}")
        self.labeled, self.unlabeled = list(labeled), list(unlabeled)

    @property
    def separable(self):
        return False  # it makes views of two kinds of images

    def each(self):
        return [*self.labeled, *self.unlabeled]

    def call(self, inputs, seeds=None, training=True):
        images = self.prepare(inputs)
        if training is False:
            return self.rest(images)
        others = unlabeled_images(inputs)
        ratio = others.shape[1]
        seeds = inputs.get("seed", seeds)
        seeds = self.own_seeds(rows(images)) if seeds is None else ops.cast(seeds, "int32")
        own = inputs.get("unlabeled_seed")
        own = ops.stack(split(seeds, range(1, 1 + ratio)), axis=1) if own is None else ops.cast(own, "int32")
        own = ops.reshape(own, (-1, 2))
        others = ops.cast(ops.reshape(others, (-1, *others.shape[2:])), "float32")
        first = [view(images, seeds=fold(seeds, -1 - n)) for n, view in enumerate(self.labeled)]
        then = [view(others, seeds=fold(own, n)) for n, view in enumerate(self.unlabeled)]
        first, then = keras.tree.flatten(first), keras.tree.flatten(then)
        return (*first, *(ops.reshape(view, (-1, ratio, *view.shape[1:])) for view in then))

    def get_config(self):
        lists = {"labeled": self.labeled, "unlabeled": self.unlabeled}
        return super().get_config() | {
            name: [keras.saving.serialize_keras_object(layer) for layer in value] for name, value in lists.items()
        }

    @classmethod
    def from_config(cls, config):
        made = {
            name: [keras.saving.deserialize_keras_object(layer) for layer in config[name]]
            for name in ("labeled", "unlabeled")
        }
        return cls(**{**config, **made})


def unlabeled_images(data):
    """The column of unlabeled images; an error where the data has none, or they are of another shape."""
    found = data.get("unlabeled") if isinstance(data, dict) else None
    shape = static_shape(found) if found is not None else None
    if found is None or shape is not None and (len(shape) != 5 or not isinstance(shape[1], int)):
        what = f"shape={shape}" if found is not None else f"{sorted(data) if isinstance(data, dict) else type(data)}"
        raise ValueError(
            "SemiViews needs the column 'unlabeled' of the data, images of shape (batch, ratio, height, width, "
            f"channels) beside the labeled ones: keras_ssl.data.with_unlabeled makes it. Received: {what}"
        )
    return found


@keras.saving.register_keras_serializable("keras_ssl")
class RandomPolicy(Policy):
    """The RandAugment of FixMatch (Sohn et al., 2020), arXiv:2001.07685: operations of random strength, half of them
    skipped.

    Each of `count` operations is drawn from all and happens with the probability `p`; its level is a whole number from
    1 to 9. Of ten levels, an image is rotated by up to 30 degrees, sheared by 0.3 or moved by 10/32 of its side, to
    either side, mixed with 0.1 + 1.8 times the level, posterized to 4 bits less 4 times the level, or solarized from
    256 less 256 times the level on. These strengths are those of the authors' code for CIFAR-10. With
    `table="imagenet"` they are those of the code for ImageNet: levels from 0 to 10, moved by up to 100/224 of the side,
    posterized to 4 times the level bits (1 at least), solarized from 256 times the level on, and two operations more,
    "invert" and "solarize_add", which adds 110 times the level to pixel values below 128. `RandAugment` has one
    strength for all images, and does not go as far where it posterizes.

    Args:
        count: int, the number of operations (2).
        p: float, the probability of each of them to happen (0.5).
        operations: names of the operations; None for all of the table: 14 for CIFAR-10, 16 for ImageNet.
        table: `"cifar10"` or `"imagenet"`, whose strengths.
        fill: float or one float per channel, the pixel that comes in where the image is moved away.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an argument out of its range, and for the operation "color" without 3 channels.

    Example:
        >>> import numpy as np
        >>> RandomPolicy()(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(
        self,
        count=2,
        p=0.5,
        operations=None,
        fill=GRAY - 0.5,
        table="cifar10",
        seed=None,
        name=None,
        **kwargs,
    ):
        if not isinstance(table, str) or table not in TABLES:
            raise ValueError(f"table must be one of {sorted(TABLES)}. Received: table={table!r}")
        operations = TABLES[table] if operations is None else operations
        super().__init__(operations, fill, seed=seed, name=name, **kwargs)
        check_probability("p", p)
        if not is_int(count, 1):
            raise ValueError(f"count must be a positive int. Received: count={count}")
        self.count, self.p, self.table = count, p, table

    def draw(self, seeds, size):
        draws = ops.split(uniform(seeds, 4 * self.count), 4, axis=1)  # four of (batch, count)
        operation = pick_one(draws[0], len(self.operations))
        level = 1 + choose(draws[3], 8) if self.table == "cifar10" else choose(draws[3], 10)  # 1 to 9, or 0 to 10
        sign = ops.where(draws[2] < 0.5, -1.0, 1.0)
        every = ops.stack([strength(name, level, sign, self.table) for name in self.operations], axis=-1)
        amount = ops.squeeze(ops.take_along_axis(every, operation[..., None], axis=-1), axis=-1)
        return {"operation": ops.where(draws[1] < self.p, operation, -1), "amount": amount}

    def get_config(self):
        config = {"count": self.count, "p": self.p, "operations": self.operations, "fill": self.fill}
        return {**super().get_config(), **config, "table": self.table}


def strength(name, level, sign, table="cifar10"):
    """How strong an operation of a level from 0 to 10 is, in its own unit."""
    assert name in OPERATIONS, name
    if table == "imagenet" and name in ("translate_x", "translate_y"):
        return sign * level * (10 / 224)  # of the side: tens of pixels of 224
    if table == "imagenet" and name == "posterize":
        return ops.maximum(ops.floor(0.4 * level), 1.0)  # bits; 0 of them are 1 in the code, too
    if table == "imagenet" and name == "solarize":
        return ops.floor(25.6 * level)  # threshold
    if name == "solarize_add":
        return ops.floor(11.0 * level)  # pixel values
    if name == "rotate":
        return sign * 3 * level  # degrees
    if name in ("shear_x", "shear_y"):
        return sign * 0.03 * level
    if name in ("translate_x", "translate_y"):
        return sign * level / 32  # of the side: whole pixels of CIFAR-10
    if name in ("color", "contrast", "brightness", "sharpness"):
        return 0.1 + 0.18 * level
    if name == "posterize":
        return 4 - ops.floor(0.4 * level)  # bits
    if name == "solarize":
        return 256 - ops.floor(25.6 * level)  # threshold
    return ops.zeros_like(level)


@keras.saving.register_keras_serializable("keras_ssl")
class Cutout(ImageLayer):
    """Cutout (DeVries and Taylor, 2017), arXiv:1708.04552: a square of each image is painted over.

    Its middle is any pixel, so that a part of it may lie outside; `RandomErasing` keeps all of its box inside.

    Args:
        size: int, the side of the square in pixels: half of the image's for CIFAR-10 (16).
        fill: float or one float per channel, the pixel of the square.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid size or pixel.

    Example:
        >>> import numpy as np
        >>> Cutout(16)(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, size, fill=GRAY - 0.5, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_ints(2, size=size)
        self.size, self.fill = size, check_fill(fill)

    def draw(self, seeds, size):
        draws = uniform(seeds, 2)
        middle = [choose(draws[:, axis], ops.cast(side - 1, "float32")) for axis, side in enumerate(size)]
        return {"middle": ops.stack(middle, axis=1)}

    def transform(self, images, middle):
        half = self.size // 2
        inside = []
        for axis, side in enumerate(ops.shape(images)[1:3]):
            place, center = ops.arange(side, dtype="float32")[None, :], middle[:, axis : axis + 1]
            inside.append((place >= center - half) & (place < center - half + self.size))
        hidden = inside[0][:, :, None, None] & inside[1][:, None, :, None]
        return ops.where(hidden, ops.cast(ops.convert_to_tensor(self.fill), "float32"), images)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "fill": self.fill}


# Recipes


def weak(size, flip=0.5, small=True):
    """Crop and mirror: of a margin of an eighth that mirrors the image for small images, else of the image.

    Boxes have at least a tenth of the area, as in the authors' code of FixMatch and of S4L for ImageNet.
    """
    if small:
        return RandomCrop(size, padding=size // 8, reflect=True, flip=flip)
    return RandomResizedCrop(size, scale=(0.1, 1.0), flip=flip)


def fixmatch(size=32, count=2, p=0.5, cutout=None, flip=0.5, small=True, colors=True, seed=None):
    """FixMatch (Sohn et al., 2020), arXiv:2001.07685: one view of labeled images, a weak and a strong one of others.

    Weak is crop and mirror; strong is that, then `RandomPolicy` and `Cutout`, the paper's variant with RandAugment.
    (Its other one, CTAugment, which learns its strengths while it trains, is not built.) As in the authors' code, both
    views of a small image have crops of their own, both of a large one have the same crop; the strong view of a large
    one has the operations and strengths for ImageNet, and no square.

    For `FixMatch` and `UDA`. (The policy of UDA's own code has "invert", no "identity" and a smaller square, and comes
    before crop and mirror.)

    Args:
        size: int, the side of the views in pixels.
        count: int, the number of operations of the strong view.
        p: float, the probability of each of them to happen.
        cutout: float, the side of the square that is painted over as a part of the view's; 0 for none. None: 0.5 for
            small images, else 0.
        flip: float, the probability to mirror left and right (0 for digits).
        small: whether crops are moved by up to an eighth of the side, as for CIFAR-10; otherwise they are random boxes,
            as for ImageNet.
        colors: whether the images have three channels; False leaves out the operation "color".
        seed: int or None, see `Augmentation`.

    Returns:
        `SemiViews` of three views.

    Raises:
        ValueError: an argument is out of its range; or, when it is called, images have not 3 channels while `colors`.

    Example:
        >>> import numpy as np
        >>> data = {"image": np.zeros((2, 32, 32, 3), "uint8"), "unlabeled": np.zeros((2, 7, 32, 32, 3), "uint8")}
        >>> [view.shape for view in fixmatch(32)(data)]
        [TensorShape([2, 32, 32, 3]), TensorShape([2, 7, 32, 32, 3]), TensorShape([2, 7, 32, 32, 3])]
    """
    check_ints(2, size=size)
    cutout = (0.5 if small else 0.0) if cutout is None else cutout
    check_probability("cutout", cutout)
    table = "cifar10" if small else "imagenet"
    operations = None if colors else [name for name in TABLES[table] if name != "color"]
    policy = RandomPolicy(count, p, operations, GRAY - 0.5 if small else GRAY, table)
    strong = [policy, Cutout(max(2, round(cutout * size)))] if cutout else [policy]
    if small:
        unlabeled = [weak(size, flip), View([weak(size, flip), *strong])]
    else:
        unlabeled = [View([weak(size, flip, small=False), Views([RandomFlip(0.0), View(strong)])])]
    return SemiViews([weak(size, flip, small)], unlabeled, seed=seed)


def pseudo_label(size=32, flip=0.5, small=True, seed=None):
    """Crop and mirror, of labeled and of unlabeled images: for `PseudoLabel`, `VAT` and `S4L` with rotations.

    Args:
        size, flip, small, seed: see `fixmatch`.

    Returns:
        `SemiViews` of two views.
    """
    return SemiViews([weak(size, flip, small)], [weak(size, flip, small)], seed=seed)


def s4l_exemplar(size=32, count=8, scale=(0.1, 1.0), flip=0.5, seed=None):
    """S4L (Zhai et al., 2019), arXiv:1905.03670: several views of labeled and of unlabeled images, for `S4L`.

    A view is a random box, mirrored or not, with noise of hue, saturation and value: that of Exemplar-CNN, as in the
    authors' code, with factors from 0.71 to 1.41 (uniform here, their logarithms there).

    Args:
        size: int, the side of the views in pixels.
        count: int, the views of each image.
        scale: pair of floats, the range of the box's area as a part of the image's.
        flip: float, the probability to mirror left and right.
        seed: int or None, see `Augmentation`.

    Returns:
        `SemiViews` of `count` views of both.
    """
    check_ints(2, size=size, count=count)
    noise = ChangeHSV(factor=(2**-0.5, 2**0.5))
    view = View([RandomResizedCrop(size, scale=scale, flip=flip), noise])
    return SemiViews([view] * count, [view] * count, seed=seed)
