"""AMDIM's network: Learning Representations by Maximizing Mutual Information Across Views (Bachman et al., 2019).

https://arxiv.org/abs/1906.00910, after its authors' code, without its optional batch normalization inside.
"""

import keras
from keras import layers, ops

from keras_ssl.checks import check_ints
from keras_ssl.encoders.resnet import LAST, _normalize, _shape

# Of each size of image: the factors of the width, the windows and the strides of the blocks down to 7 x 7 places.
BLOCKS = {32: ((2, 4, 2), (4, 2, 2)), 64: ((2, 4, 2), (4, 4, 2), (8, 2, 2)), 128: ((2, 4, 2), (4, 4, 2), (8, 2, 2))}


def amdim_net(input_shape=(32, 32, 3), *, width=128, dim=1024, depth=3, preprocessing=True, name="amdim_net"):
    """Residual blocks without padding: no place knows where the border is. 15.8 million parameters for 32 pixels.

    Nothing is normalized but the features. A residual branch starts at 0, and its shortcut is a mean over the window
    with channels of zeros appended. The outputs of 7 x 7 and 5 x 5 places are the layers `"local7"` and `"local5"`, the
    maps of `keras_ssl.AMDIM`.

    Args:
        input_shape: ints `(height, width, channels)`, sides of 32, 64 or 128 pixels.
        width: int, channels of the first convolution (ndf: 128 for 32 pixels; 192 to 320 for ImageNet).
        dim: int, size of the features (n_rkhs: 1024; 1536 to 2560).
        depth: int, convolutions with a shortcut in each block (3; 8 to 10).
        preprocessing: see `resnet18`.
        name: str.

    Returns:
        a functional `keras.Model` of plain Keras layers: images to features `(batch, dim)`.

    Raises:
        ValueError: the images have another size.

    Example:

    >>> amdim_net((32, 32, 3), width=16, dim=128).get_layer("local5").output.shape
    (None, 5, 5, 64)
    """
    input_shape = _shape(input_shape)
    check_ints(width=width, dim=dim, depth=depth)
    side = input_shape[0]
    if side not in BLOCKS or input_shape[1] != side:
        raise ValueError(f"input_shape must have sides of 32, 64 or 128 pixels. Received: input_shape={input_shape}")
    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1], preprocessing) if preprocessing else images
    if side == 128:
        x = ops.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
        x = layers.ReLU()(_conv(x, width, 5, 2, use_bias=True))
    x = layers.ReLU()(_conv(x, width, 3, 1, use_bias=True))
    if side == 32:
        x = _residual(x, width, 1, 1)
    *first, last = BLOCKS[side]
    for factor, window, stride in first:
        x = _block(x, factor * width, window, stride, depth)
    factor, window, stride = last
    x = _block(x, factor * width, window, stride, depth, name="local7")
    x = _block(x, factor * width, 3, 1, depth, name="local5")
    x = _residual(_block(x, factor * width, 3, 1, depth), dim, 3, 1)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="features_bn")(x)
    return keras.Model(images, layers.Flatten(data_format=LAST, name="features")(x), name=name)


def _block(x, filters, window, stride, depth, name=None):
    sizes = [(window, stride)] + [(1, 1)] * (depth - 1)
    for number, (window, stride) in enumerate(sizes, start=1):
        x = _residual(x, filters, window, stride, name if number == depth else None)
    return x


def _residual(x, filters, window, stride, name=None):
    y = layers.ReLU()(_conv(x, filters, window, stride))
    y = _conv(y, filters, 1, 1, initializer="zeros")
    if x.shape[-1] > filters:
        x = _conv(x, filters, window, stride, use_bias=True)
    else:
        x = layers.AveragePooling2D(window, stride, data_format=LAST)(x) if window > 1 else x
        more = filters - x.shape[-1]
        x = ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, more))) if more else x
    return layers.Add(name=name)([x, y])


def _conv(x, filters, window, stride, use_bias=False, initializer=None):
    start = initializer or keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Conv2D(filters, window, stride, use_bias=use_bias, kernel_initializer=start, data_format=LAST)(x)
