"""Multi-crop: views of several sizes through one encoder (SwAV, https://arxiv.org/abs/2006.09882)."""

from keras import ops


def multi_crop(encoder, views, training=False):
    """The features of all views. Views of equal size go through the encoder in one call, as in SwAV, DINO and MSN.

    Batch normalization therefore mixes the statistics of all views of one size, and those of no two sizes.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` that takes the sizes of the views, such as
            `resnet18((None, None, 3), stem="cifar")` or `vit((None, None, 3), patch=4, grid=8)`.
        views: list of images `(batch, height, width, channels)`.
        training: whether the encoder runs in training mode.

    Returns:
        `(views * batch, dim)`, the features of the first view, then those of the second, and so on.

    Raises:
        ValueError: the encoder takes images of one size, and a view has another.

    Example:
    ```python
    encoder = keras_ssl.encoders.resnet18((None, None, 3), stem="cifar")
    views = keras_ssl.augment.swav_cifar(32, local_size=16, local_count=4)(images)
    features = keras_ssl.encoders.multi_crop(encoder, views)  # (6 * batch, 512)
    ```
    """
    sizes = {}
    for number, view in enumerate(views):
        check_size(encoder, view)
        sizes.setdefault(tuple(view.shape[1:]), []).append(number)
    features = {}
    for numbers in sizes.values():
        images = ops.concatenate([views[number] for number in numbers])
        rows = encoder(images, training=training)
        features |= zip(numbers, ops.split(rows, len(numbers)))
    return ops.concatenate([features[number] for number in range(len(views))])


def check_size(encoder, view):
    expected, found = tuple(encoder.input_shape[1:]), tuple(view.shape[1:])
    if any(None not in (a, b) and a != b for a, b in zip(expected, found)):
        raise ValueError(
            f"The encoder '{encoder.name}' takes images of shape {expected} and a view has {found}. Build it for any "
            "size, for example encoders.resnet18((None, None, 3), stem='cifar') or encoders.vit((None, None, 3), "
            "patch=4, grid=8), or make all views of one size."
        )
