"""Decode: the bytes of an image file -> pixels 0..255 of one static shape, and what is wrong where that fails.

TensorFlow decodes what it decodes right, as it is fast: JPEG, PNG, plain WebP. Pillow decodes the rest, so that every
file that viewers open is converted into 1, 3 or 4 channels: files with a palette, CMYK, GIF, BMP, TIFF.
"""

import io
import os

import numpy as np
import tensorflow as tf

from keras_ssl.data.order import whole

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
MORE = (".heic", ".heif", ".avif", ".jp2", ".jxl")  # read where Pillow can, by itself or by an installed plug-in
LARGEST = 2**27  # pixels of one image: 400 MB of RGB


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


def colors(channels):
    if whole("channels", channels, 1) not in (1, 3, 4):
        raise ValueError(f"channels must be 1 (gray), 3 (RGB) or 4 (RGBA). Received: channels={channels}")
    return channels


def decode(data, channels, orient=False):
    """The bytes of an image file -> uint8 `(height, width, channels)`; of several frames the first one.

    Args:
        data: string scalar.
        channels: 1 (gray, by the weights of Rec. 601), 3 (RGB, what is transparent shows its color) or 4 (RGBA).
        orient: whether to turn the image upright, as the orientation tag of cameras (EXIF) says.
    """
    branches = [
        lambda: by_pillow(data, channels),
        lambda: with_alpha(decode_jpeg(data, min(channels, 3)), channels),
        lambda: from_rgb(tf.io.decode_png(data, channels=max(channels, 3)), channels),
        lambda: from_rgb(tf.io.decode_image(data, channels=3, expand_animations=False), channels),
    ]
    image = tf.switch_case(which(data, channels), branches)
    if orient:
        image = oriented(image, orientation(data))
    return tf.ensure_shape(image, (None, None, channels))


def decode_jpeg(data, channels):
    # The accurate transform gives the pixels of other readers, bit for bit, and takes 9 % longer for photographs; the
    # default one of TensorFlow is off by up to 21 levels.
    return tf.io.decode_jpeg(data, channels=channels, dct_method="INTEGER_ACCURATE")


def which(data, channels):
    """Which of the decoders reads a file, by its first bytes: 0, that of Pillow, for all that is not known to be right.

    An error where the image has more pixels than one may have.
    """
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 32), tf.uint8, fixed_length=32)

    def begins(*values, at=0):
        return tf.reduce_all(head[at : at + len(values)] == tf.constant(values, tf.uint8))

    def number(at):
        return tf.reduce_sum(tf.cast(head[at : at + 4], tf.int64) * tf.constant([2**24, 2**16, 2**8, 1], tf.int64))

    def jpeg():
        shape = tf.io.extract_jpeg_shape(data)
        bound(tf.cast(shape[0], tf.int64), tf.cast(shape[1], tf.int64))
        return tf.where(shape[2] == 4, 0, 1)  # CMYK

    def png():
        bound(number(20), number(16))
        with_palette, bits = head[25] == 3, head[24]
        return tf.where(with_palette | (bits < 8), 0, 2)

    def other():
        # The only kind of WebP that cannot be transparent or animated.
        webp = begins(*b"RIFF") & begins(*b"WEBPVP8 ", at=8)
        return tf.where(webp & (channels != 4), 3, 0)

    return tf.cond(begins(0xFF, 0xD8, 0xFF), jpeg, lambda: tf.cond(begins(*b"\x89PNG\r\n"), png, other))


def bound(height, width):
    tf.debugging.assert_less_equal(
        height * width, tf.constant(LARGEST, tf.int64), f"The image has more than {LARGEST} pixels"
    )


def from_rgb(image, channels):
    """RGB or RGBA as 1, 3 or 4 channels."""
    if channels != 1:
        return image
    weights = tf.constant([19595, 38470, 7471], tf.int32)  # Rec. 601, in 65536ths
    return tf.cast((tf.reduce_sum(tf.cast(image, tf.int32) * weights, -1, keepdims=True) + 2**15) // 2**16, tf.uint8)


def with_alpha(image, channels):
    return tf.concat([image, 255 * tf.ones_like(image[..., :1])], -1) if channels == 4 else image


def by_pillow(data, channels):
    image = tf.numpy_function(lambda data: pillow(data, channels), [data], tf.uint8, stateful=False)
    return tf.ensure_shape(image, (None, None, channels))


def content(data):
    """The bytes of a file, which TensorFlow may hand over inside an array."""
    return data.item() if hasattr(data, "item") else data


def pillow(data, channels):
    """The pixels of an image, by Pillow."""
    Image = library()
    with Image.open(io.BytesIO(content(data))) as image:
        if image.width * image.height > LARGEST:
            raise ValueError(f"The image has more than {LARGEST} pixels: {image.width} x {image.height}")
        image.load()
        if image.mode.startswith("I;16"):  # Pillow cuts off what is above 255
            image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
        if image.mode in ("I", "F"):
            check_levels(np.asarray(image))
        if image.mode == "P" and "transparency" in image.info or channels == 4:
            image = image.convert("RGBA")
        pixels = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


def check_levels(values):
    """Raises where numbers of 32 bits are no levels from 0 to 255: what is black and what is white is not known."""
    low, high = float(values.min()), float(values.max())
    if not (0 <= low and high <= 255 and (high > 1 or high == 0)):
        raise ValueError(
            f"The pixels are numbers of 32 bits from {low:.4g} to {high:.4g}, and which of them is white is not known: "
            "convert the image to 8 or 16 bits"
        )


def library():
    """Pillow, with the plug-in for HEIC where that is installed."""
    try:
        from PIL import Image
    except ImportError:
        raise ValueError("Pillow is not installed, which reads such files: pip install pillow") from None
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass
    return Image


def readable():
    """The extensions of the files that can be read here."""
    try:
        Image = library()
    except ValueError:
        return EXTENSIONS
    Image.init()
    return EXTENSIONS + tuple(one for one in MORE if Image.registered_extensions().get(one) in Image.OPEN)


# Orientation: 1 to 8, a number that cameras write. An image is turned upright by mirroring its rows (3, 4, 6, 7) and
# its columns (2, 3, 7, 8), and then changing rows and columns (5 to 8).


def orientation(data):
    """The orientation of a JPEG, PNG or WebP file as int32, 1 where it has none. Pillow turns TIFF and HEIC itself."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, 6), tf.uint8, fixed_length=6)
    # Most JPEG files of data sets are told by their first bytes: after the header of JFIF no further one follows.
    length = tf.cast(head[4], tf.int32) * 256 + tf.cast(head[5], tf.int32)
    after = tf.strings.substr(data, tf.minimum(4 + length, tf.strings.length(data)), 2)
    after = tf.io.decode_raw(after, tf.uint8, fixed_length=2)
    plain = (head[0] == 0xFF) & (head[1] == 0xD8) & (head[3] == 0xE0) & (after[1] < 0xE1)
    return tf.cond(
        plain,
        lambda: 1,
        lambda: tf.ensure_shape(tf.numpy_function(exif_orientation, [data], tf.int32, stateful=False), ()),
    )


def exif_orientation(data):
    """The orientation that the bytes of a file name, 1 where they name none. Without Pillow for JPEG, as it is slow."""
    data = content(data)
    try:
        if data[:2] == b"\xff\xd8":
            place = 2
            while data[place] == 0xFF and 0xE0 <= data[place + 1] <= 0xEF:
                length = int.from_bytes(data[place + 2 : place + 4], "big")
                if data[place + 4 : place + 10] == b"Exif\0\0":
                    return np.int32(tag(data[place + 10 : place + 2 + length]))
                place += 2 + length
        elif data[:4] in (b"\x89PNG", b"RIFF") and (b"eXIf" in data or b"EXIF" in data):
            with library().open(io.BytesIO(data)) as image:
                return np.int32(valid(image.getexif().get(274)))
    except Exception:  # what is damaged names none; the decoder says what is wrong with the image
        pass
    return np.int32(1)


def tag(block):
    """The orientation out of a block of TIFF tags."""
    order = "little" if block[:2] == b"II" else "big"
    place = int.from_bytes(block[4:8], order)
    for entry in range(int.from_bytes(block[place : place + 2], order)):
        at = place + 2 + 12 * entry
        if int.from_bytes(block[at : at + 2], order) == 274:
            return valid(int.from_bytes(block[at + 8 : at + 10], order))
    return 1


def valid(number):
    return number if number in range(1, 9) else 1


def one_of(number, *numbers):
    return tf.reduce_any(tf.constant(numbers) == number)


def upright(pixels, number):
    """An array `(height, width, channels)`, upright."""
    pixels = pixels[::-1] if number in (3, 4, 6, 7) else pixels
    pixels = pixels[:, ::-1] if number in (2, 3, 7, 8) else pixels
    return pixels.swapaxes(0, 1) if number >= 5 else pixels


def oriented(image, number):
    """An image `(height, width, channels)`, upright."""
    image = tf.cond(one_of(number, 3, 4, 6, 7), lambda: tf.reverse(image, [0]), lambda: image)
    image = tf.cond(one_of(number, 2, 3, 7, 8), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(number >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)


def stored(window, shape, number):
    """Where a window (top, left, height, width) of the upright image lies in the stored one, of (height, width)."""
    window = tf.where(number >= 5, tf.gather(window, [1, 0, 3, 2]), window)
    top, left, height, width = tf.unstack(window)
    top = tf.where(one_of(number, 3, 4, 6, 7), shape[0] - top - height, top)
    left = tf.where(one_of(number, 2, 3, 7, 8), shape[1] - left - width, left)
    return tf.stack([top, left, height, width])


def fit(image, size, upscale=False):
    """Resize the short side to `size` (bilinear, antialiased), then crop the center.

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
        ratio = tf.reduce_max(tf.cast(target, tf.float64) / tf.cast(shape, tf.float64))
        scaled = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float64) * ratio), tf.int32), target)
        # Of the resized image only the center is computed: what is thin would become huge.
        resized = tf.raw_ops.ScaleAndTranslate(
            images=image if image.shape.rank == 4 else image[None],
            size=target,
            scale=tf.cast(scaled, tf.float32) / tf.cast(shape, tf.float32),
            translation=-tf.cast((scaled - target) // 2, tf.float32),
            kernel_type="triangle",
            antialias=True,
        )
        resized = tf.cast(tf.round(resized), tf.uint8)
        return resized if image.shape.rank == 4 else resized[0]

    image = tf.cond(tf.reduce_all(tf.equal(shape, target)), lambda: image, resize)
    return tf.ensure_shape(image, (*image.shape[:-3], *size, image.shape[-1]))


def problem(name, data, channels, size, upscale, orient=False):
    """What keeps the bytes `data` (or the exception met while reading them) from being an image: text, or None."""
    if isinstance(data, Exception):
        reason = str(getattr(data, "message", data)).split(" [Op:")[0].split("; ")[-1]
        return f"{name} cannot be read: {reason}. Was it moved or deleted, or is it not readable for this user?"
    if len(data) == 0:
        return f"{name} is empty (0 bytes)."
    try:
        image = decode(data, channels, orient)
    except Exception as error:  # decoders raise errors of many kinds
        return (
            f"{name} ({len(data)} bytes) is not an image that can be decoded to {channels} channel(s): it is broken, "
            f"or none of JPEG, PNG, GIF, BMP, WebP, TIFF. The decoder said: {brief(error)}"
            f"{'. Pillow reads HEIC files by a plug-in: pip install pillow-heif.' if data[4:8] == b'ftyp' else ''}"
        )
    height, width = image.shape[:2]
    if size is not None and not upscale and (height < size[0] or width < size[1]):
        return (
            f"{name} is {height} x {width} pixels (height x width), smaller than size={size}. "
            "Pass a smaller size, or upscale=True."
        )
    return None


def brief(error):
    """The first line of an error of TensorFlow that says something, without the name of the node."""
    lines = [line.strip() for line in str(getattr(error, "message", error)).strip().splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Traceback", "File ", "return ", "raise "))]
    return (lines or ["nothing"])[0].split("}} ")[-1].split(" [Op:")[0]


def unread(extensions):
    """How many files of which kinds of images are left out, and why, in words; "" where there are none.

    Args:
        extensions: dict from the extensions of the files that are left out to their numbers.
    """
    kinds = {kind: count for kind, count in sorted(extensions.items()) if kind in MORE}
    if not kinds:
        return ""
    counts = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    return f"{counts}. Pillow cannot read them here: install a plug-in, pillow-heif for .heic and .heif."


def extension(path):
    return os.path.splitext(path)[1].lower()
