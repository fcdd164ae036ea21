"""Decode: the bytes of an image file -> pixels 0..255 of one static shape, and what is wrong where that fails."""

import tensorflow as tf

from keras_ssl.data.order import whole

EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")


def pair(size):
    """`size` as (height, width)."""
    if isinstance(size, (tuple, list)) and len(size) == 2:
        values = tuple(size)
    else:
        values = (size, size)
    try:
        sides = tuple(whole("size", value, 1) for value in values)
        if max(sides) > 2**16:  # no format of an image has more pixels along a side
            raise ValueError
        return sides
    except (TypeError, ValueError):
        kind = TypeError if any(not isinstance(v, int) or isinstance(v, bool) for v in values) else ValueError
        raise kind(
            f"size must be a positive int, or a pair of them (height, width), in pixels. Received: size={size!r}"
        ) from None


def colours(channels):
    if whole("channels", channels, 1) not in (1, 3, 4):
        raise ValueError(f"channels must be 1 (grey), 3 (RGB) or 4 (RGBA). Received: channels={channels}")
    return channels


def decode(data, channels):
    """The bytes of a JPEG, PNG, GIF (first frame), BMP or WebP file -> uint8 `(height, width, channels)`."""
    image = tf.io.decode_image(data, channels=channels, expand_animations=False)
    return tf.ensure_shape(image, (None, None, channels))


def fit(image, size, upscale=False):
    """Resize the short side to `size` (bilinear, antialiased), then crop the centre.

    Args:
        image: uint8 `(height, width, channels)` or `(batch, height, width, channels)`.
        size: (height, width), or None for the image as it is.
        upscale: whether an image that is smaller than `size` is enlarged, or an error.

    Returns:
        uint8, with the static height and width `size`.
    """
    if size is None:
        return image
    shape = tf.shape(image)[-3:-1]
    target = tf.constant(size)

    def resize():
        if not upscale:
            tf.debugging.Assert(tf.reduce_all(shape >= target), ["image smaller than size", shape])
        scale = tf.reduce_max(tf.cast(target, tf.float64) / tf.cast(shape, tf.float64))
        scaled = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32), target)
        resized = tf.cast(tf.round(tf.image.resize(image, scaled, antialias=True)), tf.uint8)
        top, left = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
        return resized[..., top : top + size[0], left : left + size[1], :]

    image = tf.cond(tf.reduce_all(tf.equal(shape, target)), lambda: image, resize)
    return tf.ensure_shape(image, (*image.shape[:-3], *size, image.shape[-1]))


def problem(name, data, channels, size, upscale):
    """What keeps the bytes `data` (or the exception met while reading them) from being an image: text, or None."""
    if isinstance(data, Exception):
        reason = str(getattr(data, "message", data)).split(" [Op:")[0].split("; ")[-1]
        return f"{name} cannot be read: {reason}. Was it moved or deleted, or is it not readable for this user?"
    if len(data) == 0:
        return f"{name} is empty (0 bytes)."
    try:
        image = decode(data, channels)
    except (tf.errors.OpError, ValueError) as error:
        return (
            f"{name} ({len(data)} bytes) is not an image that can be decoded to {channels} channel(s): it is broken, "
            f"or none of JPEG, PNG, GIF, BMP, WebP. The decoder said: {brief(error)}{hint(error, channels)}"
        )
    height, width = image.shape[:2]
    if size is not None and not upscale and (height < size[0] or width < size[1]):
        return (
            f"{name} is {height} x {width} pixels (height x width), smaller than size={size}. "
            "Pass a smaller size, or upscale=True."
        )
    return None


def hint(error, channels):
    animated = "WebP Animation" in str(error) and channels != 4
    return ". It is animated: save its first frame as an image, or pass channels=4." if animated else ""


def brief(error):
    """The first line of an error of TensorFlow, without the name of the node."""
    text = str(getattr(error, "message", error)).strip().splitlines()[0]
    return text.split("}} ")[-1].split(" [Op:")[0]
