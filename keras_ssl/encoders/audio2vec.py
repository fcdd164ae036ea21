"""Audio2Vec's networks for sounds: Tagliasacchi et al. (2019), https://arxiv.org/abs/1905.11796."""

import keras
from keras import layers, ops

from keras_ssl import distribute
from keras_ssl.checks import check_flags, check_ints, is_int
from keras_ssl.encoders.log_mel import LogMel
from keras_ssl.encoders.masked import MaskedBatchNormalization, masked_pool
from keras_ssl.encoders.resnet import LAST

WIDTHS = (8, 16, 32, 64, 64, 128)


def audio2vec(input_shape=(None,), *, front=None, widths=WIDTHS, masked=False, synchronized=False, name="audio2vec"):
    """A small network on spectrograms: blocks of two narrow convolutions and a pooling, then each channel's maximum.

    A block is a convolution over three frames, one over three bands, each batch-normalized and with ReLU, and the
    maximum of two frames and two bands. With the default widths the convolutions have 122,712 weights.

    With `masked` a sample may be padded at its end: its features are then those of the sample alone.

    Args:
        input_shape: tuple `(samples,)`, or `(None,)` for any number.
        front: `LogMel`; None for `LogMel(16_000)`.
        widths: ints, channels of each block.
        masked: whether the encoder takes a dict of `"audio"` and `"audio_mask"`, bool `(batch, samples)`.
        synchronized: whether batch statistics are shared between replicas (TensorFlow only).
        name: str, name of the model.

    Returns:
        a functional `keras.Model` from waves `(batch, samples)` to features `(batch, widths[-1])`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.audio2vec(front=keras_ssl.encoders.LogMel(16_000))
    features = encoder(np.zeros((4, 15_600), "float32"))  # (4, 128)
    ```
    """
    front = LogMel(16_000) if front is None else front
    check_flags(masked=masked, synchronized=synchronized)
    check_widths(widths)
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 1 or not (
        input_shape[0] is None or is_int(input_shape[0], 1)
    ):
        raise ValueError(f"input_shape must be (samples,) or (None,). Received: input_shape={input_shape!r}")
    if not isinstance(front, LogMel):
        raise ValueError(f"front must be a keras_ssl.encoders.LogMel. Received: front={front!r}")
    if input_shape[0] is not None and input_shape[0] < front.frame:
        raise ValueError(
            f"input_shape must have {front.frame} samples at least, those of a frame. Received: "
            f"input_shape={input_shape!r}"
        )
    waves = keras.Input(tuple(input_shape), name="audio")
    mask = keras.Input(tuple(input_shape), dtype="bool", name="audio_mask") if masked else None
    inputs = {"audio": waves, "audio_mask": mask} if masked else waves
    x, mask = ops.expand_dims(front(waves), -1), front.places(mask) if masked else None
    for i, width in enumerate(widths):
        for kernel, part in (((3, 1), "a"), ((1, 3), "b")):
            x = convolution(x, width, kernel, mask, synchronized, f"block{i + 1}{part}")
        # After ReLU the zeros of padding change no maximum.
        x = layers.MaxPooling2D(2, padding="same", data_format=LAST, name=f"block{i + 1}_pool")(only_real(x, mask))
        mask = None if mask is None else mask[:, ::2]
    return keras.Model(inputs, masked_pool(ops.max(x, axis=2), mask, "max"), name=name)


def convolution(x, width, kernel, mask, synchronized, name):
    """Convolution, batch normalization and ReLU, which see real frames only."""
    x = layers.Conv2D(
        width, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", data_format=LAST, name=name
    )(only_real(x, mask))
    options = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": synchronized, "name": f"{name}_norm"}
    if mask is None:
        x = layers.BatchNormalization(**options)(x)
    else:
        x = MaskedBatchNormalization(**options)(x, mask=ops.repeat(ops.expand_dims(mask, -1), x.shape[2], axis=2))
    return layers.ReLU(name=f"{name}_relu")(x)


def only_real(x, mask):
    """The frames `(batch, frames, bands, channels)` that are real, zeros elsewhere."""
    return x if mask is None else ops.where(mask[:, :, None, None], x, ops.zeros_like(x))


def spectrogram_decoder(inputs, frames, mels, slices=1, widths=WIDTHS[::-1], name="spectrogram_decoder"):
    """From features to spectrograms: `audio2vec` in the other direction.

    A dense layer to the smallest map; then in each block twice as many frames and bands, by repetition, and two narrow
    convolutions, each batch-normalized and with ReLU; at the end a convolution of one place.

    Args:
        inputs: int, size of the features.
        frames: int, frames of a spectrogram.
        mels: int, its bands.
        slices: int, how many spectrograms.
        widths: ints, channels of each block.
        name: str, name of the model.

    Returns:
        `keras.Model` from `(batch, inputs)` to `(batch, frames, mels, slices)`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    keras_ssl.encoders.spectrogram_decoder(128, 96, 64).output_shape  # (None, 96, 64, 1)
    ```
    """
    check_ints(inputs=inputs, frames=frames, mels=mels, slices=slices)
    check_widths(widths)
    sizes = [(frames, mels)]
    for _ in widths:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    features = keras.Input((inputs,))
    height, width = sizes.pop()
    x = layers.Dense(height * width * widths[0], kernel_initializer="he_normal", name="dense")(features)
    x = layers.Reshape((height, width, widths[0]))(layers.ReLU()(x))
    for i, channels in enumerate(widths):
        height, width = sizes.pop()
        x = layers.UpSampling2D(2, data_format=LAST)(x)[:, :height, :width]
        for kernel, part in (((1, 3), "a"), ((3, 1), "b")):
            x = convolution(x, channels, kernel, None, distribute.replicas() > 1, f"block{i + 1}{part}")
    x = layers.Conv2D(slices, 1, data_format=LAST, dtype="float32", name="output")(x)
    return keras.Model(features, x, name=name)


def check_widths(widths):
    fine = isinstance(widths, (tuple, list)) and widths and all(is_int(width, 1) for width in widths)
    if not fine:
        raise ValueError(f"widths must be positive ints, at least one. Received: widths={widths!r}")
