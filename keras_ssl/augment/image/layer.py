"""Image layers: what those of images share."""

from keras import ops

from keras_ssl import inputs
from keras_ssl.augment.layer import Augmentation
from keras_ssl.checks import is_number


class ImageLayer(Augmentation):
    """Base of the layers of images: float32 `(batch, height, width, channels)` from 0 to 255.

    Args:
        seed, name: see `Augmentation`.
    """

    kind = inputs.IMAGE


def per_image(x):
    """`(batch,)` as `(batch, 1, 1, 1)`, to meet images."""
    return ops.reshape(x, (-1, 1, 1, 1))


def check_fill(value, none=False):
    """The value of new pixels, a number or one per channel, as a number or a tuple."""
    numbers = value if isinstance(value, (tuple, list)) else (value,)
    if not (none and value is None) and not (numbers and all(map(is_number, numbers))):
        kinds = "a number, one per channel or None" if none else "a number or one per channel"
        raise ValueError(f"fill must be {kinds}. Received: fill={value!r}")
    return tuple(value) if isinstance(value, list) else value
