"""Filters: what the first layer of an encoder looks for."""

import keras
import numpy as np

from keras_ssl.checks import check_ints
from keras_ssl.visualize.figure import finish
from keras_ssl.visualize.grids import grid


def filters(encoder, count=64, path=None):
    """The kernels of the layer that reads the pixels, as small images: edges and colors, noise before training.

    It is the first convolution on images of the encoder's channels: that of a ResNet, the patch projection of a
    ViT. Each kernel has a scale of its own, with gray for 0. The strongest ones come first.

    Args:
        encoder: `keras.Model` from images to features, of 1 or 3 channels.
        count: positive int, how many are shown at most.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: no layer of the encoder is a convolution on pixels.

    Example:
        >>> images = keras.Input((8, 8, 3))
        >>> x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3)(images))
        >>> drawn = filters(keras.Model(images, x))
    """
    check_ints(count=count)
    kernels = kernels_of(encoder)
    strongest = np.argsort(-np.abs(kernels).max(axis=(1, 2, 3)), kind="stable")[:count]
    across = min(len(strongest), 16)
    drawn, axes = grid(-(-len(strongest) // across), across, inch=0.6)
    for axis in axes.ravel()[len(strongest):]:
        axis.remove()
    for axis, kernel in zip(axes.ravel(), kernels[strongest]):
        shown = 0.5 + kernel / (2 * max(np.abs(kernel).max(), 1e-30))
        axis.imshow(shown[..., 0] if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=1)
    return finish(drawn, path)


def kernels_of(encoder):
    """`(filters, height, width, channels)`, float32."""
    if not isinstance(encoder, keras.Model):
        raise TypeError(f"encoder must be a keras.Model from images to features. Received: {type(encoder).__name__}")
    channels = encoder.input_shape[-1]
    for layer in encoder._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D) and layer.built:
            kernel = layer.kernel.numpy().astype("float32")
            if kernel.shape[2] == channels and channels in (1, 3) and max(kernel.shape[:2]) > 1:
                return np.moveaxis(kernel, -1, 0)
    raise ValueError(f"The encoder '{encoder.name}' has no convolution that reads images of 1 or 3 channels.")
