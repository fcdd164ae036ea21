"""CPC's network for sounds: van den Oord, Li and Vinyals (2018), https://arxiv.org/abs/1807.03748."""

import keras
from keras import layers

from keras_ssl.checks import check_ints, choice
from keras_ssl.encoders.conv1d import conv1d, mask_of_places
from keras_ssl.encoders.masked import masked_pool


def cpc_audio(
    input_shape=(None,), *, filters=(512,) * 5, kernels=(10, 8, 4, 4, 4), strides=(5, 4, 2, 2, 2), context=256,
    norm=None, front=None, masked=False, name="cpc_audio",
):  # fmt: skip
    """Convolutions on the wave and a GRU over time; its mean over time is the features.

    Neither sees the future: the convolutions have no padding and normalize nothing over time, and the GRU runs forward.
    With the defaults a place is 160 samples, 10 ms at 16 kHz, and sees 465. The code of Rivière et al. pads a little:
    20,480 samples make 126 places here and 128 there. The layers `"latent"` and `"context"` hold the two maps that
    `keras_ssl.CPCAudio` takes.

    Args:
        input_shape: tuple `(samples,)`, or `(None,)` for any number.
        filters, kernels, strides: ints, those of each convolution. At 8 kHz `strides=(5, 4, 2, 2)` and four of the
            others make places of 10 ms.
        context: int, units of the GRU (256).
        norm: None, as in the paper; `"layer"`: the channels of each place are normalized after each convolution, as in
            the code of Rivière et al. (https://arxiv.org/abs/2002.02848), with which it learns more easily.
        front: a layer that comes first, such as `LogMel`, whose frames the convolutions then run over; or None.
        masked: whether the encoder takes a dict of `"audio"` and `"audio_mask"`, bool `(batch, samples)`.
        name: str, name of the model.

    Returns:
        a functional `keras.Model` from waves `(batch, samples)` to features `(batch, context)`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
    ```python
    encoder = keras_ssl.encoders.cpc_audio((20_480,))
    features = encoder(np.zeros((4, 20_480), "float32"))  # (4, 256)
    ```
    """
    check_ints(context=context)
    choice("layer", None)("norm", norm)
    convolutions = conv1d(
        input_shape, filters=filters, kernels=kernels, strides=strides, norm=norm, padding="valid", pooling=None,
        masked=masked, column="audio", front=front,
    )
    inputs, mask = convolutions.input, None
    if masked:
        mask = inputs["audio_mask"] if front is None else front.places(inputs["audio_mask"])
        for kernel, stride in zip(kernels, [strides] * len(kernels) if isinstance(strides, int) else strides):
            mask = mask_of_places(mask, kernel, stride, "valid")
        mask = layers.Identity(name="real")(mask)
    latent = layers.Identity(name="latent")(convolutions.output)
    x = layers.GRU(context, return_sequences=True, name="context")(latent)
    return keras.Model(inputs, masked_pool(x, mask, "avg"), name=name)
