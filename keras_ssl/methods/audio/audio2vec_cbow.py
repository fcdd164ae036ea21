r"""Audio2VecCBoW: Self-supervised audio representation learning for mobile devices (Tagliasacchi et al., 2019).

https://arxiv.org/abs/1905.11796

Objective:
    \mathcal{L} = \operatorname{mean} \left( x_t - g(z_{t-P}, \dots, z_{t-1}, z_{t+1}, \dots, z_{t+P}) \right)^2
    where $x_t$ is the spectrogram of the slice in the middle, $z_{t+i}$ are the features of its neighbors, one after
    the other, and $g$ is the decoder.

Flow:
    slices before and after -> encoder -> features side by side -> decoder -> squared error
    slice in the middle ~> spectrogram ~> squared error

Take it when sounds are recordings of some seconds, and what goes on over a second matters: words, scenes, music.

Leave it when a recording does not hold five slices, or a decoder is more than you want to train.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.random import choose, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.augment.steps import parts
from keras_ssl.encoders import LogMel, spectrogram_decoder
from keras_ssl.inputs import AUDIO
from keras_ssl.methods.audio.slices import Sliced, cut, lengths

WIDTHS = (8, 16, 32, 64, 64, 128)


def log_mel(name, value):
    """The layer that makes the spectrograms."""
    if not isinstance(value, LogMel):
        raise ValueError(f"{name} must be a keras_ssl.encoders.LogMel. Received: {name}={value!r}")


def some_widths(name, value):
    """One or more positive ints."""
    fine = isinstance(value, (tuple, list)) and value and all(checks.is_int(width, 1) for width in value)
    if not fine:
        raise ValueError(f"{name} must be positive ints, at least one. Received: {name}={value!r}")


class Audio2Vec(Sliced):
    """Base of both forms: slices one after the other from a random place, and a decoder to their spectrograms."""

    bounds = {
        "spectrogram": log_mel,
        "frames": checks.ints(),
        "neighbors": checks.ints(),
        "gap": checks.ints(0),
        "widths": some_widths,
    }

    def __init__(
        self, encoder, augment=None, *, spectrogram, frames=96, neighbors=2, gap=2, widths=WIDTHS, **kwargs
    ):
        super().__init__(encoder, augment, **kwargs)
        self.spectrogram, self.frames, self.neighbors = spectrogram, frames, neighbors
        self.gap, self.widths = gap, tuple(widths)
        self.length = (frames - 1) * spectrogram.step + spectrogram.frame  # samples of a slice
        self.stride = (frames + gap) * spectrogram.step
        self.span = 2 * neighbors * self.stride + self.length  # samples of all slices
        self.draws = keras.random.SeedGenerator()

    def decoder_of(self, features, slices):
        return spectrogram_decoder(
            features, self.frames, self.spectrogram.mels, slices=slices, widths=self.widths[::-1], name="decoder"
        )

    @property
    def least_samples(self):
        return self.span

    def starts(self, view):
        """Where the slices of each sound start, int32 `(batch, 2 * neighbors + 1)`."""
        end, _ = lengths(view)
        steps = ops.maximum(end - self.span, 0) // self.spectrogram.step
        draws = uniform(local_seeds(self.draws, ops.shape(end)[0]), 1)
        first = ops.cast(choose(draws, ops.cast(steps, "float32")[:, None]), "int32") * self.spectrogram.step
        return first + self.stride * ops.arange(2 * self.neighbors + 1, dtype="int32")

    def error(self, found, slices, count):
        """The mean squared error of spectrograms, over the real frames of each sound, then over the sounds.

        Args:
            found: float32 `(batch * count, frames, mels)`, what the decoder painted.
            slices: the slices, `batch * count` rows, with a mask or without one.
            count: int, how many of them are of one sound.
        """
        waves, mask = parts(AUDIO, slices)
        error = ops.mean(ops.square(found - self.spectrogram(waves)), axis=-1)  # (batch * count, frames)
        if mask is None:
            return ops.mean(error)
        error = ops.reshape(error, (-1, count * self.frames))
        real = ops.reshape(ops.cast(self.spectrogram.places(mask), error.dtype), (-1, count * self.frames))
        return ops.mean(ops.sum(error * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0))


@keras.saving.register_keras_serializable("keras_ssl")
class Audio2VecCBoW(Audio2Vec):
    """A decoder paints the spectrogram of a slice of sound from the features of the slices before and after it.

    The features of the neighbors stand side by side in the order of time: their sum would not know it. Between two
    slices is a gap, so that they share no sample. Where the slices begin is drawn anew for each sound at each step.
    Where the data has a mask, frames of padding have no part in the error, and each sound counts alike; one in whose
    slices nothing is real counts as 0.

    Args:
        encoder: `keras.Model` from waves to features `(batch, dim)`; `keras_ssl.encoders.audio2vec` is the paper's.
        augment: layer from sounds to one view, as long as all slices together or longer, such as
            `keras_ssl.augment.AudioCrop`.
        spectrogram: `keras_ssl.encoders.LogMel`, best that of the encoder, standardized by `fitted`, as the error is
            in its unit.
        frames: int, frames of a slice (96: 975 ms).
        neighbors: int, slices before, and as many after (P, 2).
        gap: int, frames between two slices (2); where windows overlap, fewer than 2 let them share samples.
        widths: ints, channels of the encoder's blocks, which the decoder has in the other order (8, 16, 32, 64, 64,
            128).

    Raises:
        ValueError: the sounds are shorter than all slices together.

    Example:

    >>> front = keras_ssl.encoders.LogMel(16_000)
    >>> encoder = keras_ssl.encoders.audio2vec(front=front)
    >>> model = keras_ssl.Audio2VecCBoW(encoder, keras_ssl.augment.AudioCrop(80_000), spectrogram=front)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> sounds = keras_ssl.data.arrays({"audio": np.random.normal(size=(8, 96_000))}, batch_size=4)
    >>> model.fit(sounds, epochs=1)
    """

    def __init__(
        self, encoder, augment=None, *, spectrogram, frames=96, neighbors=2, gap=2, widths=WIDTHS, **kwargs
    ):
        options = {"frames": frames, "neighbors": neighbors, "gap": gap, "widths": widths}
        super().__init__(encoder, augment, spectrogram=spectrogram, **options, **kwargs)
        self.decoder = self.decoder_of(2 * neighbors * encoder.output_shape[-1], slices=1)

    def objective(self, views):
        starts, middle = self.starts(views[0]), self.neighbors
        around = ops.concatenate([starts[:, :middle], starts[:, middle + 1 :]], axis=1)
        features = self.features(cut(views[0], around, self.length))
        features = ops.reshape(features, (-1, 2 * middle * features.shape[-1]))
        found = ops.cast(self.decoder(features, training=True), "float32")[..., 0]
        return self.error(found, cut(views[0], starts[:, middle : middle + 1], self.length), 1)
