"""Segments: masks that number the regions of images, found without labels, for methods that compare regions."""

import numpy as np

from keras_ssl.checks import check_ints, check_numbers


def segment(images, scale=1000.0, sigma=0.8, min_size=1000):
    """Regions of alike color, by the graph-based segmentation of Felzenszwalb and Huttenlocher (2004).

    It needs the package scikit-image: `pip install keras_ssl[segment]`. Do it once, and keep the masks: it takes
    milliseconds to seconds an image.

    Args:
        images: array `(n, height, width, channels)` of 0..255, of 1 or 3 channels.
        scale: float > 0, larger for larger regions (1000 in DetCon, for photographs of ImageNet's size).
        sigma: float >= 0, width of the blur before, in pixels.
        min_size: int, pixels of the smallest region (1000 in DetCon). For images of 64 pixels some 20 to 100.

    Returns:
        int32 `(n, height, width)`: the regions of each image, numbered from 0.

    Raises:
        ImportError: scikit-image is missing.
        ValueError: the images are not such an array.

    Example:
        ```python
        columns = {"image": images, "mask": keras_ssl.data.segment(images, scale=100, min_size=50)}
        model.fit(keras_ssl.data.arrays(columns, 256), epochs=100)
        ```

    Reference: Efficient Graph-Based Image Segmentation (Felzenszwalb, Huttenlocher, 2004).
    """
    check_numbers(above=0, scale=scale)
    check_numbers(least=0, sigma=sigma)
    check_ints(min_size=min_size)
    images = checked(images)
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise ImportError("data.segment needs scikit-image: pip install 'keras_ssl[segment]'") from error
    options = {"scale": scale, "sigma": sigma, "min_size": min_size}
    found = [felzenszwalb(image.astype("float32") / 255.0, channel_axis=-1, **options) for image in images]
    return np.stack(found).astype("int32")


def grid_segments(images, rows=4, columns=None):
    """Regions that are the cells of a grid: DetCon's masks without any segmentation.

    Args:
        images: array or tensor `(n, height, width, channels)`.
        rows: int, cells along the height.
        columns: int, cells along the width; None for as many as rows.

    Returns:
        int32 array `(n, height, width)`, numbered from 0, row by row.

    Example:
        >>> grid_segments(np.zeros((1, 2, 4, 3)), 1, 2)[0].tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    columns = rows if columns is None else columns
    check_ints(rows=rows, columns=columns)
    count, height, width = images.shape[:3]
    down, across = (np.arange(side) * cells // side for side, cells in ((height, rows), (width, columns)))
    return np.tile((down[:, None] * columns + across).astype("int32"), (count, 1, 1))


def checked(images):
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.dtype.kind not in "uif":
        raise ValueError(
            "images must be an array (n, height, width, channels) of 0..255, of 1 or 3 channels. Received: "
            f"shape={images.shape}, dtype={images.dtype}"
        )
    return images
