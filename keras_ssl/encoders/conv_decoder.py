"""Convolutional decoders: from features, or from a map, up to pixels; what judges these; the map an encoder pools."""

import math

import keras
from keras import layers, ops

from keras_ssl import distribute
from keras_ssl.checks import check_flags, check_ints
from keras_ssl.encoders.decoder import patch_grid
from keras_ssl.encoders.resnet import LAST


def conv_decoder(input_shape, size, outputs=3, width=32, *, batch_norm=True, initializer="he_normal", name="decoder"):
    """Transposed convolutions from features, or from a map, to `outputs` numbers for each pixel.

    Each convolution of 4 x 4 doubles the sides and halves the channels, down to `width`; batch normalization and ReLU
    follow it, and at the end a convolution of 1 x 1. Features become the first map by a dense layer: the sides of the
    image, halved as long as they are more than 8, or even and more than 4. What then has not quite the size that is
    asked for is resized.

    Args:
        input_shape: ints, the shape of a sample: `(dim,)`, or `(rows, columns, channels)`.
        size: pair of ints (height, width), best a power of 2 times the rows and columns of the map.
        outputs: int, numbers for each pixel.
        width: int, channels of the last transposed convolution. Before it they double, up to 8 times as many.
        batch_norm: whether there is batch normalization.
        initializer: name of an initializer, or a `keras.initializers.Initializer`, of the kernels before a ReLU.
        name: str.

    Returns:
        `keras.Model` from `(batch, *input_shape)` to `(batch, height, width, outputs)`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    decoder = keras_ssl.encoders.conv_decoder((128,), (32, 32))
    images = decoder(np.zeros((2, 128)))  # (2, 32, 32, 3)
    ```
    """
    check_ints(outputs=outputs, width=width)
    check_flags(batch_norm=batch_norm)
    given, size = tuple(input_shape), tuple(size)
    start = given[:2] if len(given) == 3 else smallest(size)
    ups = max(0, math.ceil(math.log2(max(side / first for side, first in zip(size, start)))))

    def draw():
        return keras.initializers.get(initializer).clone()  # an instance draws the same numbers at every call

    def normal(x, number):
        if batch_norm:
            synchronized = distribute.replicas() > 1
            x = layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=f"bn{number}"
            )(x)
        return layers.ReLU(name=f"relu{number}")(x)

    features = x = keras.Input(given, name="features")
    if len(given) == 1:
        channels = width * 2 ** min(ups, 3)
        x = layers.Dense(
            start[0] * start[1] * channels, use_bias=not batch_norm, kernel_initializer=draw(), name="start"
        )(x)
        x = normal(layers.Reshape((*start, channels), name="map")(x), 0)
    for i in range(ups):
        x = layers.Conv2DTranspose(
            width * 2 ** min(ups - 1 - i, 3), 4, 2, padding="same", use_bias=not batch_norm, data_format=LAST,
            kernel_initializer=draw(), name=f"up{i + 1}",
        )(x)  # fmt: skip
        x = normal(x, i + 1)
    x = layers.Conv2D(outputs, 1, data_format=LAST, name="pixels")(x)
    if tuple(x.shape[1:3]) != size:
        x = ops.image.resize(x, size, interpolation="bilinear", data_format=LAST)
    return keras.Model(features, x, name=name)


def smallest(size):
    """The sides of an image, halved as long as one is more than 8, or both are even and more than 4."""
    while max(size) > 8 or all(side % 2 == 0 and side > 4 for side in size):
        size = tuple(-(-side // 2) for side in size)
    return size


def conv_tower(input_shape, width=64, *, name="tower"):
    """Convolutions of 4 x 4 with a stride of 2, as those of DCGAN's discriminator, down to sides of 4 or less.

    The channels double, up to 8 times `width`. A leaky ReLU of slope 0.2 follows each convolution, and batch
    normalization comes before it, but for the first one. Kernels start from a normal distribution of deviation 0.02.

    Args:
        input_shape: ints `(height, width, channels)`.
        width: int, channels of the first convolution (64).
        name: str.

    Returns:
        `keras.Model` from `(batch, *input_shape)` to a map.

    Reference: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks (Radford,
    Metz, Chintala, 2015), https://arxiv.org/abs/1511.06434
    """
    check_ints(width=width)
    images = x = keras.Input(tuple(input_shape), name="images")
    number = 0
    while number == 0 or max(x.shape[1:3]) > 4:
        x = layers.Conv2D(
            width * 2 ** min(number, 3), 4, 2, padding="same", use_bias=number == 0, data_format=LAST,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02), name=f"down{number + 1}",
        )(x)  # fmt: skip
        if number:
            synchronized = distribute.replicas() > 1
            x = layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=f"bn{number + 1}"
            )(x)
        x = layers.LeakyReLU(0.2, name=f"relu{number + 1}")(x)
        number += 1
    return keras.Model(images, x, name=name)


def image_shape(encoder):
    """The shape `(height, width, channels)` of the images that an encoder takes.

    Args:
        encoder: built `keras.Model` from images.

    Returns:
        tuple of three ints.

    Raises:
        ValueError: it takes images of any size, or no images.
    """
    shape = tuple(encoder.input_shape[1:]) if isinstance(encoder.input_shape, tuple) else ()
    if len(shape) != 3 or None in shape:
        raise ValueError(
            "What is painted has one size: build the encoder with input_shape=(height, width, channels). Received: an "
            f"encoder with the input shape {encoder.input_shape}"
        )
    return shape


def feature_map(encoder):
    """A model from images to the map that an encoder pools; it shares the weights.

    Args:
        encoder: functional or built sequential `keras.Model` from images of one size to features: a convolutional
            network, or a `vit` or `conv_vit`, whose patches become a map without the class token.

    Returns:
        `keras.Model` from images to `(batch, rows, columns, channels)`.

    Raises:
        ValueError: its features are not made of a map.

    Example:
    ```python
    encoder = keras_ssl.encoders.resnet18((32, 32, 3))
    keras_ssl.encoders.feature_map(encoder).output_shape  # (None, 4, 4, 512)
    ```
    """
    image_shape(encoder)
    x = encoder.outputs[0] if getattr(encoder, "outputs", None) else None
    while x is not None and len(x.shape) not in (3, 4):
        before = made_of(x)
        inner = x._keras_history.operation
        if isinstance(inner, keras.Model) and len(before) == 1 and not made_of(before[0]):
            return feature_map(inner)
        x = before[0] if before else None
    if x is None or not made_of(x):
        raise ValueError(
            f"The features of the encoder must be pooled from a map (batch, rows, columns, channels), or from the "
            f"tokens of a vit. Received: the encoder '{encoder.name}', which has none"
        )
    if len(x.shape) == 3:
        rows, columns = patch_grid(encoder)[0]
        x = layers.Reshape((rows, columns, x.shape[-1]), name="as_map")(x[:, -rows * columns :])
    return keras.Model(encoder.inputs[0], x, name=f"{encoder.name}_map")


def made_of(x):
    """The tensors that a tensor of a functional model is computed from; none for an input."""
    history = x._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors
