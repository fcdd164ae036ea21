"""Sound file: a part of a file with sound as an array. WAV is read here, other formats by `soundfile`."""

import importlib.util
import math
import os
import struct

import numpy as np

WAV = (".wav", ".wave")
OTHERS = (".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf")


class BadSound(ValueError):
    """A file that cannot be used; the words say why."""


def readable():
    """The extensions of the files that are read here."""
    return WAV + (OTHERS if has_soundfile() else ())


def has_soundfile():
    return importlib.util.find_spec("soundfile") is not None


class SoundFile:
    """A file with sound: its rate, its length, and parts of it.

    Attributes:
        rate: int, samples a second.
        channels: int.
        frames: int, samples of each channel.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        with open(self.path, "rb") as file:
            head = file.read(12)
            if not head:
                raise BadSound("is empty")
            self.own = head[:4] == b"RIFF" and head[8:] == b"WAVE"
            if self.own:
                self._find_chunks(file)
        if not self.own:
            self._open_other()
        if self.frames < 1 or self.rate < 1 or self.channels < 1:
            raise BadSound("holds no sound")

    def read(self, start, count):
        """Samples from `start` on, float32 `(count, channels)`, usually in [-1, 1]; fewer where the file ends."""
        count = max(0, min(count, self.frames - start))
        if not self.own:
            return self._read_other(start, count)
        with open(self.path, "rb") as file:
            file.seek(self.begin + start * self.align)
            data = file.read(count * self.align)
        if len(data) < count * self.align:
            raise BadSound("is cut off")
        return self.decode(np.frombuffer(data, "uint8")).reshape(count, self.channels)

    # WAV

    def _find_chunks(self, file):
        form, size = None, os.fstat(file.fileno()).st_size
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise BadSound("is a WAV file without samples" if form else "is a WAV file without a format")
            name, length, start = head[:4], struct.unpack("<I", head[4:])[0], file.tell()
            if name == b"data":
                break
            if start + length > size:
                raise BadSound("is cut off")
            form = file.read(min(length, 40)) if name == b"fmt " else form
            file.seek(start + length + length % 2)
        if form is None or len(form) < 16:
            raise BadSound("is a WAV file without a format")
        tag, self.channels, self.rate, _, self.align, bits = struct.unpack("<HHIIHH", form[:16])
        tag = struct.unpack("<H", form[24:26])[0] if tag == 0xFFFE and len(form) >= 26 else tag
        self.decode = DECODERS.get((tag, bits))
        if self.decode is None:
            self.own = False  # compressed, which soundfile may know
            return
        if not self.channels or self.align != self.channels * bits // 8:
            raise BadSound(f"says {self.channels} channels of {bits} bits in {self.align} bytes")
        self.begin, there = file.tell(), size - file.tell()
        if length in (0, 2**32 - 1) and there:  # written as a stream, whose length was not known yet
            length = there
        if length > there:
            raise BadSound(cut_off(length // self.align, there // self.align))
        self.frames = length // self.align

    # Other formats

    def _open_other(self):
        if not has_soundfile():
            raise BadSound(
                'is no WAV file of plain samples; others need the extra "audio": pip install keras_ssl[audio]'
            )
        import soundfile

        try:
            with soundfile.SoundFile(self.path) as file:
                self.rate, self.channels, self.frames = file.samplerate, file.channels, file.frames
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise BadSound(f"cannot be read: {error}") from error

    def _read_other(self, start, count):
        import soundfile

        try:
            with soundfile.SoundFile(self.path) as file:
                file.seek(start)
                found = file.read(count, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise BadSound(f"cannot be read: {error}") from error
        if len(found) < count:
            raise BadSound(cut_off(self.frames, start + len(found)))
        return found


def cut_off(said, there):
    return f"is cut off: it should hold {said} samples, {there} are there"


def three_bytes(data):
    parts = data.reshape(-1, 3).astype("int32")
    return (((parts[:, 0] << 8) | (parts[:, 1] << 16) | (parts[:, 2] << 24)) >> 8).astype("float32") / 2**23


DECODERS = {
    (1, 8): lambda data: (data.astype("float32") - 128) / 128,
    (1, 16): lambda data: data.view("<i2").astype("float32") / 2**15,
    (1, 24): three_bytes,
    (1, 32): lambda data: (data.view("<i4") / 2**31).astype("float32"),
    (3, 32): lambda data: data.view("<f4").astype("float32"),
    (3, 64): lambda data: data.view("<f8").astype("float32"),
}


def resample(x, old, new):
    """Another rate, by soxr where it is installed, else by SciPy's polyphase filter: `(samples, channels)`."""
    if old == new or not len(x):
        return x
    if importlib.util.find_spec("soxr"):
        import soxr

        return soxr.resample(x, old, new).astype("float32", copy=False)
    from scipy.signal import resample_poly

    common = math.gcd(old, new)
    return resample_poly(x, new // common, old // common, axis=0).astype("float32", copy=False)


def part(path, rate, samples, draw=None, channels=1, least=0):
    """A part of a file at another rate, padded with zeros where the file is shorter.

    Args:
        path: the file.
        rate: int, samples a second of the result.
        samples: int, its length.
        draw: number in [0, 1), where it starts, all starts equally likely; None: in the middle.
        channels: 1, the mean of those of the file, or 2.
        least: int, samples at `rate` that the file must have.

    Returns:
        float32 `(samples,)` or `(samples, 2)`, and how many of them are real.

    Raises:
        BadSound: the file cannot be used.
    """
    file = SoundFile(path)
    if file.channels > 2 and channels == 2:
        raise BadSound(f"has {file.channels} channels, not one or two")
    common = math.gcd(file.rate, rate)
    up, down = rate // common, file.rate // common
    have = file.frames * up // down  # samples at the new rate
    if have < max(least, 1):
        raise BadSound(f"is too short: {file.frames / file.rate:.3f} seconds")
    grid = down if down <= file.rate // 50 else 1  # starts that are whole samples at both rates, if they are dense
    need = -(-samples * down // up)
    count = max(file.frames - need, 0) // grid
    place = (count // 2 if draw is None else min(int(draw * (count + 1)), count)) * grid
    # More on both sides, so that the filter of the resampling sees what is around the part.
    margin = 0 if file.rate == rate else grid * -(-(file.rate // 10) // grid)
    before = min(margin, place)
    found = checked(file, file.read(place - before, before + need + margin))
    found = mixed(found, channels)
    found = resample(found, file.rate, rate)[before * up // down :][:samples]
    real = len(found)
    found = np.pad(found, [(0, samples - real), (0, 0)])
    return found[:, 0] if channels == 1 else found, real


def mixed(x, channels):
    """One channel, the mean, or two, of which a second one is the first again."""
    if channels == 1:
        return x.mean(axis=1, keepdims=True)
    return np.repeat(x, 2, axis=1) if x.shape[1] == 1 else x


def checked(file, found):
    """What was read, where it is finite and the file is not silent."""
    if not np.isfinite(found).all():
        raise BadSound("holds values that are not finite")
    if not found.any() and all(not block.any() for block in blocks(file)):
        raise BadSound("is silent: all of its samples are 0")
    return found


def blocks(file, size=2**18):
    for start in range(0, file.frames, size):
        yield file.read(start, size)


def problem(path, least_seconds=0.0, channels=1):
    """What is wrong with a file, all of which is read; None where nothing is."""
    try:
        file = SoundFile(path)
        if file.frames < least_seconds * file.rate:
            raise BadSound(f"is too short: {file.frames / file.rate:.3f} seconds")
        if file.channels > 2 and channels == 2:
            raise BadSound(f"has {file.channels} channels, not one or two")
        loud = False
        for block in blocks(file):
            if not np.isfinite(block).all():
                raise BadSound("holds values that are not finite")
            loud = loud or block.any()
        if not loud:
            raise BadSound("is silent: all of its samples are 0")
    except BadSound as error:
        return f"The sound file {path!r} {error}."
    except OSError as error:
        return f"The sound file {path!r} cannot be read: {error.strerror or error}."
    return None
