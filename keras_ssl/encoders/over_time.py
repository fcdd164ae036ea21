"""Over time: an encoder of images as one of clips."""

import keras
from keras import layers, ops


def over_time(encoder, frames=None, name=None):
    """An encoder of images becomes one of clips: its features of every frame, and their mean.

    It knows no order and no motion. Methods that learn from single frames of videos (`VINCE`, `ShuffleAndLearn`) train
    it on clips of one frame; the encoder of images itself shares the weights, and is what is taken afterwards:
    `clips_encoder.get_layer(encoder.name)`.

    Args:
        encoder: built `keras.Model` from images `(batch, height, width, channels)` to features `(batch, dim)`.
        frames: int, the frames of a clip, or None for any number.
        name: str, name of the model.

    Returns:
        a functional `keras.Model` from clips `(batch, frames, height, width, channels)` to features `(batch, dim)`.

    Raises:
        ValueError: the encoder is not one of images, or does not return features of rank 2.

    Example:
    ```python
    images = keras_ssl.encoders.resnet18((64, 64, 3), width=16)
    encoder = keras_ssl.encoders.over_time(images)
    features = encoder(np.zeros((2, 16, 64, 64, 3), "uint8"))  # (2, 128)
    ```
    """
    shapes = [getattr(encoder, side, None) for side in ("input_shape", "output_shape")]
    if not all(isinstance(shape, tuple) for shape in shapes) or [len(shape) for shape in shapes] != [4, 2]:
        raise ValueError(
            "encoder must be a built keras.Model from images (batch, height, width, channels) to features (batch, "
            f"dim). Received: encoder={encoder!r}, from {shapes[0]} to {shapes[1]}"
        )
    clips = keras.Input((frames, *encoder.input_shape[1:]), name="clips")
    features = encoder(ToFrames(name="frames")(clips))
    return keras.Model(clips, MeanOverTime(name="mean")(features, clips), name=name or f"{encoder.name}_over_time")


@keras.saving.register_keras_serializable("keras_ssl")
class ToFrames(layers.Layer):
    """Clips `(batch, frames, ...)` as a batch of their frames, `(batch * frames, ...)`."""

    def __init__(self, name=None, **kwargs):
        super().__init__(name=name, **{"dtype": "float32", "autocast": False} | kwargs)

    def call(self, clips):
        return ops.reshape(clips, (-1, *ops.shape(clips)[2:]))

    def compute_output_shape(self, shape):
        return (None, *shape[2:])


@keras.saving.register_keras_serializable("keras_ssl")
class MeanOverTime(layers.Layer):
    """The mean of the features `(batch * frames, dim)` of the frames of each clip, float32 under every dtype policy."""

    def __init__(self, name=None, **kwargs):
        super().__init__(name=name, **{"dtype": "float32", "autocast": False} | kwargs)

    def call(self, features, clips):
        features = ops.cast(features, self.compute_dtype)
        return ops.mean(ops.reshape(features, (-1, ops.shape(clips)[1], features.shape[-1])), axis=1)

    def compute_output_shape(self, features_shape, clips_shape):
        return (clips_shape[0], features_shape[-1])
