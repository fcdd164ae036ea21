"""Sounds in files: every format against what was written, rates, parts, padding, and files that cannot be used."""

import importlib.util
import struct
import sys

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

from keras_ssl import data
from keras_ssl.data import sound_file

needs_soundfile = pytest.mark.skipif(
    importlib.util.find_spec("soundfile") is None, reason='the extra "audio" is not installed'
)


def tone(seconds=1.0, rate=8000, frequency=440, channels=1):
    time = np.arange(round(seconds * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * frequency * (1 + i) * time) for i in range(channels)], axis=1)


def write(path, x=None, rate=8000, dtype="int16"):
    x = tone(rate=rate) if x is None else x
    path.parent.mkdir(parents=True, exist_ok=True)
    scale = {"int16": 2**15, "int32": 2**31}.get(dtype)
    x = np.round(x * (scale - 1)) if scale else x * 127 + 128 if dtype == "uint8" else x
    wavfile.write(path, rate, x.astype(dtype).squeeze())
    return path


def rows(pipeline):
    batches = [{name: np.asarray(x) for name, x in batch.items()} for batch in pipeline]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds")
    for number in range(6):
        ramp = (np.arange(4000 + 1000 * number)[:, None] + 1) / 32768 * (1 if number % 2 else -1)
        write(path / "ab"[number % 2] / f"{'xyz'[number % 3]}_{number}.wav", ramp)
    return path


# Files


@pytest.mark.parametrize("dtype, atol", [("uint8", 0.02), ("int16", 1e-4), ("int32", 1e-6), ("float32", 1e-7)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_plain_samples_are_read_without_another_package(tmp_path, monkeypatch, dtype, atol, channels):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    x = tone(0.1, channels=channels)
    file = sound_file.SoundFile(write(tmp_path / "a.wav", x, dtype=dtype))
    assert (file.rate, file.channels, file.frames) == (8000, channels, 800)
    np.testing.assert_allclose(file.read(0, 800), x, atol=atol)
    np.testing.assert_allclose(file.read(700, 500), x[700:], atol=atol)


def riff(form, data, more=b"", length=None):
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + more
    body += b"data" + struct.pack("<I", len(data) if length is None else length) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(bits=16, channels=1, tag=1, rate=8000):
    align = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)


def test_headers_of_other_programs(tmp_path):
    path, x = tmp_path / "a.wav", np.array([0, 1, -1, 8388607, -8388608, 65536])
    three = b"".join(struct.pack("<i", value)[:3] for value in x)
    extensible = form(24, tag=0xFFFE) + struct.pack("<HHI", 22, 24, 4) + struct.pack("<H", 1) + bytes(14)
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # a chunk of odd length is padded
    for head in (riff(form(24), three), riff(extensible, three, odd), riff(form(24), three, length=0xFFFFFFFF)):
        path.write_bytes(head)
        np.testing.assert_allclose(sound_file.SoundFile(path).read(0, 6)[:, 0], x / 2**23)
    large = b"JUNK" + struct.pack("<I", 2**21 + 1) + bytes(2**21 + 2)  # as pictures and notes of a recorder are
    path.write_bytes(riff(form(24), three, large))
    np.testing.assert_allclose(sound_file.SoundFile(path).read(0, 6)[:, 0], x / 2**23)
    path.write_bytes(riff(form(24), three, large)[: 2**21])
    with pytest.raises(sound_file.BadSound, match="is cut off"):
        sound_file.SoundFile(path)
    path.write_bytes(riff(form(64, tag=3), np.array([0.25, -2.0]).tobytes()))
    np.testing.assert_array_equal(sound_file.SoundFile(path).read(0, 2)[:, 0], [0.25, -2.0])


@needs_soundfile
@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.aiff", "flac_named.wav"])
def test_other_formats(tmp_path, name):
    import soundfile

    x, path = tone(0.5, channels=2), tmp_path / name
    kind = "FLAC" if name.startswith("flac") else None
    soundfile.write(path, x, 8000, format=kind)
    file = sound_file.SoundFile(path)
    assert (file.rate, file.channels) == (8000, 2)
    found = file.read(1000, 2000)
    lossy = path.suffix in (".mp3", ".ogg")
    assert np.corrcoef(found[:, 0], x[1000:3000, 0])[0, 1] > (0.99 if lossy else 0.9999)
    (one,) = data.audio_files([path], 16_000, 0.25, 1, shuffle=False)
    assert one["audio"].shape == (1, 4000) and 0.2 < float(np.std(one["audio"])) < 0.6


@needs_soundfile
def test_a_compressed_sound_that_is_cut_off(tmp_path):
    import soundfile

    for name, words in (("a.mp3", "is cut off: it should hold 16000 samples"), ("a.flac", "cannot be read")):
        path = tmp_path / name
        soundfile.write(path, tone(2.0), 8000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert words in sound_file.problem(str(path))


# Parts


def test_parts_of_a_folder(folder):
    pipeline = data.audio_folder(
        folder, 8000, 0.5, 3, labels=True, groups=lambda name: name[2], shuffle=False, index=True, crop="center"
    )
    found = rows(pipeline)
    assert [path[-7:-4] for path in pipeline.file_paths] == ["x_0", "y_4", "z_2", "x_3", "y_1", "z_5"]
    assert found["label"].tolist() == [0, 0, 0, 1, 1, 1] and pipeline.class_names == ["a", "b"]
    assert found["group"].tolist() == [0, 1, 2, 0, 1, 2] and pipeline.group_names == ["x", "y", "z"]
    assert found["audio"].shape == (6, 4000) and found["audio"].dtype == "float32" and found["audio_mask"].all()
    middle = (np.arange(4000) + 2001) / 32768
    np.testing.assert_allclose(found["audio"][1], -middle, atol=1e-4)  # of 8,000 samples
    assert pipeline.in_order().ordered and pipeline.samples == 6 and len(pipeline) == 2


def test_parts_are_drawn_by_seed_pass_and_file(folder):
    make = lambda **options: data.audio_folder(folder, 8000, 0.25, 2, index=True, **options)  # noqa: E731

    def starts(**options):
        found = rows(make(**options))
        places = np.abs(found["audio"][np.argsort(found["index"])][:, 0]) * 32768 - 1
        return np.round(places).astype(int)

    first = starts()
    np.testing.assert_array_equal(first, starts(parallel_calls=1))
    assert (first != starts(epoch=1)).mean() > 0.6 and (first != starts(seed=1)).mean() > 0.6
    lengths = np.array([4000, 8000, 6000, 7000, 5000, 9000])
    many = np.stack([starts(epoch=epoch) for epoch in range(40)])
    assert (many >= 0).all() and (many <= lengths - 2000).all()
    spread = many / (lengths - 2000)
    assert abs(spread.mean() - 0.5) < 0.06 and spread.min() < 0.05 and spread.max() > 0.95
    halves = [rows(make().share(host, 2))["index"] for host in (0, 1)]
    np.testing.assert_array_equal(np.stack(halves, axis=1).reshape(-1), rows(make())["index"])
    assert make().fingerprint == make().fingerprint != data.audio_folder(folder, 8000, 0.5, 2).fingerprint


def test_short_sounds_are_padded_and_masked(tmp_path):
    path = write(tmp_path / "a.wav", tone(0.1))
    found = rows(data.audio_files([path], 8000, 0.25, 1, shuffle=False))
    assert found["audio_mask"][0].tolist() == [True] * 800 + [False] * 1200
    np.testing.assert_allclose(found["audio"][0, :800], tone(0.1)[:, 0], atol=1e-4)
    assert not found["audio"][0, 800:].any()
    assert "audio_mask" not in rows(data.audio_files([path], 8000, 0.25, 1, shuffle=False, mask=False))


def test_channels(tmp_path):
    x = tone(0.1, channels=2)
    two, one = write(tmp_path / "two.wav", x), write(tmp_path / "one.wav", x[:, :1])
    mono = rows(data.audio_files([two, one], 8000, 0.1, 1, shuffle=False))["audio"]
    np.testing.assert_allclose(mono, [x.mean(axis=1), x[:, 0]], atol=1e-4)
    stereo = rows(data.audio_files([two, one], 8000, 0.1, 1, shuffle=False, channels=2))["audio"]
    np.testing.assert_allclose(stereo, [x, x[:, [0, 0]]], atol=1e-4)


@pytest.mark.parametrize("soxr", [False, True])
@pytest.mark.parametrize("old, new", [(8000, 16000), (44100, 16000), (48000, 8000), (11025, 16001)])
def test_a_part_is_that_of_the_whole_sound_at_the_new_rate(tmp_path, monkeypatch, old, new, soxr):
    if soxr and importlib.util.find_spec("soxr") is None:
        pytest.skip('the extra "audio" is not installed')
    if not soxr:
        found = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "soxr" else found(name))
    path = write(tmp_path / "a.wav", tone(1.5, old, 300), old)
    for draw in (0.0, 0.37, 0.999):
        part, real = sound_file.part(path, new, new // 4, draw)
        assert len(part) == real == new // 4
        # The phase is that of the place, and what comes out is the same tone.
        time = np.arange(len(part)) / new
        fit, *_ = np.linalg.lstsq(
            np.stack([np.sin(2 * np.pi * 300 * time), np.cos(2 * np.pi * 300 * time)], axis=1), part, rcond=None
        )
        assert np.hypot(*fit) == pytest.approx(0.5, abs=0.01)
        inner = slice(new // 50, -new // 50)
        expected = 0.5 * np.sin(2 * np.pi * 300 * time + np.arctan2(fit[1], fit[0]))
        np.testing.assert_allclose(part[inner], expected[inner], atol=0.02)
    if not soxr and old == 8000:
        whole = resample_poly(tone(1.5, old, 300)[:, 0], 2, 1)
        part, _ = sound_file.part(path, new, new // 4, None)
        np.testing.assert_allclose(part, whole[2 * 5000 :][: new // 4], atol=1e-3)


# Files that cannot be used


def bad_files(folder):
    whole = write(folder / "good_b.wav").read_bytes()
    made = {
        "empty.wav": b"",
        "cut.wav": whole[:5000],
        "headless.wav": whole[:20],
        "text.wav": b"this is no sound, it is a text of some length",
        "silent.wav": riff(form(), bytes(4000)),
        "nothing.wav": riff(form(), b""),
        "nan.wav": riff(form(32, tag=3), np.array([0.1, np.nan] * 4000, "float32").tobytes()),
        "short.wav": riff(form(), np.ones(20, "<i2").tobytes()),
        "odd.wav": riff(struct.pack("<HHIIHH", 1, 2, 8000, 16000, 3, 16), bytes(range(1, 100))),
        "law.wav": riff(form(8, tag=9), bytes(range(1, 100))),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    write(folder / "good_a.wav")
    return made


WORDS = {
    "empty": "is empty", "cut": "is cut off: it should hold 8000 samples, 2478 are there", "headless": "cut off|format",
    "text": "no WAV file|cannot be read", "silent": "is silent", "nothing": "holds no sound", "nan": "not finite",
    "short": "is too short: 0.003 seconds", "odd": "2 channels of 16 bits in 3 bytes", "law": "no WAV file|cannot be",
}  # fmt: skip


@pytest.mark.parametrize("name", WORDS)
def test_a_bad_file_is_named(tmp_path, name):
    bad_files(tmp_path)
    paths = [tmp_path / f"{one}.wav" for one in ("good_a", name, "good_b")]
    pipeline = data.audio_files(paths, 8000, 0.5, 3, shuffle=False, shortest=0.1)
    with pytest.raises(Exception, match=f"The sound file .*{name}.wav' .*({WORDS[name]})"):
        list(pipeline)


def test_bad_files_are_skipped_and_counted(tmp_path):
    made = bad_files(tmp_path)
    with pytest.warns(UserWarning, match=f"{len(made)} of {len(made) + 2} sound files are skipped, among them: The so"):
        pipeline = data.audio_folder(tmp_path, 8000, 0.5, 1, on_error="skip", shortest=0.1, index=True, shuffle=False)
    assert [path[-10:] for path in pipeline.file_paths] == ["good_a.wav", "good_b.wav"]
    assert rows(pipeline)["index"].tolist() == [0, 1]
    with pytest.raises(ValueError, match=f"None of the {len(made)} files can be used. The first one: The sound"):
        data.audio_files([tmp_path / name for name in made], 8000, 0.5, 1, on_error="skip", shortest=0.1)


def test_a_file_that_is_silent_in_a_part_can_be_used(tmp_path):
    x = np.concatenate([np.zeros((4000, 1)), tone(0.5)])
    found = rows(data.audio_files([write(tmp_path / "a.wav", x)], 8000, 0.1, 1, shuffle=False, crop="center"))
    assert found["audio"].shape == (1, 800)


def test_formats_that_need_the_extra_are_counted(tmp_path, monkeypatch):
    write(tmp_path / "a.wav")
    for name in ("b.flac", "c.MP3", "notes.txt", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(sound_file, "has_soundfile", lambda: False)
    with pytest.warns(UserWarning, match=r'left out: 1 x .flac, 1 x .mp3. They need the extra "audio"'):
        pipeline = data.audio_folder(tmp_path, 8000, 0.5, 1)
    assert pipeline.left_out == {".flac": 1, ".mp3": 1, ".txt": 1} and len(pipeline.file_paths) == 1


@pytest.mark.parametrize(
    "options, match",
    [
        ({"sampling_rate": 0}, "sampling_rate must be a positive int"),
        ({"seconds": 0.0}, "seconds must be a finite number above 0"),
        ({"shortest": -1.0}, "shortest must be a finite number"),
        ({"channels": 3}, "channels must be 1 or 2"),
        ({"crop": "left"}, 'crop must be "random" or "center"'),
        ({"on_error": "x"}, 'on_error must be "raise" or "skip"'),
        ({"labels": [1]}, "labels must be as many as paths"),
        ({"groups": ["a"]}, "groups must be as many as paths"),
        ({"paths": []}, "paths is empty"),
    ],
)
def test_errors(folder, options, match):
    paths = sorted(map(str, folder.rglob("*.wav")))
    with pytest.raises(ValueError, match=match):
        data.audio_files(**{"paths": paths, "sampling_rate": 8000, "seconds": 0.5, "batch_size": 2, **options})


def test_folder_errors(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        data.audio_folder(tmp_path / "none", 8000, 1.0, 2)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match="holds no sounds. Found: 1 x .txt"):
        data.audio_folder(tmp_path, 8000, 1.0, 2)
    with pytest.raises(ValueError, match="groups must be a function"):
        data.audio_folder(folder, 8000, 1.0, 2, groups=["a"])
    with pytest.raises(TypeError, match="paths must be a list of files"):
        data.audio_files(str(folder), 8000, 1.0, 2)
