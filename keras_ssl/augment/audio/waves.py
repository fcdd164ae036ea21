"""Waves: crops, loudness and noise of sounds, and the masks of spectrograms."""

import keras
from keras import ops

from keras_ssl import inputs
from keras_ssl.augment.layer import Augmentation, change, check_probability, per_sample
from keras_ssl.augment.random import choose, fold, normal, uniform
from keras_ssl.augment.steps import TimeCrop, changed, ends, parts, real
from keras_ssl.checks import check_ints, check_numbers, is_number


@keras.saving.register_keras_serializable("keras_ssl")
class AudioCrop(TimeCrop):
    """A part of a sound from a random start; of a spectrogram so many of its frames.

    Where sounds carry a mask, a crop lies within what is real; a sound that is too short is kept from its start on,
    and its mask says what is real.

    Args:
        length: int, the number of samples, or of frames, of the crop.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a length that is not a positive int, and for sounds that are shorter, with their padding.

    Example:
        >>> import numpy as np
        >>> AudioCrop(15360)(np.zeros((4, 16000), "float32")).shape
        TensorShape([4, 15360])
    """

    kind = inputs.AUDIO


@keras.saving.register_keras_serializable("keras_ssl")
class Gain(Augmentation):
    """Sounds become louder or softer, by a number of decibels that is uniform.

    Args:
        decibels: float, the largest change up or down.
        p: float, the probability of a sound to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a negative number of decibels, or a probability out of its range.

    Example:
        >>> import numpy as np
        >>> Gain(6.0)(np.ones((4, 16000), "float32")).shape
        TensorShape([4, 16000])
    """

    kind = inputs.AUDIO

    def __init__(self, decibels=6.0, p=1.0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_numbers(least=0, decibels=decibels)
        check_probability("p", p)
        self.decibels, self.p = decibels, p

    def draw(self, seeds, size):
        draws = uniform(seeds, 2)
        decibels = ops.where(draws[:, 1] < self.p, (2 * draws[:, 0] - 1) * self.decibels, 0.0)
        return {"factor": 10 ** (decibels / 20)}

    def transform(self, sample, factor):
        values, _ = parts(self.kind, sample)
        return changed(self.kind, sample, values * per_sample(factor, values))

    def get_config(self):
        return {**super().get_config(), "decibels": self.decibels, "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class AddNoise(Augmentation):
    """White Gaussian noise is added, so many decibels below the sound: the ratio of the powers is exact.

    Powers are means over what is real; padding gets no noise. Silence stays silent.

    Args:
        snr: pair of floats (low, high), the range of the ratio of signal to noise in decibels, uniform.
        p: float, the probability of a sound to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid range or probability.

    Example:
        >>> import numpy as np
        >>> AddNoise((3.0, 30.0))(np.ones((4, 16000), "float32")).shape
        TensorShape([4, 16000])
    """

    kind = inputs.AUDIO

    def __init__(self, snr=(3.0, 30.0), p=1.0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        pair = tuple(snr) if isinstance(snr, (tuple, list)) else ()
        if len(pair) != 2 or not all(map(is_number, pair)) or pair[0] > pair[1]:
            raise ValueError(f"snr must be a pair (low, high) with low <= high. Received: snr={snr!r}")
        check_probability("p", p)
        self.snr, self.p = pair, p

    def draw(self, seeds, size):
        draws, (low, high) = uniform(seeds, 2), self.snr
        return {"chosen": draws[:, 1] < self.p, "snr": low + (high - low) * draws[:, 0], "seeds": fold(seeds, 0)}

    def transform(self, sample, chosen, snr, seeds):
        values, mask = parts(self.kind, sample)
        weight = ops.cast(real(values, mask), "float32")
        weight = ops.reshape(weight, (*ops.shape(weight), *[1] * (len(values.shape) - 2)))
        shape = ops.shape(values)

        def noisy(values):
            count = shape[1] if len(shape) == 2 else shape[1] * shape[2]
            noise = ops.reshape(normal(seeds, count), (-1, *shape[1:])) * weight
            axes = tuple(range(1, len(shape)))
            signal = ops.sum((values * weight) ** 2, axis=axes)
            factor = ops.sqrt(signal / (10 ** (snr / 10) * ops.maximum(ops.sum(noise**2, axis=axes), 1e-20)))
            return values + noise * per_sample(factor, values)

        return changed(self.kind, sample, change(values, chosen, noisy))

    def get_config(self):
        return {**super().get_config(), "snr": self.snr, "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class SpectrumMask(Augmentation):
    """Stripes of time and of frequency of a spectrogram are hidden: SpecAugment (Park et al., 2019), arXiv:1904.08779.

    The width of a stripe is uniform from 0 to the largest one, its place uniform. Stripes of time lie within the
    frames that are real.

    Args:
        times: int, the number of stripes of time.
        time: int, the largest width of such a stripe in frames.
        frequencies: int, the number of stripes of frequency.
        frequency: int, the largest width of such a stripe in bands.
        fill: float, the value of what is hidden; None for the mean of the spectrogram.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for invalid numbers, and for waves in place of spectrograms `(batch, frames, bands)`.

    Example:
        >>> import numpy as np
        >>> SpectrumMask()(np.zeros((4, 96, 64), "float32")).shape
        TensorShape([4, 96, 64])
    """

    kind = inputs.AUDIO

    def __init__(
        self, times=2, time=40, frequencies=2, frequency=27, fill=None, seed=None, name=None, **kwargs
    ):  # fmt: skip
        super().__init__(seed=seed, name=name, **kwargs)
        check_ints(least=0, times=times, time=time, frequencies=frequencies, frequency=frequency)
        check_numbers(optional=True, fill=fill)
        self.times, self.time, self.frequencies, self.frequency, self.fill = times, time, frequencies, frequency, fill

    def draw(self, seeds, size):
        return {"draws": uniform(seeds, 2 * (self.times + self.frequencies))}

    def transform(self, sample, draws):
        values, mask = parts(self.kind, sample)
        if len(values.shape) != 3:
            raise ValueError(
                "SpectrumMask needs spectrograms of shape (batch, frames, bands). "
                f"Received: shape={tuple(values.shape)}"
            )
        frames, bands = ops.shape(values)[1:]
        end = ends(values, mask)
        hidden = stripes(draws[:, : 2 * self.times], self.time, end, frames)[:, :, None]
        all_bands = ops.zeros_like(end) + bands
        hidden = hidden | stripes(draws[:, 2 * self.times :], self.frequency, all_bands, bands)[:, None, :]
        fill = self.fill
        if fill is None:
            weight = ops.cast(real(values, mask), "float32")[:, :, None]
            fill = ops.sum(values * weight, axis=(1, 2)) / ops.cast(ops.maximum(end * bands, 1), "float32")
            fill = per_sample(fill, values)
        return changed(self.kind, sample, ops.where(hidden, fill, values))

    def get_config(self):
        config = {"times": self.times, "time": self.time, "frequencies": self.frequencies}
        return {**super().get_config(), **config, "frequency": self.frequency, "fill": self.fill}


def stripes(draws, most, end, side):
    """Which of `side` places are in one of the stripes, bool `(batch, side)`: two draws a stripe, all before `end`."""
    place = ops.arange(side, dtype="float32")[None, :]
    end = ops.cast(end, "float32")[:, None]
    hidden = ops.zeros_like(end + place, dtype="bool")
    for number in range(0, draws.shape[1], 2):
        width = ops.minimum(choose(draws[:, number : number + 1], most), end)
        start = choose(draws[:, number + 1 : number + 2], end - width)
        hidden = hidden | ((place >= start) & (place < start + width))
    return hidden
