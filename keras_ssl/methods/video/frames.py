"""Frames: clips taken apart, for methods of this family that learn from single frames, and clips without masks."""

from keras import ops

from keras_ssl import inputs
from keras_ssl.method import Method


class WholeClips(Method):
    """Base of methods to which every frame counts as real: a mask is an error, whether or not the encoder takes it."""

    def taken(self, view):
        masks = [name for name in inputs.VIDEO.also if isinstance(view, dict) and name in view]
        if masks:
            raise ValueError(
                f"{type(self).__name__} takes no masks: every frame counts as real. Received: a dict with "
                f"{sorted(view)}. Leave the column '{masks[0]}' out of the data, and the videos out that are too short "
                "(short='raise', on_error='skip' in keras_ssl.data.video_folder)."
            )
        return super().taken(view)


def one_by_one(clips):
    """Clips `(batch, frames, height, width, channels)` as clips of one frame: `(batch * frames, 1, ...)`."""
    return ops.reshape(clips, (-1, 1, *ops.shape(clips)[2:]))


def check_frames(method, clips, least=1):
    """Raises unless a view is a bare tensor of clips, of a known number of frames, `least` at least."""
    if isinstance(clips, dict):
        raise ValueError(
            f"{type(method).__name__} needs an encoder that takes one tensor, clips. Received: one that takes a dict "
            f"with {sorted(clips)}"
        )
    if clips.shape[1] is None or clips.shape[1] < least:
        raise ValueError(
            f"{type(method).__name__} needs clips of a known number of frames, {least} at least. Received: "
            f"shape={tuple(clips.shape)}"
        )


def check_encoder(method, encoder):
    """Raises where the encoder takes clips of a fixed number of frames other than one."""
    shape = getattr(encoder, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 5 or shape[1] not in (None, 1):
        raise ValueError(
            f"{type(method).__name__} learns from single frames: the encoder must take clips of one frame, or of any "
            "number, such as keras_ssl.encoders.over_time of an encoder of images. Received: an encoder with "
            f"input_shape={shape}"
        )
