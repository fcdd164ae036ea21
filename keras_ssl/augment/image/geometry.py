"""Geometry: crops, sizes and rotations that move whole pixels, or resample an image once."""

import math

import keras
import numpy as np
from keras import ops

from keras_ssl.augment.image.crop import resample, resampling
from keras_ssl.augment.image.filters import Filter
from keras_ssl.augment.image.layer import ImageLayer, check_fill, per_image
from keras_ssl.augment.layer import check_probability
from keras_ssl.augment.random import uniform
from keras_ssl.checks import check_flags, is_int, is_number
from keras_ssl.pixels import check_size

RIGHT_ANGLES = (0, 90, 180, 270)


@keras.saving.register_keras_serializable("keras_ssl")
class RandomCrop(ImageLayer):
    """A box of one size is cut out at a random place, of the image or of the image with a margin around it.

    Pixels are moved and stay what they are. `RandomCrop(32, padding=4, flip=0.5)` is the usual view of CIFAR.

    Args:
        size: int or pair of ints (height, width), the size of the box in pixels.
        padding: int, the width of the margin in pixels.
        reflect: whether the margin mirrors the image (without the border pixel itself) instead of being filled.
        fill: float, the pixel value of a margin that is filled.
        flip: float, the probability to mirror left and right, which costs nothing here.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: where the box is larger than the image with its margin, or a mirrored margin wider than the image.

    Example:
        >>> import numpy as np
        >>> RandomCrop(32, padding=4)(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, size, padding=0, reflect=False, fill=0.0, flip=0.0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_size("size", size)
        check_probability("flip", flip)
        if not is_int(padding, 0):
            raise ValueError(f"padding must be an int, 0 or more. Received: padding={padding!r}")
        self.size = tuple(size) if isinstance(size, list) else size
        check_flags(reflect=reflect)
        self.padding, self.reflect, self.fill, self.flip = padding, reflect, check_fill(fill), flip

    def draw(self, seeds, size):
        draws = uniform(seeds, 3)
        places = []
        for axis, (side, new) in enumerate(zip(size, check_size("size", self.size), strict=True)):
            room = side + 2 * self.padding - new
            if isinstance(room, int) and (room < 0 or (self.reflect and self.padding >= side)):
                raise ValueError(
                    f"size must be at most the image's with its padding, and a reflected padding less than the image. "
                    f"Received: size={self.size}, padding={self.padding} and images of {size[0]} x {size[1]} pixels"
                )
            room = ops.cast(room, "float32")
            start = ops.cast(ops.minimum(ops.floor(draws[:, axis] * (room + 1)), room), "int32") - self.padding
            step = ops.arange(new, dtype="int32")[None, :]
            if axis == 1 and self.flip:
                step = ops.where((draws[:, 2] < self.flip)[:, None], new - 1 - step, step)
            place = start[:, None] + step
            places.append(side - 1 - ops.absolute(side - 1 - ops.absolute(place)) if self.reflect else place)
        return {"rows": places[0], "columns": places[1]}

    def transform(self, images, rows, columns):
        return pick(images, rows[:, :, None], columns[:, None, :], self.fill)

    def resized(self, size):
        return check_size("size", self.size)

    def get_config(self):
        config = {"size": self.size, "padding": self.padding, "reflect": self.reflect, "fill": self.fill}
        return {**super().get_config(), **config, "flip": self.flip}


@keras.saving.register_keras_serializable("keras_ssl")
class Resize(Filter):
    """Images are resampled to one size as a whole, bilinear and antialiased as `RandomResizedCrop` does it.

    Args:
        size: int or pair of ints (height, width), the size of the output in pixels.
        name: str, the name of the layer.

    Raises:
        ValueError: for an invalid size.
    """

    def __init__(self, size, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        check_size("size", size)
        self.size = tuple(size) if isinstance(size, list) else size

    def transform(self, images):
        height, width = (ops.cast(side, "float32") for side in ops.shape(images)[1:3])
        return cut(images, 0.0, 0.0, height, width, check_size("size", self.size))

    def resized(self, size):
        return check_size("size", self.size)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("keras_ssl")
class CenterCrop(Filter):
    """The middle of each image, resized to one size: the view of evaluation.

    The box has the shape of the output. "Resize the shorter side to 256 pixels, crop the middle 224" is
    `CenterCrop(224, part=224 / 256)`, in one resampling.

    Args:
        size: int or pair of ints (height, width), the size of the output in pixels.
        part: float above 0, up to 1: the box's sides as a part of those of the largest box of this shape.
        name: str, the name of the layer.

    Raises:
        ValueError: for an invalid size or part.

    Example:
        >>> import numpy as np
        >>> CenterCrop(224, part=0.875)(np.zeros((4, 300, 500, 3), "uint8")).shape
        TensorShape([4, 224, 224, 3])
    """

    def __init__(self, size, part=1.0, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        check_size("size", size)
        if not is_number(part) or not 0 < part <= 1:
            raise ValueError(f"part must be above 0 and at most 1. Received: part={part!r}")
        self.size = tuple(size) if isinstance(size, list) else size
        self.part = part

    def transform(self, images):
        size = check_size("size", self.size)
        sides = [ops.cast(side, "float32") for side in ops.shape(images)[1:3]]
        unit = ops.minimum(sides[0] / size[0], sides[1] / size[1]) * self.part
        lengths = [ops.clip(ops.round(unit * length), 1, side) for length, side in zip(size, sides, strict=True)]
        top, left = (ops.floor((side - length) / 2) for length, side in zip(lengths, sides, strict=True))
        return cut(images, top, left, *lengths, size)

    def resized(self, size):
        return check_size("size", self.size)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "part": self.part}


@keras.saving.register_keras_serializable("keras_ssl")
class Rotations(Filter):
    """All rotations of each image, as a tuple of views: RotNet (Gidaris et al., 2018), arXiv:1803.07728.

    Multiples of 90 degrees move pixels and change none. Where one angle is an odd multiple of 45, every view is the
    largest square that the rotated images fill, so that no black corner tells the angle; those angles are bilinear.
    Flip before the rotation, not after it: a flip makes 90 degrees of 270.

    Args:
        degrees: ints, multiples of 45, counter-clockwise: one view each, in this order.
        name: str, the name of the layer.

    Raises:
        ValueError: for other angles.

    Example:
        >>> import numpy as np
        >>> views = Rotations()(np.zeros((4, 32, 32, 3), "uint8"))
        >>> len(views)
        4
    """

    def __init__(self, degrees=RIGHT_ANGLES, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.degrees = check_degrees(degrees)

    @property
    def separable(self):
        return False  # of one image it gives several

    def transform(self, images):
        return rotated(images, self.degrees)

    def get_config(self):
        return {**super().get_config(), "degrees": self.degrees}


@keras.saving.register_keras_serializable("keras_ssl")
class RandomRotate(ImageLayer):
    """Each image is rotated by one of a few angles, as in `Rotations`, which gives them all.

    Args:
        degrees: ints, multiples of 45, counter-clockwise; each is as likely as the others. An angle may stand there
            more than once.
        label: whether the layer also returns which it was: the tuple (images, int32 `(batch,)`), an index into
            `degrees`.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for other angles, and for images that are not square where an angle is 90 or 270.

    Example:
        >>> import numpy as np
        >>> images, label = RandomRotate(label=True)(np.zeros((4, 32, 32, 3), "uint8"))
    """

    def __init__(self, degrees=RIGHT_ANGLES, label=False, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        self.degrees = check_degrees(degrees)
        check_flags(label=label)
        self.label = label

    @property
    def separable(self):
        return not self.label  # with it, it gives a tuple

    def draw(self, seeds, size):
        count = len(self.degrees)
        return {"label": ops.minimum(ops.cast(uniform(seeds, 1)[:, 0] * count, "int32"), count - 1)}

    def transform(self, images, label):
        if images.shape[1] != images.shape[2] and any(degrees % 180 == 90 for degrees in self.degrees):
            raise ValueError(
                "Images that are rotated by 90 or 270 degrees must be square, to have one size: put RandomRotate "
                f"behind the crop. Received: images.shape={tuple(images.shape)}"
            )
        degrees = ops.take(ops.convert_to_tensor(self.degrees, dtype="int32"), label)
        bases = upright(images, self.degrees)
        images = bases[0]
        if len(bases) > 1:
            images = ops.where(per_image(degrees % 90 == 45), bases[1], images)
        turns = degrees // 90 % 4
        if images.shape[1] == images.shape[2]:
            images = ops.where(per_image(turns % 2 == 1), ops.transpose(images, (0, 2, 1, 3)), images)
        images = ops.where(per_image((turns == 1) | (turns == 2)), ops.flip(images, axis=1), images)
        images = ops.where(per_image(turns >= 2), ops.flip(images, axis=2), images)
        return (images, label) if self.label else images

    def get_config(self):
        return {**super().get_config(), "degrees": self.degrees, "label": self.label}


def check_degrees(degrees):
    valid = isinstance(degrees, (list, tuple)) and len(degrees) > 0
    if not valid or not all(is_int(x, -(2**31)) and x % 45 == 0 for x in degrees):
        raise ValueError(f"degrees must be a list of multiples of 45. Received: degrees={degrees}")
    return tuple(degrees)


def cut(images, top, left, box_height, box_width, size):
    """The same box of all images, resized."""
    height, width = ops.shape(images)[1:3]
    column = ops.zeros_like(images[:, 0, 0, :1])  # (batch, 1)
    rows = resampling(column + top, column + box_height, height, size[0])
    columns = resampling(column + left, column + box_width, width, size[1])
    return resample(images, rows, columns)


def pick(images, rows, columns, fill=0.0):
    """The pixels at int32 `rows` and `columns`, per image; `fill` where they are outside.

    Rows and columns must broadcast to `(batch, new height, new width)`.
    """
    batch, height, width, channels = ops.shape(images)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image = ops.arange(batch, dtype="int32")[:, None, None]
    place = (image * height + ops.clip(rows, 0, height - 1)) * width + ops.clip(columns, 0, width - 1)
    found = ops.take(ops.reshape(images, (-1, channels)), place, axis=0)
    return ops.where(inside[..., None], found, ops.cast(ops.convert_to_tensor(fill), "float32"))


def rotated(images, degrees):
    """The images rotated by each of the degrees, see `Rotations`: a tuple, in their order."""
    bases = upright(images, degrees)
    return tuple(quarter_turns(bases[angle % 90 // 45], angle // 90 % 4) for angle in degrees)


def quarter_turns(images, turns):
    """The images turned counter-clockwise by `turns` times 90 degrees, for all images alike."""
    if turns % 2:
        images = ops.transpose(images, (0, 2, 1, 3))
    return ops.flip(images, axis={0: (), 1: 1, 2: (1, 2), 3: 2}[turns]) if turns else images


def inner_side(height, width):
    """The side of the largest square that images fill however they are turned."""
    shorter = min(height, width)
    side = int(shorter / math.sqrt(2))
    return side - (shorter - side) % 2  # so that the square is in the middle to the pixel


def upright(images, degrees):
    """What quarter turns start from: the images; where needed also turned by 45 degrees, both cut to what is filled."""
    if all(angle % 90 == 0 for angle in degrees):
        return (images,)
    height, width, channels = images.shape[1:]
    if height is None or width is None:
        raise ValueError(
            "Rotations by odd multiples of 45 degrees need images of a known size: put them behind the crop. "
            f"Received: images.shape={tuple(images.shape)}"
        )
    side = inner_side(height, width)
    if side < 1:
        raise ValueError(f"Images are too small to rotate. Received: images.shape={tuple(images.shape)}")
    top, left = (height - side) // 2, (width - side) // 2
    y, x = np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2, indexing="ij")
    row = top + (side - 1) / 2 + math.sqrt(0.5) * (x + y)
    column = left + (side - 1) / 2 + math.sqrt(0.5) * (x - y)
    above, before = np.floor(row).astype("int32"), np.floor(column).astype("int32")
    pixels = ops.reshape(images, (-1, height * width, channels))
    slanted = 0.0
    for down in (0, 1):
        for across in (0, 1):
            weight = (1 - np.abs(row - above - down)) * (1 - np.abs(column - before - across))
            place = np.minimum(above + down, height - 1) * width + np.minimum(before + across, width - 1)
            found = ops.reshape(ops.take(pixels, place.reshape(-1), axis=1), (-1, side, side, channels))
            slanted = slanted + found * weight[None, :, :, None].astype("float32")
    return images[:, top : top + side, left : left + side], slanted
