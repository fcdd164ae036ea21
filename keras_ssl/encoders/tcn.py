"""TCN's embedder: Time-Contrastive Networks: Self-Supervised Learning from Video (Sermanet et al., 2017).

https://arxiv.org/abs/1704.06888, with the sizes of the authors' code.
"""

import keras
from keras import layers, ops

from keras_ssl.checks import check_flags, check_ints
from keras_ssl.encoders.conv_decoder import feature_map


def tcn(
    images, *, filters=(512, 512), hidden=2048, dim=32, places=True, normalized=True, synchronized=False, name=None
):
    """From the map of an encoder of images to a short embedding that knows where things are.

    Convolutions, then the mean place of each channel (`MeanPlace`), then two dense layers, batch-normalized.

    Args:
        images: `keras.Model` from images of one size to features that it pools from a map, such as `resnet18`.
        filters: ints, those of the convolutions of 3 x 3 (512 and 512).
        hidden: int, units of the dense layer (2048).
        dim: int, size of the embedding (32).
        places: whether a channel becomes its mean place; otherwise its mean, as with other encoders.
        normalized: whether embeddings are unit vectors.
        synchronized: whether batch statistics are shared between replicas (TensorFlow only); those of `images` are its
            own matter.
        name: str, name of the model.

    Returns:
        a functional `keras.Model` from images to embeddings `(batch, dim)`.

    Raises:
        ValueError: the encoder has no such map, or a number is out of its range.

    Example:
    ```python
    images = keras_ssl.encoders.resnet18((64, 64, 3), width=16)
    encoder = keras_ssl.encoders.over_time(keras_ssl.encoders.tcn(images, filters=(64,), hidden=256))
    ```
    """
    check_ints(hidden=hidden, dim=dim, **{f"filters[{i}]": x for i, x in enumerate(filters)})
    check_flags(places=places, normalized=normalized, synchronized=synchronized)

    def norm(name):
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-3, synchronized=synchronized, name=name)

    of_map = feature_map(images)
    inputs = keras.Input(images.input_shape[1:])
    x = of_map(inputs)
    for i, count in enumerate(filters):
        x = layers.Conv2D(count, 3, padding="same", use_bias=False, data_format="channels_last", name=f"conv{i + 1}")(x)
        x = layers.ReLU(name=f"relu{i + 1}")(norm(f"bn{i + 1}")(x))
    if places:
        x = MeanPlace(name="places")(x)
    else:
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")(x)
    x = layers.Dense(hidden, use_bias=False, name="hidden")(x)
    x = layers.ReLU(name="hidden_relu")(norm("hidden_bn")(x))
    x = norm("embedding_bn")(layers.Dense(dim, use_bias=False, name="embedding")(x))
    if normalized:
        x = layers.UnitNormalization(dtype="float32", name="unit")(x)
    return keras.Model(inputs, x, name=name or "tcn")


@keras.saving.register_keras_serializable("keras_ssl")
class MeanPlace(layers.Layer):
    """The spatial soft arg-max: where each channel of a map is high, y and x from -1 to 1.

    A softmax over all places of the map, at a temperature that is learned and starts at 1; then the mean place.

    Returns:
        `(batch, 2 * channels)`: y of all channels, then x.

    Example:
        >>> import numpy as np
        >>> MeanPlace()(np.zeros((2, 4, 4, 8))).shape
        TensorShape([2, 16])
    """

    def build(self, shape):
        self.temperature = self.add_weight((), "ones", name="temperature")

    def call(self, maps):
        rows, columns, channels = maps.shape[1:]
        flat = ops.reshape(ops.cast(maps, "float32"), (-1, rows * columns, channels))
        share = ops.softmax(flat / ops.cast(self.temperature, "float32"), axis=1)
        y = ops.repeat(ops.linspace(-1.0, 1.0, rows), columns)
        x = ops.tile(ops.linspace(-1.0, 1.0, columns), (rows,))
        means = [ops.sum(share * place[None, :, None], axis=1) for place in (y, x)]
        return ops.cast(ops.concatenate(means, axis=-1), maps.dtype)

    def compute_output_shape(self, shape):
        return (shape[0], 2 * shape[-1])
