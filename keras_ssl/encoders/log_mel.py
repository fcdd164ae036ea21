"""Log-mel spectrograms, of which no sound changes another's."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_ssl.checks import check_ints, check_numbers, is_number


@keras.saving.register_keras_serializable("keras_ssl")
class LogMel(layers.Layer):
    """Waves to the logarithm of the power in mel bands: `log(power + epsilon)`.

    Keras's own `MelSpectrogram` floors the power at a level below the largest of the whole batch, so that what it makes
    of a sound depends on the sounds beside it; here nothing but the sound counts. Bands are triangles of equal width on
    the mel scale `2595 log10(1 + f / 700)` (HTK) with a height of 1, windows are of Hann and periodic, frames begin at
    the first sample and none is padded. Computed in float32 under every dtype policy.

    Call arguments:
        waves: float `(batch, samples)`, usually in [-1, 1].

    Args:
        sampling_rate: int, samples per second of the waves. Sounds of another rate must be converted before.
        mels: int, number of bands (64).
        window: float, seconds of a frame (0.025).
        hop: float, seconds between the starts of frames (0.010).
        low: float from 0, lowest frequency in Hertz (60).
        high: float, highest frequency in Hertz, at most half the rate, which None is.
        epsilon: float > 0, what is added to the power (1e-6); silence is `log(epsilon)`.
        mean, deviation: floats, or one for each band, by which what comes out is standardized; see `fitted`.
        name: str.

    Returns:
        float32 `(batch, frames, mels)`, `frames = 1 + (samples - window) // hop`.

    Raises:
        ValueError: an argument is out of its range, or a band is so narrow that it has no frequency: take fewer bands
            or a longer window.

    Example:
    ```python
    layer = keras_ssl.encoders.LogMel(16_000)
    layer(np.zeros((2, 16_000), "float32")).shape  # (2, 98, 64)
    ```
    """

    def __init__(self, sampling_rate, mels=64, window=0.025, hop=0.010, low=60.0, high=None, epsilon=1e-6, mean=0.0,
                 deviation=1.0, name=None, **kwargs):
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        check_ints(sampling_rate=sampling_rate, mels=mels)
        check_numbers(above=0, window=window, hop=hop, epsilon=epsilon)
        check_numbers(least=0, low=low)
        check_numbers(above=low, most=sampling_rate / 2, optional=True, high=high)
        self.sampling_rate, self.mels, self.window, self.hop = sampling_rate, mels, window, hop
        self.low, self.high, self.epsilon = low, high, epsilon
        self.mean, self.deviation = per_band("mean", mean, mels), per_band("deviation", deviation, mels)
        if np.min(self.deviation) <= 0:
            raise ValueError(f"deviation must be above 0. Received: deviation={deviation}")
        self.frame, self.step = (max(1, round(seconds * sampling_rate)) for seconds in (window, hop))
        self.size = 2 ** math.ceil(math.log2(self.frame))  # of the Fourier transform
        self.hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.frame) / self.frame)).astype("float32")
        self.bands = mel_bands(sampling_rate, self.size, mels, low, high or sampling_rate / 2)
        self.built = True

    def call(self, waves):
        # Not ops.stft, whose frames are as long as the transform: the last ones of a sound would be missing.
        frames = ops.extract_sequences(ops.cast(waves, "float32"), self.frame, self.step)  # (batch, frames, samples)
        real, imaginary = ops.rfft(frames * self.hann, fft_length=self.size)
        found = ops.log(ops.matmul(real**2 + imaginary**2, self.bands) + self.epsilon)
        return (found - np.float32(self.mean)) / np.float32(self.deviation)

    def fitted(self, sounds):
        """The same layer, with the mean and the deviation of each band over some sounds: those to train on.

        Args:
            sounds: waves `(n, samples)`, or an iterable of batches: arrays, or dicts with `"audio"` and, where there is
                padding, `"audio_mask"`. Frames of which some samples are padding do not count.

        Returns:
            `LogMel`.

        Raises:
            ValueError: there are no frames.

        Example:
        ```python
        layer = keras_ssl.encoders.LogMel(8000).fitted(np.random.normal(size=(4, 8000)))
        ```
        """
        plain = LogMel(**{**self.get_config(), "mean": 0.0, "deviation": 1.0, "name": None})
        count, total, squares = 0, 0.0, 0.0
        for batch in [sounds] if hasattr(sounds, "shape") else sounds:
            waves = ops.convert_to_tensor(batch["audio"] if isinstance(batch, dict) else batch)
            frames = np.asarray(ops.convert_to_numpy(plain(waves)), "float64")
            if isinstance(batch, dict) and "audio_mask" in batch:
                frames = frames[ops.convert_to_numpy(self.places(ops.convert_to_tensor(batch["audio_mask"])))]
            frames = frames.reshape(-1, self.mels)
            count, total, squares = count + len(frames), total + frames.sum(axis=0), squares + (frames**2).sum(axis=0)
        if not count:
            raise ValueError(f"fitted needs sounds of at least {self.frame} samples. Received: no frame of any sound")
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
        return LogMel(**{**self.get_config(), "mean": mean.tolist(), "deviation": deviation.tolist()})

    def places(self, mask):
        """The mask of the frames, bool `(batch, frames)`: real where all samples are, with padding at the end.

        Args:
            mask: bool `(batch, samples)`, True where real.
        """
        return mask[:, self.frame - 1 :: self.step]

    def compute_output_shape(self, shape):
        frames = None if shape[1] is None else 1 + (shape[1] - self.frame) // self.step
        return (shape[0], frames, self.mels)

    def get_config(self):
        names = ("sampling_rate", "mels", "window", "hop", "low", "high", "epsilon", "mean", "deviation")
        config = super().get_config()
        config.pop("dtype")  # always float32
        return {**config, **{name: getattr(self, name) for name in names}}


def per_band(name, value, mels):
    """A number, or a list of one for each band."""
    numbers = [value] if is_number(value) else list(value) if isinstance(value, (tuple, list)) else []
    if not numbers or len(numbers) not in (1, mels) or not all(map(is_number, numbers)):
        raise ValueError(f"{name} must be a finite number, or one for each of {mels} bands. Received: {name}={value!r}")
    return value if is_number(value) else [float(number) for number in numbers]


def mel_bands(sampling_rate, size, mels, low, high):
    """The share of each frequency of a Fourier transform of `size` samples in each band, float32 `(frequencies, mels)`.

    Raises:
        ValueError: a band has no frequency.
    """
    edges = np.linspace(*(2595 * np.log10(1 + np.array([low, high]) / 700)), mels + 2)
    edges = 700 * (10 ** (edges / 2595) - 1)  # in Hertz
    frequency = np.arange(size // 2 + 1)[:, None] * sampling_rate / size
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    bands = np.maximum(0, np.minimum(rising, falling)).astype("float32")
    if (bands.sum(axis=0) == 0).any():
        raise ValueError(
            f"{int((bands.sum(axis=0) == 0).sum())} of {mels} bands are so narrow that they have no frequency: take "
            f"fewer bands or a longer window. Received: mels={mels}, with a transform of {size} samples"
        )
    return bands
