"""Policies: RandAugment and AutoAugment, with operations, strengths and order of their own for every image.

The operations are Pillow's. Those that jump between pixel values (`equalize`, `posterize`, `solarize`) first round
them to whole ones, the others do not. A batch is computed whole, operation by operation; of a single image only the
operation that it has drawn.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_ssl.augment.image.color import luma
from keras_ssl.augment.image.geometry import pick
from keras_ssl.augment.image.layer import ImageLayer, check_fill, per_image
from keras_ssl.augment.layer import check_probability
from keras_ssl.augment.random import uniform
from keras_ssl.checks import is_int, is_number

GRAY = 128.0
# The best policy found on ImageNet, arXiv:1805.09501, table 9: pairs of (operation, probability, magnitude of 0 to 9).
IMAGENET = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)


class Policy(ImageLayer):
    """Base of the policies: a row of steps, and in each an operation of its own for every image.

    A subclass draws `operation`, an int32 tensor `(batch, steps)` of indices into `operations`, -1 for none, and
    `amount`, a float32 tensor `(batch, steps)`.

    Args:
        operations: names out of `OPERATIONS`.
        fill: float or one float per channel, the pixel that comes in where the image is moved away.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an unknown operation, and for "color" of images without 3 channels.
    """

    def __init__(self, operations, fill, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not isinstance(operations, (list, tuple)) or not operations or not set(operations) <= set(OPERATIONS):
            raise ValueError(f"operations must be a list of some of {OPERATIONS}. Received: operations={operations}")
        self.operations = tuple(operations)
        self.fill = check_fill(fill)

    def transform(self, images, operation, amount):
        if "color" in self.operations and images.shape[-1] != 3:
            raise ValueError(
                f"The operation 'color' of {type(self).__name__} needs images with 3 channels (red, green, blue): "
                f"leave it out for other images. Received: images.shape={tuple(images.shape)}"
            )
        step = one_of if images.shape[0] == 1 else each
        for number in range(operation.shape[1]):
            images = step(images, self.operations, operation[:, number], amount[:, number], self.fill)
        return images


@keras.saving.register_keras_serializable("keras_ssl")
class RandAugment(Policy):
    """RandAugment: Practical automated data augmentation with a reduced search space (Cubuk et al., 2019),
    arXiv:1909.13719: a few operations of one magnitude after another, each drawn from all.

    Of the geometric operations and of the four that mix (`color`, `contrast`, `brightness`, `sharpness`) the sign is
    random, so that a larger magnitude is always a larger change. At the magnitude 10 an image is sheared by 0.3,
    translated by 0.45 of its side, rotated by 30 degrees, mixed with 1 - 0.9 or 1 + 0.9, posterized to 4 bits, or
    solarized from 0 on.

    Args:
        count: int, the number of operations (the paper's N).
        magnitude: float from 0 to 10 (the paper's M; torchvision counts to 30).
        deviation: float, the standard deviation of the magnitude, cut at 0 and 10.
        p: float, the probability of each of the operations to happen.
        operations: names of the operations; the default are the paper's 14.
        fill: float or one float per channel, the pixel that comes in where the image is moved away.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an argument out of its range, and for the operation "color" without 3 channels.

    Example:
        >>> import numpy as np
        >>> RandAugment(2, 9)(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(
        self,
        count=2,
        magnitude=9,
        deviation=0.0,
        p=1.0,
        operations=(
            "identity", "autocontrast", "equalize", "rotate", "solarize", "color", "posterize", "contrast",
            "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y",
        ),
        fill=GRAY,
        seed=None,
        name=None,
        **kwargs,
    ):  # fmt: skip
        super().__init__(operations, fill, seed=seed, name=name, **kwargs)
        check_probability("p", p)
        if not is_int(count, 1):
            raise ValueError(f"count must be a positive int. Received: count={count}")
        if not is_number(magnitude) or not 0 <= magnitude <= 10:
            raise ValueError(f"magnitude must be from 0 to 10. Received: magnitude={magnitude}")
        if not is_number(deviation, 0):
            raise ValueError(f"deviation must not be negative. Received: deviation={deviation}")
        self.count, self.magnitude, self.deviation, self.p = count, magnitude, deviation, p

    def draw(self, seeds, size):
        draws = ops.split(uniform(seeds, 5 * self.count), 5, axis=1)  # five of (batch, count)
        operation = pick_one(draws[0], len(self.operations))
        normal = ops.sqrt(-2 * ops.log(1 - draws[3])) * ops.cos(2 * math.pi * draws[4])
        level = ops.clip(self.magnitude + self.deviation * normal, 0, 10) / 10
        amount = amounts(self.operations, operation, level, ops.where(draws[2] < 0.5, -1.0, 1.0))
        return {"operation": ops.where(draws[1] < self.p, operation, -1), "amount": amount}

    def get_config(self):
        config = {"count": self.count, "magnitude": self.magnitude, "deviation": self.deviation, "p": self.p}
        return {**super().get_config(), **config, "operations": self.operations, "fill": self.fill}


@keras.saving.register_keras_serializable("keras_ssl")
class AutoAugment(Policy):
    """AutoAugment: Learning Augmentation Policies from Data (Cubuk et al., 2018), arXiv:1805.09501: two operations
    one after the other, of a list of learned pairs.

    Signs are random and strengths those of `RandAugment`, its magnitude 10 at the magnitude 9 here. The paper leaves
    the signs open; so do torchvision and others.

    Args:
        policy: list of pairs of (operation, probability, magnitude from 0 to 9); the default is the paper's for
            ImageNet.
        fill: float or one float per channel, the pixel that comes in where the image is moved away.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid policy, and for the operation "color" without 3 channels.

    Example:
        >>> import numpy as np
        >>> AutoAugment()(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, policy=IMAGENET, fill=GRAY, seed=None, name=None, **kwargs):
        received = policy
        try:
            policy = tuple(tuple((str(what), float(p), float(level)) for what, p, level in pair) for pair in policy)
        except (TypeError, ValueError):
            policy = ()
        if not policy or len({len(pair) for pair in policy}) != 1:
            raise ValueError(
                "policy must be a list of pairs of (operation, probability, magnitude). "
                f"Received: policy={received!r}"
            )
        for what, p, level in sum(policy, ()):
            check_probability(f"The probability of '{what}' in policy", p)
            if not 0 <= level <= 9:
                raise ValueError(f"The magnitudes of policy must be from 0 to 9. Received: {(what, p, level)}")
        super().__init__(sorted({what for what, _, _ in sum(policy, ())}), fill, seed=seed, name=name, **kwargs)
        self.policy = policy

    def draw(self, seeds, size):
        steps = len(self.policy[0])
        draws = uniform(seeds, 1 + 2 * steps)
        pair = pick_one(draws[:, 0], len(self.policy))
        table = np.array(
            [[(self.operations.index(what), p, level / 9) for what, p, level in pair] for pair in self.policy],
            "float32",
        )
        row = ops.take(table, pair, axis=0)  # (batch, steps, 3)
        operation = ops.cast(row[..., 0], "int32")
        sign = ops.where(draws[:, 1 + steps :] < 0.5, -1.0, 1.0)
        amount = amounts(self.operations, operation, row[..., 2], sign)
        return {"operation": ops.where(draws[:, 1 : 1 + steps] < row[..., 1], operation, -1), "amount": amount}

    def get_config(self):
        return {**super().get_config(), "policy": self.policy, "fill": self.fill}


def pick_one(draw, count):
    return ops.minimum(ops.cast(draw * count, "int32"), count - 1)


# How strong an operation of a level from 0 to 1 is, in its own unit.


def amounts(names, operation, level, sign):
    """The amounts of the operations, with `operation`, `level` and `sign` of one shape."""
    every = ops.stack([strength(name, level, sign) for name in names], axis=-1)
    return ops.squeeze(ops.take_along_axis(every, operation[..., None], axis=-1), axis=-1)


def strength(name, level, sign):
    if name == "rotate":
        return sign * 30 * level  # degrees, counter-clockwise
    if name in ("shear_x", "shear_y"):
        return sign * 0.3 * level
    if name in ("translate_x", "translate_y"):
        return sign * 0.45 * level  # of the side
    if name in ("color", "contrast", "brightness", "sharpness"):
        return 1 + sign * 0.9 * level  # of the image; the rest is the other one
    if name == "posterize":
        return 8 - ops.round(4 * level)  # bits
    if name == "solarize":
        return 256 * (1 - level)  # threshold
    if name == "solarize_add":
        return 110 * level  # pixel values
    return ops.zeros_like(level)


# The operations. `amount` is a tensor (batch,).


def each(images, names, operation, amount, fill):
    """Every image of a batch by its own operation."""
    chosen = {name: operation == number for number, name in enumerate(names)}
    moves = [name for name in names if name in MOVES]
    if moves:
        _, height, width, _ = ops.shape(images)
        zero = ops.zeros_like(amount)
        matrix = [MOVES[name](ops.where(chosen[name], amount, zero), height, width) for name in moves]
        images = move(images, [sum(entries) for entries in zip(*matrix, strict=True)], fill)
    results = [(name, CHANGES[name](images, amount)) for name in names if name in CHANGES]
    for name, changed in results:
        images = ops.where(per_image(chosen[name]), changed, images)
    return images


def one_of(image, names, operation, amount, fill):
    """A single image by its operation."""

    def branch(name):
        if name in MOVES:
            return lambda image, amount: move(image, MOVES[name](amount, *ops.shape(image)[1:3]), fill)
        return CHANGES.get(name, lambda image, amount: image)

    branches = [branch("identity"), *(branch(name) for name in names)]
    return ops.switch(operation[0] + 1, branches, image, amount)


def move(images, matrix, fill):
    """The nearest pixels of an affine map: `matrix` is what it differs by from the identity, see `MOVES`."""
    a, b, c, d, e, f = (entry[:, None, None] for entry in matrix)
    _, height, width, _ = ops.shape(images)
    y = ops.arange(height, dtype="float32")[None, :, None] + 0.5
    x = ops.arange(width, dtype="float32")[None, None, :] + 0.5
    columns, rows = x + (a * x + b * y + c), y + (d * x + e * y + f)
    return pick(images, ops.cast(ops.floor(rows), "int32"), ops.cast(ops.floor(columns), "int32"), fill)


def rotate(degrees, height, width):
    angle = degrees * (math.pi / 180)
    sine, less = ops.sin(angle), ops.cos(angle) - 1
    x, y = ops.cast(width, "float32") / 2, ops.cast(height, "float32") / 2
    return less, -sine, sine * y - less * x, sine, less, -sine * x - less * y


def shear_x(amount, height, width):
    return (*[0 * amount], amount, *[0 * amount] * 4)


def shear_y(amount, height, width):
    return (*[0 * amount] * 3, amount, *[0 * amount] * 2)


def translate_x(amount, height, width):
    return (*[0 * amount] * 2, amount * ops.cast(width, "float32"), *[0 * amount] * 3)


def translate_y(amount, height, width):
    return (*[0 * amount] * 5, amount * ops.cast(height, "float32"))


def mixed(images, other, amount):
    return ops.clip(other + per_image(amount) * (images - other), 0, 255)


def gray(images):
    return luma(ops.unstack(images, axis=-1))[..., None]


def color(images, amount):
    return mixed(images, gray(images), amount)


def contrast(images, amount):
    return mixed(images, ops.mean(gray(images), axis=(1, 2), keepdims=True), amount)


def brightness(images, amount):
    return mixed(images, 0.0, amount)


def sharpness(images, amount):
    """Mixed with the smoothed image, whose border stays."""
    threes = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    middle = images[:, 1:-1, 1:-1]
    smooth = (threes[:, :, :-2] + threes[:, :, 1:-1] + threes[:, :, 2:] + 4 * middle) / 13
    changed = ops.pad(mixed(middle, smooth, amount) - middle, [(0, 0), (1, 1), (1, 1), (0, 0)])
    return images + changed


def autocontrast(images, amount):
    """Every channel is stretched to 0 to 255."""
    low, high = ops.min(images, axis=(1, 2), keepdims=True), ops.max(images, axis=(1, 2), keepdims=True)
    return ops.where(high > low, (images - low) * (255 / ops.maximum(high - low, 1)), images)


def equalize(images, amount):
    """Every channel gets a flat histogram."""
    batch, height, width, channels = ops.shape(images)
    plane = ops.arange(batch, dtype="int32")[:, None] * channels + ops.arange(channels, dtype="int32")
    place = plane[:, None, None, :] * 256 + ops.cast(ops.clip(ops.round(images), 0, 255), "int32")
    ones = ops.reshape(ops.ones_like(place), (-1,))
    counts = ops.segment_sum(ones, ops.reshape(place, (-1,)), num_segments=batch * channels * 256)
    counts = ops.reshape(counts, (-1, 256))
    below = ops.cumsum(counts, axis=1) - counts
    last = ops.max(ops.where(counts > 0, below, 0), axis=1, keepdims=True)  # all pixels but the brightest
    step = last // 255
    table = ops.minimum((step // 2 + below) // ops.maximum(step, 1), 255)
    table = ops.where(step > 0, table, ops.arange(256, dtype="int32")[None, :])
    return ops.cast(ops.take(ops.reshape(table, (-1,)), place), "float32")


def solarize(images, amount):
    return ops.where(ops.round(images) >= per_image(amount), 255 - images, images)


def solarize_add(images, amount):
    """The darker half of the pixel values becomes brighter."""
    return ops.where(ops.round(images) < 128, ops.minimum(images + per_image(amount), 255), images)


def invert(images, amount):
    return 255 - images


def posterize(images, amount):
    step = per_image(2.0 ** (8 - amount))
    return ops.floor(ops.round(images) / step) * step


MOVES = {
    "rotate": rotate, "shear_x": shear_x, "shear_y": shear_y, "translate_x": translate_x, "translate_y": translate_y,
}  # fmt: skip
CHANGES = {
    "autocontrast": autocontrast, "equalize": equalize, "solarize": solarize, "color": color, "posterize": posterize,
    "contrast": contrast, "brightness": brightness, "sharpness": sharpness, "invert": invert,
    "solarize_add": solarize_add,
}  # fmt: skip
OPERATIONS = ("identity", *MOVES, *CHANGES)
