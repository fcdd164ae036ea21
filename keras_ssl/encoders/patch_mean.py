"""Patch mean: an encoder of patches as an encoder of images, which are cut on a grid.

As Representation Learning with Contrastive Predictive Coding (van den Oord et al., 2018), arXiv 1807.03748, scores its
features.
"""

import keras
from keras import layers, ops

from keras_ssl.checks import check_ints
from keras_ssl.encoders.resnet import LAST


def patch_mean(encoder, grid, patch, stride):
    """An encoder of images out of one of patches: the mean of the features of all patches of a grid.

    Args:
        encoder: built `keras.Model` from patches `(batch, patch, patch, channels)`, or from images of any size, to
            features `(batch, dim)`.
        grid: int, rows and columns of the grid.
        patch: int, the side of a patch in pixels.
        stride: int, pixels from a patch to the next one; half of `patch` where they overlap by half.

    Returns:
        `keras.Model` of plain Keras layers from images `(batch, height, width, channels)` to `(batch, dim)`. Images of
        another size than the grid's, `(grid - 1) * stride + patch` pixels to a side, are resized to it. It shares its
        weights with `encoder`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((None, None, 3), stem="cifar")
    >>> patch_mean(encoder, grid=5, patch=10, stride=5).output_shape
    (None, 512)
    """
    check_ints(grid=grid, patch=patch, stride=stride)
    side = (grid - 1) * stride + patch
    images = keras.Input((None, None, encoder.input_shape[-1]), name="images")
    # Full precision under a mixed policy too, which would round the pixels.
    whole = layers.Resizing(side, side, data_format=LAST, dtype="float32", name="resize")(images)
    patches = [
        layers.Cropping2D(
            ((top, side - patch - top), (left, side - patch - left)), data_format=LAST, dtype="float32"
        )(whole)
        for top in range(0, side - patch + 1, stride)
        for left in range(0, side - patch + 1, stride)
    ]  # fmt: skip
    each = encoder(layers.Concatenate(axis=0, dtype="float32", name="patches")(patches))
    features = ops.reshape(each, (grid**2, -1, encoder.output_shape[-1]))
    return keras.Model(images, ops.mean(features, axis=0), name=f"{encoder.name}_mean")
