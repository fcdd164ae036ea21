"""DIM's network: Learning deep representations by mutual information estimation and maximization (Hjelm et al., 2018).

https://arxiv.org/abs/1808.06670, after its authors' code.
"""

import keras
from keras import layers

from keras_ssl.checks import check_ints
from keras_ssl.encoders.resnet import LAST, _normalize, _shape


def dim_net(input_shape=(32, 32, 3), *, width=64, dim=1024, preprocessing=True, name="dim_net"):
    """4x4 convolutions of stride 2 down to 4 x 4 places, then one Dense: 4.9 million parameters for 32 pixels.

    Each is batch-normalized and goes through a ReLU; each convolution has twice the channels of the one before. The
    output of 8 x 8 places is the layer `"local"`, the map of `keras_ssl.DIM`. Its weights start as those of a ResNet.

    Args:
        input_shape: ints `(height, width, channels)`, sides equal and 4 times a power of 2, from 16 pixels: 32 or 64 in
            the paper.
        width: int, channels of the first convolution (64).
        dim: int, size of the features (1024).
        preprocessing: see `resnet18`.
        name: str.

    Returns:
        a functional `keras.Model` of plain Keras layers: images to features `(batch, dim)`.

    Raises:
        ValueError: the images have no such size.

    Example:

    >>> dim_net((32, 32, 3)).get_layer("local").output.shape
    (None, 8, 8, 128)
    """
    input_shape = _shape(input_shape)
    check_ints(width=width, dim=dim)
    side = input_shape[0]
    if input_shape[0] != input_shape[1] or side is None or side < 16 or side & (side - 1):
        raise ValueError(
            "input_shape must have equal sides of 16, 32, 64, 128, ... pixels. Received: "
            f"input_shape={input_shape}. Crop or resize the images in the view."
        )
    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1], preprocessing) if preprocessing else images
    number = 0
    while side > 4:
        number, side = number + 1, side // 2
        x = layers.ZeroPadding2D(1, data_format=LAST, name=f"conv{number}_pad")(x)
        x = layers.Conv2D(
            width * 2 ** (number - 1), 4, 2, use_bias=False, data_format=LAST,
            kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
            name=f"conv{number}",
        )(x)  # fmt: skip
        x = _normalized(x, f"conv{number}", "local" if side == 8 else f"conv{number}_relu")
    x = layers.Flatten(data_format=LAST, name="flat")(x)
    return keras.Model(images, _normalized(layers.Dense(dim, use_bias=False, name="dense")(x), "dense"), name=name)


def _normalized(x, name, relu=None):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=relu or f"{name}_relu")(x)
