"""AlexNet: ImageNet Classification with Deep Convolutional Neural Networks (Krizhevsky et al., 2012), with batch norm.

The form of RotNet (https://arxiv.org/abs/1803.07728) and its authors' code: one tower, 64 to 384 channels, batch
normalization in place of local response normalization and dropout. Most tables of linear probes by layer are of such.
"""

import keras
from keras import layers

from keras_ssl.checks import is_int
from keras_ssl.encoders.resnet import LAST, _normalize, _shape


def alexnet_bn(input_shape=(224, 224, 3), *, hidden=4096, stride=4, preprocessing=True, name=None):
    """AlexNet with batch normalization: five convolutions and two dense layers, features of size `hidden`.

    57 million parameters, 2.5 million of them in the convolutions. Their outputs, after the ReLU and before the
    pooling, are the layers `conv1_relu` to `conv5_relu`, for `keras_ssl.eval.layer_probes`.

    Args:
        input_shape: ints `(height, width, channels)`; height and width may be None where `hidden` is None.
        hidden: positive int, units of both dense layers, or None for none: the features are then the mean of the last
            map, of 256 channels.
        stride: positive int, of the first convolution: 4; 2 for tiles of 64 pixels.
        preprocessing: as for `resnet18`.
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: images of 0..255 `(batch, height, width, channels)` to features `(batch, hidden)`.

    Raises:
        ValueError: where an argument is out of its range, or the images are too small.

    Example:
    ```python
    encoder = keras_ssl.encoders.alexnet_bn((224, 224, 3), hidden=None)
    features = encoder(np.zeros((4, 224, 224, 3), "uint8"))  # (4, 256)
    ```
    """
    input_shape = _shape(input_shape)
    if hidden is not None and not is_int(hidden, 1):
        raise ValueError(f"hidden must be a positive int or None. Received: hidden={hidden!r}")
    if not is_int(stride, 1):
        raise ValueError(f"stride must be a positive int. Received: stride={stride!r}")
    for side in input_shape[:2]:
        if side is None and hidden is not None or side is not None and last_side(side, stride) < 1:
            raise ValueError(
                "input_shape must be large enough for three poolings, and known where there are dense layers "
                f"(hidden=None leaves them out). Received: input_shape={input_shape}, stride={stride}"
            )

    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1], preprocessing) if preprocessing else images
    for i, (filters, size) in enumerate([(64, 11), (192, 5), (384, 3), (256, 3), (256, 3)]):
        pad = 2 if i < 2 else 1
        x = layers.ZeroPadding2D(pad, data_format=LAST, name=f"conv{i + 1}_pad")(x)
        fan_in = size * size * x.shape[-1]
        x = layers.Conv2D(
            filters, size, stride if i == 0 else 1, data_format=LAST, kernel_initializer=torch_uniform(),
            bias_initializer=keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5), name=f"conv{i + 1}",
        )(x)  # fmt: skip
        x = _normalized(x, f"conv{i + 1}")
        if i in (0, 1, 4):
            x = layers.MaxPooling2D(3, 2, data_format=LAST, name=f"pool{i + 1}")(x)
    if hidden is None:
        x = layers.GlobalAveragePooling2D(data_format=LAST, name="pool")(x)
    else:
        x = layers.Flatten(name="flat")(x)
        for i in (6, 7):
            x = layers.Dense(hidden, use_bias=False, kernel_initializer=torch_uniform(), name=f"fc{i}")(x)
            x = _normalized(x, f"fc{i}")
    return keras.Model(images, x, name=name or "alexnet_bn")


def _normalized(x, name):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def last_side(side, stride):
    """The side of the last map."""
    side = (side + 4 - 11) // stride + 1
    side = (side - 3) // 2 + 1  # the first pooling
    return ((side - 3) // 2 + 1 - 3) // 2 + 1 if side >= 3 else 0


def torch_uniform():
    """PyTorch's own start of a layer: uniform between plus and minus the inverse root of the fan-in."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
