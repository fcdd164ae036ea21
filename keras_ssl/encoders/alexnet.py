"""AlexNet: ImageNet Classification with Deep Convolutional Neural Networks (Krizhevsky et al., 2012), in two forms.

`caffenet` is the one of Caffe's reference model, which pools before it normalizes: that of Jigsaw, and of the first
tables of linear probes by layer. Context Prediction's has no groups, a margin of 5 pixels around the image, and batch
normalization in its upper layers. `alexnet_bn` is that of RotNet
(https://arxiv.org/abs/1803.07728) and its authors' code: one tower, 64 to 384 channels, batch normalization in place of
local response normalization and dropout.
"""

import keras
from keras import layers, ops

from keras_ssl.checks import check_numbers, is_int
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
    input_shape = _checked(input_shape, hidden, stride, pad=2)
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


def caffenet(input_shape=(227, 227, 3), *, hidden=4096, stride=4, dropout=0.5, preprocessing=True, name=None):
    """CaffeNet: five convolutions, three of them in two groups, and two dense layers, features of size `hidden`.

    57 million parameters, 2.3 million of them in the convolutions. Their outputs, after the ReLU and before the
    pooling, are the layers `conv1_relu` to `conv5_relu`, for `keras_ssl.eval.layer_probes`. It has no batch
    normalization, starts with small weights, and wants a small rate or `hidden=None`.

    Args:
        input_shape: ints `(height, width, channels)`; height and width may be None where `hidden` is None.
        hidden: positive int, units of both dense layers, or None for none: the features are then the mean of the last
            map, of 256 channels.
        stride: positive int, of the first convolution: 4; 2 for tiles of 64 pixels, as in Jigsaw.
        dropout: float in [0, 1), after each dense layer.
        preprocessing: as for `resnet18`. The original takes pixels less the mean, not divided by a deviation.
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: images of 0..255 `(batch, height, width, channels)` to features `(batch, hidden)`.

    Raises:
        ValueError: where an argument is out of its range, or the images are too small.

    Example:
    ```python
    encoder = keras_ssl.encoders.caffenet((64, 64, 3), hidden=None, stride=2)
    features = encoder(np.zeros((4, 64, 64, 3), "uint8"))  # (4, 256)
    ```
    """
    input_shape = _checked(input_shape, hidden, stride, pad=0)
    check_numbers(least=0, below=1, dropout=dropout)
    images = keras.Input(input_shape, name="images")
    x = _normalize(images, input_shape[-1], preprocessing) if preprocessing else images
    rows = [(96, 11, 1, 0.0), (256, 5, 2, 1.0), (384, 3, 1, 0.0), (384, 3, 2, 1.0), (256, 3, 2, 1.0)]
    for i, (filters, size, groups, bias) in enumerate(rows):
        x = layers.Conv2D(
            filters, size, stride if i == 0 else 1, "valid" if i == 0 else "same", LAST, groups=groups,
            activation="relu", kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=keras.initializers.Constant(bias), name=f"conv{i + 1}_relu",
        )(x)  # fmt: skip
        if i in (0, 1, 4):
            x = layers.MaxPooling2D(3, 2, data_format=LAST, name=f"pool{i + 1}")(x)
        if i < 2:
            x = LocalResponseNormalization(name=f"norm{i + 1}")(x)
    if hidden is None:
        x = layers.GlobalAveragePooling2D(data_format=LAST, name="pool")(x)
    else:
        x = layers.Flatten(name="flat")(x)
        for i in (6, 7):
            x = layers.Dense(
                hidden, "relu", kernel_initializer=keras.initializers.RandomNormal(stddev=0.005),
                bias_initializer="ones", name=f"fc{i}",
            )(x)  # fmt: skip
            x = layers.Dropout(dropout, name=f"dropout{i}")(x)
    return keras.Model(images, x, name=name or "caffenet")


@keras.saving.register_keras_serializable("keras_ssl")
class LocalResponseNormalization(layers.Layer):
    """Each value is divided by a power of the mean square of its neighbors among the channels, as in Caffe.

    `x / (1 + alpha * mean square) ** beta`, over a window of `size` channels, with zeros outside, in float32.

    Args:
        size: odd positive int, channels of the window (5).
        alpha: float, see above (1e-4).
        beta: float, see above (0.75).
        name: str, the name of the layer.
    """

    def __init__(self, size=5, alpha=1e-4, beta=0.75, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        if not is_int(size, 1) or size % 2 == 0:
            raise ValueError(f"size must be an odd positive int. Received: size={size!r}")
        check_numbers(alpha=alpha, beta=beta)
        self.size, self.alpha, self.beta = size, alpha, beta

    def call(self, x):
        exact = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        half, channels = self.size // 2, x.shape[-1]
        squares = ops.pad(ops.square(exact), [(0, 0)] * (len(x.shape) - 1) + [(half, half)])
        mean = sum(squares[..., i : i + channels] for i in range(self.size)) / self.size
        return ops.cast(exact * (1 + self.alpha * mean) ** -self.beta, x.dtype)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "size": self.size, "alpha": self.alpha, "beta": self.beta}


def _checked(input_shape, hidden, stride, pad):
    """The shape as a tuple; an error where it does not go with the layers."""
    input_shape = _shape(input_shape)
    if hidden is not None and not is_int(hidden, 1):
        raise ValueError(f"hidden must be a positive int or None. Received: hidden={hidden!r}")
    if not is_int(stride, 1):
        raise ValueError(f"stride must be a positive int. Received: stride={stride!r}")
    for side in input_shape[:2]:
        if side is None and hidden is not None or side is not None and last_side(side + 2 * pad, stride) < 1:
            raise ValueError(
                "input_shape must be large enough for three poolings, and known where there are dense layers "
                f"(hidden=None leaves them out). Received: input_shape={input_shape}, stride={stride}"
            )
    return input_shape


def _normalized(x, name):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def last_side(side, stride):
    """The side of the last map, of images with their margin."""
    side = (side - 11) // stride + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


def torch_uniform():
    """PyTorch's own start of a layer: uniform between plus and minus the inverse root of the fan-in."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
