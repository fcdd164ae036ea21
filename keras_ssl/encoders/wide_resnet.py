"""Wide ResNet (Zagoruyko, Komodakis, 2016), https://arxiv.org/abs/1605.07146, as FixMatch's authors have it."""

import math

import keras
from keras import layers

from keras_ssl.checks import check_ints
from keras_ssl.encoders.resnet import LAST, _normalize, _shape


def wide_resnet(input_shape=(32, 32, 3), *, depth=28, width=2, momentum=0.999, preprocessing=True, name=None):
    """A wide residual network for small images: three stages of blocks with normalization before each convolution.

    1.5 million parameters at depth 28 and width 2 (WRN-28-2). As in the code of FixMatch and its baselines
    (https://arxiv.org/abs/2001.07685): leaky ReLU of slope 0.1, convolutions with a bias and normal weights of the
    deviation `sqrt(2 / (size^2 * channels out))`, an epsilon of 1e-3, and a projection by 1 x 1 where channels change,
    of the activation in the first block and of the sum in the others. The outputs of the stages are the layers `stage1`
    to `stage3`.

    Args:
        input_shape: ints `(height, width, channels)`; height and width may be None.
        depth: int, 6 n + 4 for n blocks a stage (28; 10 is the smallest).
        width: int, the factor of the channels 16, 32 and 64 of the stages (2).
        momentum: float, of the moving statistics of batch normalization: 0.999 is for runs of 100,000 steps, take 0.9
            for short ones.
        preprocessing: True for images of 0..255, which become -1 to 1; False for none; see `resnet18`.
        name: str, name of the model.

    Returns:
        a functional `keras.Model`: images of 0..255 `(batch, height, width, channels)` to features `(batch, 64 width)`.

    Raises:
        ValueError: where an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.wide_resnet((32, 32, 3))
    features = encoder(np.zeros((4, 32, 32, 3), "uint8"))  # (4, 128)
    ```
    """
    input_shape = _shape(input_shape)
    check_ints(depth=depth, width=width)
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth must be 6 n + 4 with n of at least 1, such as 28. Received: depth={depth}")
    images = keras.Input(input_shape, name="images")
    halves = (0.5,) * input_shape[-1]
    statistics = (halves, halves) if preprocessing is True else preprocessing
    x = _normalize(images, input_shape[-1], statistics) if preprocessing else images
    x = _conv(x, 16, 3, 1, "stem")
    for stage in range(3):
        channels = 16 * width * 2**stage
        for number in range((depth - 4) // 6):
            prefix = f"stage{stage + 1}_block{number + 1}"
            stride = 2 if stage and number == 0 else 1
            y = _activate(x, momentum, f"{prefix}_1")
            shortcut = y if stage == number == 0 else x
            y = _activate(_conv(y, channels, 3, stride, f"{prefix}_conv1"), momentum, f"{prefix}_2")
            y = _conv(y, channels, 3, 1, f"{prefix}_conv2")
            if shortcut.shape[-1] != channels:
                shortcut = _conv(shortcut, channels, 1, stride, f"{prefix}_shortcut")
            last = number == (depth - 4) // 6 - 1
            x = layers.Add(name=f"stage{stage + 1}" if last else f"{prefix}_sum")([shortcut, y])
    x = _activate(x, momentum, "top")
    x = layers.GlobalAveragePooling2D(data_format=LAST, name="pool")(x)
    return keras.Model(images, x, name=name or f"wide_resnet{depth}_{width}")


def _conv(x, channels, size, stride, name):
    draw = keras.initializers.RandomNormal(stddev=math.sqrt(2 / (size * size * channels)))
    return layers.Conv2D(
        channels, size, strides=stride, padding="same", kernel_initializer=draw, data_format=LAST, name=name
    )(x)


def _activate(x, momentum, name):
    x = layers.BatchNormalization(momentum=momentum, epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.LeakyReLU(negative_slope=0.1, name=f"{name}_relu")(x)
