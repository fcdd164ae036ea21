"""Convolutions over time, for series of sensors and for sounds.

The defaults are the network of Time Series Classification from Scratch (Wang et al., 2016),
https://arxiv.org/abs/1611.06455: three convolutions, each batch-normalized, and the mean over time.
"""

import keras
from keras import layers, ops

from keras_ssl.checks import check_flags, check_numbers, choice, is_int, is_number
from keras_ssl.encoders.masked import MaskedBatchNormalization, masked_pool
from keras_ssl.encoders.resnet import LAST


def conv1d(input_shape=(128, 6), *, filters=(128, 256, 128), kernels=(8, 5, 3), strides=1, norm="batch",
           activation="relu", padding="same", dropout=0.0, pooling="avg", masked=False, column=None, front=None,
           synchronized=False, initializer="he_normal", l2=0.0, name="conv1d"):
    """Convolutions over time, each with a normalization and an activation, and one vector for the whole.

    With `masked` a sample may be padded at its end: its features are then those of the sample alone, whatever lies in
    the padding and beside it in the batch. Padding of the convolutions does not depend on the length of a sample.

    Other networks of the field:

    - TPN (https://arxiv.org/abs/1907.11879): `sensor_cnn`;
    - the encoder of CPC for sounds (https://arxiv.org/abs/1807.03748): `input_shape=(20480,), filters=(512,) * 5,
      kernels=(10, 8, 4, 4, 4), strides=(5, 4, 2, 2, 2), norm=None, padding="valid", pooling=None`.

    Args:
        input_shape: ints `(time, channels)` of a series, or `(samples,)` of a sound with one channel; the first may be
            None.
        filters: ints, channels of each convolution.
        kernels: as many ints, their lengths in places.
        strides: int, or as many ints.
        norm: `"batch"`: batch normalization; `"layer"`: of the channels at each place (layer normalization); None.
        activation: name of an activation that Keras knows.
        padding: `"same"`: zeros on both sides, `ceil(time / stride)` places come out; `"valid"`: none, a convolution
            sees real samples only, and what is shorter than its kernel gives nothing.
        dropout: float in [0, 1), share of the units that are set to 0 after each activation in training.
        pooling: `"avg"` or `"max"` over time, or None for the map `(batch, places, channels)`, in which places of
            padding are zeros.
        masked: whether the encoder takes a mask, bool `(batch, time)`, True where real, and padding lies at the end.
        column: name of the data's column that it takes, `"series"` or `"audio"`; None: by the shape. With a mask it
            takes a dict of this column and of `<column>_mask`.
        front: a layer that comes first and makes `(batch, places, channels)` of the input, such as `LogMel`, or None.
            With a mask it has a method `places(mask)` that gives the mask of what it makes.
        synchronized: whether batch statistics are shared between replicas (TensorFlow only).
        initializer: name of a Keras initializer of the kernels.
        l2: float from 0, the factor of the sum of the squared kernels that is added to the loss.
        name: str, name of the model.

    Returns:
        a functional `keras.Model` to features `(batch, filters[-1])`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.conv1d((128, 6), masked=True)
    features = encoder({"series": np.zeros((4, 128, 6)), "series_mask": np.ones((4, 128), bool)})  # (4, 128)
    ```
    """
    input_shape, filters, kernels = (tuple(x) if isinstance(x, list) else x for x in (input_shape, filters, kernels))
    strides = (strides,) * len(filters) if isinstance(strides, int) and isinstance(filters, tuple) else strides
    _check(input_shape, filters, kernels, strides, norm, padding, dropout, pooling, column)
    if padding == "valid" and front is None and input_shape[0] is not None:
        check_steps(input_shape, kernels, strides)
    check_flags(masked=masked, synchronized=synchronized)
    check_numbers(least=0, l2=l2)
    if front is not None and not (isinstance(front, layers.Layer) and (not masked or hasattr(front, "places"))):
        needed = ", with a method `places` as masked=True" if masked else ""
        raise ValueError(f"front must be a keras.layers.Layer{needed}, or None. Received: front={front!r}")
    column = column or ("audio" if len(input_shape) == 1 else "series")
    inputs = x = keras.Input(input_shape, name=column)
    mask = keras.Input(input_shape[:1], dtype="bool", name=f"{column}_mask") if masked else None
    inputs = {column: inputs, f"{column}_mask": mask} if masked else inputs
    if front is not None:
        x = front(x)
        mask = front.places(mask) if masked else None
    elif len(input_shape) == 1:
        x = ops.expand_dims(x, -1)
    for i, (size, kernel, stride) in enumerate(zip(filters, kernels, strides)):
        x = _only_real(x, mask)
        if padding == "same":
            x = layers.ZeroPadding1D((kernel // 2, (kernel - 1) // 2), name=f"conv{i + 1}_pad", data_format=LAST)(x)
        x = layers.Conv1D(
            size, kernel, stride, use_bias=norm != "batch", kernel_initializer=initializer, data_format=LAST,
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None, name=f"conv{i + 1}",
        )(x)
        mask = None if mask is None else mask_of_places(mask, kernel, stride, padding)
        if norm == "batch":
            kind = MaskedBatchNormalization if masked else layers.BatchNormalization
            options = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": synchronized, "name": f"norm{i + 1}"}
            x = kind(**options)(x, **({"mask": mask} if masked else {}))
        elif norm == "layer":
            x = layers.LayerNormalization(epsilon=1e-5, name=f"norm{i + 1}")(x)
        x = layers.Activation(activation, name=f"activation{i + 1}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout{i + 1}")(x)
    return keras.Model(inputs, masked_pool(x, mask, pooling) if pooling else _only_real(x, mask), name=name)


def sensor_cnn(input_shape=(128, 6), *, dropout=0.1, l2=1e-4, masked=False, name="sensor_cnn"):
    """The network of TPN (https://arxiv.org/abs/1907.11879) for sensors: three convolutions and the maximum over time.

    They have 32, 64 and 96 channels, kernels of 24, 16 and 8 steps without padding, ReLU and no normalization, so that
    a series has 46 steps at least.

    Args:
        input_shape: ints `(time, channels)`, the first may be None.
        dropout: float in [0, 1), after each activation (0.1).
        l2: float from 0, the factor of the squared kernels in the loss (1e-4).
        masked: see `conv1d`.
        name: str, name of the model.

    Returns:
        a functional `keras.Model` to features `(batch, 96)`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.sensor_cnn((400, 6))
    encoder.count_params()  # 86720
    ```
    """
    return conv1d(
        input_shape, filters=(32, 64, 96), kernels=(24, 16, 8), norm=None, padding="valid", dropout=dropout,
        pooling="max", masked=masked, initializer="glorot_uniform", l2=l2, name=name,
    )


def mask_of_places(mask, kernel, stride, padding):
    """Which places of a convolution's output are real.

    Args:
        mask: bool `(batch, time)`, True where real, padded at the end.
        kernel: int, its length.
        stride: int.
        padding: `"same"` or `"valid"`, as in `conv1d`.

    Returns:
        bool `(batch, places)`: as many are True as places come out of the sample alone.
    """
    # A place is real where the first sample of its stride is; without padding, where the last that it sees is.
    return mask[:, :: stride] if padding == "same" else mask[:, kernel - 1 :: stride]


def check_steps(input_shape, kernels, strides):
    """Raises where an input is too short for convolutions without padding."""
    least = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides)):
        least = (least - 1) * stride + kernel
    if input_shape[0] < least:
        raise ValueError(
            f"input_shape must have {least} steps at least, for these kernels and strides without padding. Received: "
            f"input_shape={input_shape!r}"
        )


def _only_real(x, mask):
    return x if mask is None else ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))


def _check(input_shape, filters, kernels, strides, norm, padding, dropout, pooling, column):
    sizes = input_shape if isinstance(input_shape, tuple) else ()
    if len(sizes) not in (1, 2) or not all(is_int(x, 1) for x in sizes[1:]) or not (sizes[0] is None or sizes[0] > 0):
        raise ValueError(
            "input_shape must be (time, channels) or (samples,), positive ints without the batch; the first may be "
            f"None. Received: input_shape={input_shape!r}"
        )
    for argument, values in {"filters": filters, "kernels": kernels, "strides": strides}.items():
        fine = isinstance(values, (tuple, list)) and values and all(is_int(value, 1) for value in values)
        if not fine or len(values) != len(filters):
            raise ValueError(
                f"{argument} must be positive ints, one for each convolution. Received: {argument}={values!r}"
            )
    choice("batch", "layer", None)("norm", norm)
    choice("same", "valid")("padding", padding)
    choice("avg", "max", None)("pooling", pooling)
    choice("series", "audio", None)("column", column)
    if not is_number(dropout) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1). Received: dropout={dropout}")
