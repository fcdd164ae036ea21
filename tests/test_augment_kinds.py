"""Augmentation of clips, sounds, series, texts, graphs: values against NumPy, masks, the same views everywhere."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import augment, inputs
from keras_ssl.augment import uniform
from tests.reference.augment import uniform as draws_of

COLORS = augment.ColorJitter(0.4, 0.4, 0.4, 0.1)
VIEW = augment.View([augment.RandomResizedCrop(6, flip=0.5), COLORS, augment.Grayscale()])
LAYERS = {
    "video": [
        augment.PerClip(VIEW), augment.PerClip(augment.GaussianBlur(3)), augment.PerClip(augment.RandomErasing()),
        augment.RandomClip(3, 2), augment.ReverseTime(), augment.RandomClip(3, (1, 3)), augment.RandomFrames(3),
        augment.RandomClip(3, 2, jitter=True), augment.PerFrame(VIEW), augment.PairedClip(augment.ReverseTime(), 4, 2),
    ],
    "audio": [augment.AudioCrop(20), augment.Gain(), augment.AddNoise(), augment.AddNoise((-5.0, 5.0), p=0.5)],
    "series": [
        augment.SeriesCrop(12), augment.Jitter(), augment.ScaleChannels(), augment.PermuteSegments(4),
        augment.TimeWarp(), augment.RotateAxes(), augment.RotateAxes(together=True), augment.DropChannels(0.4),
        augment.MaskTime(0.3), augment.MaskTime(0.3, span=3), augment.PermuteSegments(4, identity=False),
        augment.TimeWarp(curve="cubic"), augment.RotateAxes(angle=1.0), augment.ShuffleChannels(),
        augment.Sometimes(augment.ReverseSeries(), 0.5),
    ],
    "token_ids": [
        augment.MaskTokens(3, 0.3, special=(1, 2)), augment.DeleteTokens(0.3, special=(1, 2)),
        augment.CropTokens((0.3, 0.8), special=(1, 2)), augment.DeleteTokens(0.9), augment.CropTokens((0.1, 0.2)),
        augment.SubsampleTokens([5] * 30, 0.01, special=(1, 2)),
        augment.MaskTokens(3, 0.6, random=0.4, keep=0.3, vocabulary=30, special=(0, 1, 2), label=True),
    ],
    "nodes": [
        augment.DropNodes(0.3), augment.PerturbEdges(0.4), augment.PerturbEdges(0.4, add=False),
        augment.MaskAttributes(0.3, fill=-1.0), augment.Subgraph(0.6),
        augment.OneOf([augment.DropNodes(0.3), augment.Subgraph(0.6)]),
    ],
}  # fmt: skip
SPECTRA = [augment.SpectrumMask(2, 5, 1, 4), augment.SpectrumMask(1, 30, 2, 3, fill=-9.0), augment.AudioCrop(7)]
ALL = [(column, layer) for column, layers in LAYERS.items() for layer in layers]
ALL += [("spectrum", layer) for layer in SPECTRA]
every_layer = pytest.mark.parametrize("column, layer", ALL, ids=[f"{c}-{type(x).__name__}" for c, x in ALL])
RECIPES = {
    "video": augment.simclr_video(6, 4), "audio": augment.simclr_audio(20), "series": augment.simclr_series(12),
    "token_ids": augment.simclr_tokens(special=(1, 2)), "nodes": augment.simclr_graph(),
}  # fmt: skip


def seeds(batch=6, seed=0):
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (batch, 2)).astype("int32")


def numpy(x):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, x)


def lengths(steps, batch=6):
    return np.array([steps, steps - 1, steps // 2, 4, 1, steps - 3][:batch])


def samples(column, mask=True, batch=6):
    """The columns of a kind: samples of several lengths, padded."""
    draws = np.random.default_rng(7)
    if column == "nodes":
        return graphs(batch)
    steps, shape = {
        "video": (10, (8, 9, 3)), "audio": (32, ()), "series": (24, (6,)), "token_ids": (20, ()),
        "spectrum": (12, (8,)),
    }[column]  # fmt: skip
    real = np.arange(steps) < lengths(steps, batch)[:, None]
    if column == "token_ids":
        values = draws.integers(4, 30, (batch, steps))
        values[:, 0], values[np.arange(batch), lengths(steps, batch) - 1] = 1, 2
        values = np.where(real, values, 0).astype("int32")
    elif column == "video":
        values = (draws.integers(0, 256, (batch, steps, *shape)) * real[..., None, None, None]).astype("uint8")
    else:
        values = draws.normal(0, 1, (batch, steps, *shape)).astype("float32")
        values *= real.reshape(batch, steps, *[1] * len(shape))
    column = "audio" if column == "spectrum" else column
    name = "padding_mask" if column == "token_ids" else f"{column}_mask"
    return {column: values, name: real} if mask else {column: values}


def graphs(batch=6, most=9, ways=24):
    """Rings with a loop, a chord and an isolated node, of several sizes; a node alone; a graph without edges."""
    draws = np.random.default_rng(3)
    nodes, edges = np.zeros((batch, most, 4), "float32"), np.full((batch, ways, 2), most - 1, "int32")
    nodes_mask, edges_mask = np.zeros((batch, most), bool), np.zeros((batch, ways), bool)
    for row, size in enumerate([9, 8, 6, 5, 1, 4][:batch]):
        nodes[row, :size], nodes_mask[row, :size] = draws.normal(0, 1, (size, 4)), True
        found = []
        if size > 4:
            ring = size - 1  # the last node is isolated
            found = [(i, (i + 1) % ring) for i in range(ring)] + [(0, 2)]
            found = [pair for a, b in found for pair in ((a, b), (b, a))] + [(1, 1)]
        edges[row, : len(found)] = np.reshape(found, (-1, 2))
        edges_mask[row, : len(found)] = True
    return {"nodes": nodes, "edges": edges, "nodes_mask": nodes_mask, "edges_mask": edges_mask}


def same(found, expected, atol=1e-4):
    keras.tree.assert_same_structure(found, expected)
    for one, other in zip(keras.tree.flatten(numpy(found)), keras.tree.flatten(numpy(expected)), strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(one.astype("float64"), other.astype("float64"), atol=atol, rtol=1e-5)


# For every layer


@every_layer
@pytest.mark.parametrize("mask", [True, False])
def test_the_same_seeds_give_the_same_views_everywhere(column, layer, mask):
    columns = {**samples(column, mask), "seed": seeds()}
    expected = layer(columns)
    structure = tf.nest.map_structure(tf.convert_to_tensor, columns)
    tolerance = 0.1 if column == "video" else 1e-4
    same(tf.function(layer, jit_compile=True)(structure), expected, tolerance)
    batches = tf.data.Dataset.from_tensor_slices(columns).batch(2).map(layer, num_parallel_calls=2)
    found = [numpy(batch) for batch in batches]
    same(tf.nest.map_structure(lambda *parts: np.concatenate(parts), *found), expected, tolerance)
    alone = tf.nest.map_structure(lambda x: x[2:3], columns)
    same(layer(alone), tf.nest.map_structure(lambda x: x[2:3], numpy(expected)), tolerance)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    bare = {name: part for name, part in columns.items() if name != "seed"}
    same(again(bare if len(bare) > 1 else next(iter(bare.values())), seeds=columns["seed"]), expected, 0)
    stored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    same(stored(columns), expected, 0)
    calls = [keras.tree.flatten(numpy(layer(bare))) for _ in range(4)]  # its own seeds: others at each call
    assert any(not np.array_equal(*pair) for call in calls[1:] for pair in zip(call, calls[0], strict=True))


@every_layer
def test_padding_has_no_part_in_a_view(column, layer):
    columns = {**samples(column), "seed": seeds()}
    mask = {"token_ids": "padding_mask", "nodes": "nodes_mask", "spectrum": "audio_mask"}.get(column, f"{column}_mask")
    column = "audio" if column == "spectrum" else column
    real = columns[mask].reshape(*columns[mask].shape, *[1] * (columns[column].ndim - 2))
    other = {**columns, column: np.where(real, columns[column], 7).astype(columns[column].dtype)}
    if column == "nodes":
        other["edges"] = np.where(columns["edges_mask"][..., None], columns["edges"], 10**6).astype("int32")
    views = [layer(given) for given in (columns, other)]
    if isinstance(views[0], tuple):
        np.testing.assert_array_equal(*[numpy(view[1]) for view in views])
        assert not (numpy(views[0][1]) & ~columns[mask]).any()
        views = [view[0] for view in views]
    views = numpy(views)
    kept = views[0][mask]
    for name in views[0]:
        if name.endswith("mask"):
            np.testing.assert_array_equal(views[0][name], views[1][name])
            continue
        shown = views[0]["edges_mask" if name == "edges" else mask]
        shown = np.broadcast_to(shown.reshape(*shown.shape, *[1] * (views[0][name].ndim - 2)), views[0][name].shape)
        np.testing.assert_allclose(views[0][name][shown], views[1][name][shown], atol=1e-5)
    assert (kept.sum(axis=1) >= 1).all()
    if not isinstance(layer, augment.RandomFrames):  # which may take one frame several times
        assert (kept.sum(axis=1) <= columns[mask].sum(axis=1)).all()
    assert kept.dtype == bool and views[0][column].dtype == ("int32" if column == "token_ids" else "float32")


@pytest.mark.parametrize("column", RECIPES)
@pytest.mark.parametrize("mask", [True, False])
def test_views_of_every_kind(column, mask):
    columns = {**samples(column, mask), "seed": seeds(), "label": np.arange(6)}
    views = RECIPES[column](columns)
    assert isinstance(views, tuple) and len(views) == 2 and RECIPES[column].kind.column == column
    first, second = ([x.astype("float64") for x in keras.tree.flatten(numpy(view))] for view in views)
    assert any(np.abs(one - other).max() > 0 for one, other in zip(first, second, strict=True))
    if column != "nodes":
        assert isinstance(views[0], dict) == (mask or column == "token_ids")
    batches = tf.data.Dataset.from_tensor_slices(columns).batch(3).map(RECIPES[column])
    for number, batch in enumerate(batches):
        rows = slice(3 * number, 3 * number + 3)
        same(batch, keras.tree.map_structure(lambda x: x[rows], numpy(views)), 0.1 if column == "video" else 1e-4)
    repeated = type(RECIPES[column]).from_config(RECIPES[column].get_config())
    same(repeated(columns), views, 0)


OTHER_BACKEND = """
import sys
import keras
import numpy as np
from tests.test_augment_kinds import ALL, samples, seeds
found = []
for column, layer in ALL:
    given = {**samples(column), "seed": seeds()}
    found += keras.tree.flatten(layer(given))
np.savez(sys.argv[1], *[keras.ops.convert_to_numpy(part) for part in found])
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_views(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", OTHER_BACKEND, tmp_path / "found.npz"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = [layer({**samples(column), "seed": seeds()}) for column, layer in ALL]
    for one, other in zip(np.load(tmp_path / "found.npz").values(), keras.tree.flatten(numpy(expected)), strict=True):
        np.testing.assert_allclose(one.astype("float64"), other.astype("float64"), atol=0.1)


def test_outside_of_training_nothing_happens():
    for column, layer in [*ALL, ("image", augment.Grayscale()), ("image", augment.RandomResizedCrop(12))]:
        given = {"image": np.full((2, 12, 12, 3), 9, "uint8")} if column == "image" else samples(column)
        size = layer.kind.size(given["audio"] if column == "spectrum" else given[column])
        if layer.separable and tuple(layer.resized(size)) == tuple(size):
            found = layer(given, training=False)
            found = found if isinstance(found, dict) else {column: found}
            same({name: part.astype(numpy(found[name]).dtype) for name, part in given.items()}, found, 0)
        else:
            with pytest.raises(ValueError, match="was called with training=False"):
                layer(given, training=False)
    x = np.full((2, 12, 12, 3), 9, "uint8")
    first, second = augment.simclr(12)(x, training=False)
    np.testing.assert_array_equal(first, x)
    assert np.abs(numpy(augment.simclr(12)(x, training=None)[0]) - x).max() > 1
    assert augment.Sobel()(x, training=False).shape == (2, 12, 12, 2)  # it is no draw: it stays
    for layer in (augment.simclr(8), augment.RandomMask(4), augment.MixUp(), augment.PatchGrid(2, 4)):
        with pytest.raises(ValueError, match="training=False"):
            layer(x, training=False)
    model = keras.Sequential([keras.Input((12, 12, 3)), augment.Solarize(0, p=1.0), keras.layers.Flatten()])
    np.testing.assert_array_equal(model.predict(x, verbose=0), x.reshape(2, -1))
    np.testing.assert_array_equal(model(x, training=True), 255 - x.reshape(2, -1))


# Video


def test_a_clip_has_one_draw():
    columns, s = samples("video", mask=False), seeds()
    layer = augment.PerClip(VIEW)
    found = numpy(layer(columns, seeds=s))
    for frame in range(10):
        np.testing.assert_allclose(found[:, frame], numpy(VIEW(columns["video"][:, frame], seeds=s)), atol=0.1)
    still = columns["video"][:, :1].repeat(10, axis=1)
    found = numpy(augment.simclr_video(6, 4)({"video": still, "seed": s})[0])
    assert np.ptp(found, axis=1).max() == 0 and found.std(axis=0).max() > 5
    assert layer.resized((10, 8, 9)) == (10, 6, 6)


def test_clips_are_counted_and_real():
    video = np.broadcast_to(np.arange(40.0)[None, :, None, None, None], (500, 40, 1, 1, 1))
    s = seeds(500)
    frames = numpy(augment.RandomClip(8, 3)(video, seeds=s))[..., 0, 0, 0]
    assert frames.shape == (500, 8) and (np.diff(frames) == 3).all()
    assert set(frames[:, 0]) == set(range(40 - 21))
    real = np.arange(40) < np.array([40, 30, 22, 10, 1] * 100)[:, None]
    clip = numpy(augment.RandomClip(8, 3)({"video": video, "video_mask": real}, seeds=s))
    assert (clip["video_mask"].sum(axis=1).reshape(100, 5) == [8, 8, 8, 4, 1]).all()
    starts = clip["video"][:, 0, 0, 0, 0].reshape(100, 5)
    assert (starts.max(axis=0) <= [18, 8, 0, 0, 0]).all() and len(set(starts[:, 1])) > 5
    with pytest.raises(ValueError, match="at least 22 steps"):
        augment.RandomClip(8, 3)(video[:, :21])


def frame_numbers(count=4000, frames=40):
    return np.broadcast_to(np.arange(float(frames))[None, :, None, None, None], (count, frames, 1, 1, 1))


def test_clips_of_several_speeds():
    layer = augment.RandomClip(5, (1, 3))
    found = numpy(layer(frame_numbers(), seeds=seeds(4000)))[..., 0, 0, 0]
    steps = np.diff(found)
    assert (steps == steps[:, :1]).all() and found.max() <= 39
    assert np.abs(np.bincount(steps[:, 0].astype(int))[1:] / 4000 - 1 / 3).max() < 0.04
    for step in (1, 2, 3):
        assert set(found[steps[:, 0] == step, 0]) == set(range(40 - 4 * step))
    real = np.arange(40) < np.array([40, 10, 5, 2] * 1000)[:, None]
    clip = numpy(layer({"video": frame_numbers(), "video_mask": real}, seeds=seeds(4000)))
    steps = np.diff(clip["video"][..., 0, 0, 0])[:, 0].reshape(1000, 4)
    assert steps.max(axis=0).tolist() == [3, 2, 1, 1]  # of ten frames, five fit at every second
    assert (clip["video_mask"].sum(axis=1).reshape(1000, 4) == [5, 5, 5, 2]).all()
    with pytest.raises(ValueError, match="at least 5 steps"):
        layer(frame_numbers(2, 4))


def test_frames_of_a_clip_that_jitter():
    found = numpy(augment.RandomClip(4, 5, jitter=True)(frame_numbers(), seeds=seeds(4000)))[..., 0, 0, 0]
    steps = np.diff(found)
    assert steps.min() == 1 and steps.max() == 9 and found.min() == 0 and found.max() == 39
    assert abs(steps.mean() - 5) < 0.1
    same(augment.RandomClip(4, 1, jitter=True)(frame_numbers(9), seeds=seeds(9)),
         augment.RandomClip(4, 1)(frame_numbers(9), seeds=seeds(9)))


def test_pairs_of_clips_are_rarely_far_apart():
    pair = augment.SharedViews([augment.PairedClip(augment.ReverseTime(0.0), 4, 2, number) for number in (0, 1)])
    first, second = (x[..., 0, 0, 0] for x in numpy(pair(frame_numbers(20000), seeds=seeds(20000))))
    assert (np.diff(first) == 2).all() and (np.diff(second) == 2).all() and max(first.max(), second.max()) <= 39
    distance, starts = np.abs(first[:, 0] - second[:, 0]).astype(int), 34
    d = np.arange(starts)
    share = (1 - d / starts) ** 2 - (1 - (d + 1) / starts) ** 2  # of the density (2 / T) (1 - d / T), from d to d + 1
    counts = np.bincount(distance, minlength=starts)
    expected = 20000 * share
    assert (np.square(counts - expected) / np.maximum(expected, 5)).sum() < 34 + 4 * np.sqrt(2 * 34)
    assert abs((first[:, 0] < second[:, 0])[distance > 0].mean() - 0.5) < 0.02
    lowest = np.minimum(first[:, 0], second[:, 0])
    assert set(lowest[distance == 20]) <= set(range(starts - 20)) and len(set(lowest[distance == 20])) > 10
    real = np.arange(40) < 5
    clip = numpy(pair({"video": frame_numbers(3), "video_mask": real[None].repeat(3, axis=0)}, seeds=seeds(3)))
    assert all((one["video"][..., 0, 0, 0] == [0, 2, 4, 6]).all() for one in clip)
    draws = numpy(augment.cvrl(6, 4).draw(seeds(8), (12, 8, 9)))["drawn"]
    flips = [view["drawn"]["drawn"]["drawn"][0]["flipped"] for view in draws]
    assert (flips[0] != flips[1]).any()  # the clips have draws of their own


def test_frames_that_are_images_of_their_own():
    found = numpy(augment.RandomFrames(3)(frame_numbers(), seeds=seeds(4000)))[..., 0, 0, 0]
    assert set(found.ravel()) == set(range(40)) and abs((np.diff(found) < 0).mean() - 0.5) < 0.04
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.06
    still = samples("video", mask=False)["video"][:, :1].repeat(4, axis=1)
    views = numpy(augment.PerFrame(VIEW)({"video": still, "seed": seeds()}))
    assert np.ptp(views, axis=1).max(axis=(1, 2, 3)).min() > 5  # no two frames alike
    assert augment.PerFrame(VIEW).resized((10, 8, 9)) == (10, 6, 6)


def test_time_runs_backwards_up_to_the_last_frame():
    video = np.broadcast_to(np.arange(6.0)[None, :, None, None, None], (2, 6, 1, 1, 1))
    real = np.array([[True] * 6, [True] * 4 + [False] * 2])
    clip = numpy(augment.ReverseTime(1.0)({"video": video, "video_mask": real}))
    np.testing.assert_array_equal(clip["video"][..., 0, 0, 0], [[5, 4, 3, 2, 1, 0], [3, 2, 1, 0, 4, 5]])
    rate = numpy(augment.ReverseTime(0.3).draw(seeds(4000), (6, 1, 1))["chosen"]).mean()
    assert abs(rate - 0.3) < 5 * np.sqrt(0.21 / 4000)


# Audio


def test_gain_is_in_decibels():
    wave, s = samples("audio", mask=False)["audio"], seeds()
    for row, seed, found in zip(wave, s, numpy(augment.Gain(6.0, p=0.7)(wave, seeds=s))):
        draws = draws_of(seed, 2)
        expected = row * 10 ** ((2 * draws[0] - 1) * 6 / 20) if draws[1] < 0.7 else row
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [None, 2])
def test_noise_has_the_ratio_it_says(channels):
    draws = np.random.default_rng(0)
    wave = draws.normal(0, 0.1, (6, 4000) if channels is None else (6, 4000, channels)).astype("float32")
    real = np.arange(4000) < np.array([4000, 3000, 1, 2000, 4000, 0])[:, None]
    wave[4] = 0.0
    found = numpy(augment.AddNoise((10.0, 10.0))({"audio": wave, "audio_mask": real}, seeds=seeds()))["audio"]
    noise = found - wave
    for row in (0, 1, 3):
        power = [np.mean(x[row][real[row]].astype("float64") ** 2) for x in (wave, noise)]
        assert abs(10 * np.log10(power[0] / power[1]) - 10) < 1e-2
        assert abs(np.mean(noise[row][real[row]])) < 5 * np.sqrt(power[1] / real[row].sum())
    assert np.isfinite(found).all() and not noise[4].any() and not noise[~real].any()
    assert len(np.unique(noise[0])) > 3000


def test_stripes_of_time_and_frequency():
    spectrum = np.random.default_rng(0).normal(3, 1, (400, 30, 16)).astype("float32")
    end = np.random.default_rng(1).integers(1, 31, 400)
    real = np.arange(30) < end[:, None]
    found = numpy(augment.SpectrumMask(1, 10, 1, 5, fill=-9.0)({"audio": spectrum, "audio_mask": real}))["audio"]
    hidden = (found == -9) & real[..., None]
    times, bands = [], []
    for row in range(400):
        inside = hidden[row, : end[row]]
        time, band = inside.all(axis=1), inside.all(axis=0)
        times.append(time.sum() if not time.all() else None)
        bands.append(band.sum() if not band.all() else None)
        for stripe in (time, band):
            assert np.abs(np.diff(np.concatenate([[0], stripe.astype(int), [0]]))).sum() <= 2  # one stripe
    assert max(x for x in times if x is not None) == 10 and set(x for x in bands if x is not None) == set(range(6))
    np.testing.assert_array_equal(found[~hidden], spectrum[~hidden])
    mean = numpy(augment.SpectrumMask(0, 0, 1, 16)(spectrum))
    changed = mean != spectrum
    expected = np.broadcast_to(spectrum.mean(axis=(1, 2))[:, None, None], mean.shape)
    np.testing.assert_allclose(mean[changed], expected[changed], rtol=1e-4)


# Series


def test_crops_take_all_starts_alike():
    series = np.broadcast_to(np.arange(20.0)[None, :, None], (4000, 20, 1))
    real = np.arange(20) < np.array([20, 12, 10, 3] * 1000)[:, None]
    found = numpy(augment.SeriesCrop(10)({"series": series, "series_mask": real}, seeds=seeds(4000)))
    starts = found["series"][:, 0, 0].reshape(1000, 4)
    for column, count in enumerate([11, 3, 1, 1]):
        counts = np.bincount(starts[:, column].astype(int), minlength=count)
        assert len(counts) == count and np.abs(counts - 1000 / count).max() < 5 * np.sqrt(1000 / count)
    assert (found["series_mask"].sum(axis=1).reshape(1000, 4) == [10, 10, 10, 3]).all()
    assert (np.diff(found["series"][..., 0]) == 1).all()


def test_noise_and_scale_have_their_deviations():
    series = np.ones((200, 50, 6), "float32")
    noise = numpy(augment.Jitter(0.2)(series)) - 1
    assert abs(noise.std() - 0.2) < 0.003 and abs(noise.mean()) < 0.004
    assert np.abs(np.corrcoef(noise.reshape(200, -1)[:, :40].T) - np.eye(40)).max() < 5 / np.sqrt(200)
    scale = numpy(augment.ScaleChannels(0.2)(series))
    assert np.ptp(scale, axis=1).max() == 0 and abs(scale[:, 0].std() - 0.2) < 5 * 0.2 / np.sqrt(2400)
    normal = numpy(augment.normal(seeds(2000), 50))
    assert abs((np.abs(normal) < 1).mean() - 0.6827) < 5 * np.sqrt(0.22 / 1e5)


@pytest.mark.parametrize("segments", [1, 3, 5])
def test_segments_are_permuted(segments):
    columns, s = samples("series"), seeds()
    found = numpy(augment.PermuteSegments(segments)(columns, seeds=s))
    for row, length in enumerate(lengths(24)):
        bounds = [length * k // segments for k in range(segments + 1)]
        order = np.argsort(draws_of(s[row], segments))
        expected = np.concatenate([columns["series"][row, bounds[k] : bounds[k + 1]] for k in order])
        np.testing.assert_array_equal(found["series"][row, :length], expected)
        assert not found["series"][row, length:].any()
    np.testing.assert_array_equal(found["series_mask"], columns["series_mask"])


def test_time_is_warped_between_its_ends():
    columns, s = samples("series"), seeds()
    layer = augment.TimeWarp(2, 0.4)
    found = numpy(layer(columns, seeds=s))
    speeds = numpy(layer.draw(s, (24,))["speeds"]).astype("float64")
    assert speeds.min() >= 0.1 - 1e-7
    for row, length in enumerate(lengths(24)):
        fine = np.linspace(0, 3, 30001)
        speed = np.interp(fine, range(4), speeds[row])
        way = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
        at = np.interp(np.arange(length) / max(length - 1, 1) * 3, fine, way / way[-1] * (length - 1))
        for channel in range(6):
            expected = np.interp(at, np.arange(length), columns["series"][row, :length, channel])
            np.testing.assert_allclose(found["series"][row, :length, channel], expected, atol=2e-3)
    np.testing.assert_array_equal(found["series_mask"], columns["series_mask"])
    same(augment.TimeWarp(deviation=0.0)(columns), columns, 1e-4)


def test_axes_are_rotated():
    series, s = samples("series", mask=False)["series"], seeds()
    for together in (True, False):
        found = numpy(augment.RotateAxes(together)(series, seeds=s))
        matrices = [[np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(np.split(x, 2, 1), np.split(y, 2, 1))]
                    for x, y in zip(series, found)]  # fmt: skip
        for row in (0, 1, 2, 5):
            for matrix in matrices[row]:
                np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-4)
                assert abs(np.linalg.det(matrix) - 1) < 1e-4
            assert (np.abs(matrices[row][0] - matrices[row][1]).max() < 1e-4) == together
    turned = numpy(augment.RotateAxes()(np.tile([[[1.0, 0.0, 0.0]]], (3000, 1, 1))))[:, 0]
    assert np.abs(turned.mean(axis=0)).max() < 5 / np.sqrt(3 * 3000)  # all directions alike
    assert np.abs(turned.T @ turned / 3000 - np.eye(3) / 3).max() < 0.03
    with pytest.raises(ValueError, match="groups of three channels"):
        augment.RotateAxes()(series[:, :, :4])


def test_channels_and_times_are_hidden():
    series = np.ones((1000, 40, 3), "float32")
    found = numpy(augment.DropChannels(0.4)(series))
    assert np.ptp(found, axis=1).max() == 0
    kept = found[:, 0].sum(axis=1)
    chance = [0, 3 * 0.6 * 0.16 + 0.064, 3 * 0.36 * 0.4, 0.216]
    assert np.abs(np.bincount(kept.astype(int), minlength=4) / 1000 - chance).max() < 5 * np.sqrt(0.25 / 1000)
    real = np.arange(40) < np.array([40, 20, 7, 1] * 250)[:, None]
    given = {"series": series * real[..., None], "series_mask": real}
    hidden = (numpy(augment.MaskTime(0.25, fill=5.0)(given))["series"] == 5).all(axis=2)
    assert not (hidden & ~real).any()
    counts = hidden.sum(axis=1).reshape(250, 4)
    assert set(counts[:, 0]) == {10} and set(counts[:, 1]) == {5} and set(counts[:, 2]) == {1, 2}
    assert np.abs(counts[:, 2:].mean(axis=0) - [1.75, 0.25]).max() < 5 * 0.5 / np.sqrt(250)
    spans = (numpy(augment.MaskTime(0.25, span=5, fill=5.0)(given))["series"] == 5).all(axis=2)
    assert not (spans & ~real).any() and spans.sum(axis=1).reshape(250, 4)[:, 0].max() == 10
    edges = np.abs(np.diff(np.pad(spans[::4].astype(int), [(0, 0), (1, 1)]), axis=1)).sum(axis=1)
    assert set(edges) <= {2, 4} and spans[::4].sum(axis=1).min() >= 5


# Tokens


def test_tokens_are_hidden_as_in_bert():
    tokens = np.random.default_rng(0).integers(5, 30, (2000, 40)).astype("int32")
    tokens[:, 0], real = 1, np.arange(40) < np.array([40, 21] * 1000)[:, None]
    tokens[~real] = 0
    layer = augment.MaskTokens(3, 0.15, random=0.1, keep=0.1, vocabulary=30, special=(0, 1, 3), label=True)
    sample, hidden = numpy(layer({"token_ids": tokens, "padding_mask": real}, seeds=seeds(2000)))
    new = sample["token_ids"]
    np.testing.assert_array_equal(new[~hidden], tokens[~hidden])
    assert not hidden[~real].any() and not hidden[:, 0].any()
    counts = hidden.sum(axis=1).reshape(1000, 2)
    assert set(counts[:, 0]) == {5, 6} and set(counts[:, 1]) == {3}  # 39 and 20 tokens
    assert abs(counts[:, 0].mean() - 5.85) < 5 * 0.36 / np.sqrt(1000)
    n = hidden.sum()
    rates = [(new[hidden] == 3).mean(), (new[hidden] == tokens[hidden]).mean()]
    assert abs(rates[0] - 0.8) < 5 * np.sqrt(0.16 / n) and abs(rates[1] - 0.1 - 0.1 / 27) < 5 * np.sqrt(0.09 / n)
    others = new[hidden & (new != 3) & (new != tokens)]
    assert set(others) == set(range(30)) - {0, 1, 3}
    plain = numpy(augment.MaskTokens(3, 0.5)(tokens[:4]))
    assert ((plain == 3).sum(axis=1) == 20).all() and plain.dtype == "int32"


@pytest.mark.parametrize("layer", [augment.DeleteTokens(0.3, 9), augment.CropTokens((0.3, 0.6), 9)])
@pytest.mark.parametrize("special", [(), (1, 2)])
def test_what_is_left_of_a_text_stays_in_order(layer, special):
    columns, s = samples("token_ids"), seeds()
    columns["segment_ids"] = columns["token_ids"] % 2
    layer = type(layer)(**{**layer.get_config(), "special": special, "name": None})
    found = numpy(layer(columns, seeds=s))
    for row, length in enumerate(lengths(20)):
        tokens, count = list(columns["token_ids"][row, :length]), found["padding_mask"][row].sum()
        assert found["padding_mask"][row, :count].all() and (found["token_ids"][row, count:] == 9).all()
        text = list(found["token_ids"][row, :count])
        places = iter(tokens)
        assert count >= 1 and all(token in places for token in text)  # in the old order
        np.testing.assert_array_equal(found["segment_ids"][row, :count], np.array(text) % 2)
        ends = [token for token in tokens if token in special]
        assert [token for token in text if token in special] == ends
        plain = len(tokens) - len(ends)
        if isinstance(layer, augment.DeleteTokens):
            assert count in (length - int(0.3 * plain), max(length - int(0.3 * plain) - 1, 1))
        elif plain:
            inner = [token for token in text if token not in special]
            whole = [token for token in tokens if token not in special]
            assert any(whole[i : i + len(inner)] == inner for i in range(len(whole)))
            assert round(0.3 * plain) <= len(inner) <= max(round(0.6 * plain), 1)


# Graphs


def pairs(graph, row):
    """The real edges of a graph, sorted, in both directions."""
    return sorted(map(tuple, graph["edges"][row][graph["edges_mask"][row]]))


def both_directions(edges):
    return sorted((b, a) for a, b in edges) == edges


def test_dropped_nodes_are_never_pooled():
    graph = graphs()
    counts = []
    for seed in range(50):
        found = numpy(augment.DropNodes(0.3)(graph, seeds=seeds(seed=seed)))
        assert not (found["nodes_mask"] & ~graph["nodes_mask"]).any() and not found["nodes"][~found["nodes_mask"]].any()
        shown = found["nodes_mask"]
        np.testing.assert_array_equal(found["nodes"][shown], graph["nodes"][shown])
        for row in range(6):
            there = set(np.flatnonzero(shown[row]))
            expected = [edge for edge in pairs(graph, row) if set(edge) <= there]
            assert pairs(found, row) == expected and both_directions(expected)
        counts.append(graph["nodes_mask"].sum(axis=1) - shown.sum(axis=1))
    counts = np.array(counts)
    assert [set(column) for column in counts.T] == [{2, 3}, {2, 3}, {1, 2}, {1, 2}, {0}, {1, 2}]
    assert np.abs(counts[:, :4].mean(axis=0) - [2.7, 2.4, 1.8, 1.5]).max() < 5 * 0.5 / np.sqrt(50)


def test_edges_are_replaced_in_both_directions():
    graph = graphs()
    lost = total = 0
    for seed in range(50):
        found = numpy(augment.PerturbEdges(0.4, add=False)(graph, seeds=seeds(seed=seed)))
        other = numpy(augment.PerturbEdges(0.4)(graph, seeds=seeds(seed=seed)))
        np.testing.assert_array_equal(other["edges_mask"], graph["edges_mask"])
        for row in range(6):
            old, left, new = pairs(graph, row), pairs(found, row), pairs(other, row)
            assert set(left) <= set(old) and both_directions(left) and both_directions(new) and len(new) == len(old)
            assert all(edge in left for edge in old if edge[0] == edge[1])
            size = graph["nodes_mask"][row].sum()
            added = list(new)
            for edge in left:
                added.remove(edge)
            assert all(a != b and a < size and b < size for a, b in added)
            lost, total = lost + len(old) - len(left), total + sum(a != b for a, b in old)
        np.testing.assert_array_equal(other["nodes"], graph["nodes"])
    assert abs(lost / total - 0.4) < 5 * np.sqrt(0.24 / (total / 2))
    assert np.all(numpy(augment.PerturbEdges(0.0)(graph))["edges_mask"] == graph["edges_mask"])


def test_attributes_are_hidden():
    graph = graphs()
    found = numpy(augment.MaskAttributes(0.5, fill=-3.0)(graph))
    hidden = (found["nodes"] == -3).all(axis=2)
    assert not (hidden & ~graph["nodes_mask"]).any()
    assert all(count in (size // 2, (size + 1) // 2) for count, size in zip(hidden.sum(1), graph["nodes_mask"].sum(1)))
    np.testing.assert_array_equal(found["nodes"][~hidden], graph["nodes"][~hidden])
    labels = {**graph, "nodes": np.tile(np.arange(9, dtype="int64"), (6, 1))}
    found = numpy(augment.MaskAttributes(0.5, fill=20)(labels))["nodes"]  # labels of nodes are ints
    assert found.dtype == "int32" and set(found[0]) <= {*range(9), 20} and (found == 20).sum() >= 10


def test_a_subgraph_is_connected():
    graph = graphs()
    starts = [set() for _ in range(6)]
    for seed in range(60):
        found = numpy(augment.Subgraph(0.6)(graph, seeds=seeds(seed=seed)))
        for row in range(6):
            there = set(np.flatnonzero(found["nodes_mask"][row]))
            assert there and not (found["nodes_mask"] & ~graph["nodes_mask"])[row].any()
            reached, ways = {min(there)}, pairs(found, row)
            for _ in there:
                reached |= {b for a, b in ways if a in reached}
            assert reached == there and both_directions(ways)
            size = graph["nodes_mask"][row].sum()
            assert len(there) in {1, int(0.6 * size), int(0.6 * size) + 1}
            assert len(there) > 1 or (size - 1 in there or size < 5)  # the isolated node is alone
            starts[row].add(frozenset(there))
        np.testing.assert_array_equal(found["nodes"][found["nodes_mask"]], graph["nodes"][found["nodes_mask"]])
    assert len(starts[0]) > 10 and len(starts[4]) == 1
    whole = numpy(augment.Subgraph(1.0)(graph, seeds=seeds()))
    assert whole["nodes_mask"].sum(axis=1).tolist()[4] == 1 and whole["nodes_mask"].sum(axis=1)[0] in (1, 8)


# Errors


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: augment.PerClip(augment.Rotations()), "layer must be an augmentation layer of images"),
        (lambda: augment.PerClip(augment.Jitter()), "layer must be an augmentation layer of images"),
        (lambda: augment.PerFrame(augment.Rotations()), "layer must be an augmentation layer of images"),
        (lambda: augment.PairedClip(VIEW, 4), "view must be an augmentation layer of videos"),
        (lambda: augment.PairedClip(augment.ReverseTime(), 4, number=2), "number must be 0 or 1"),
        (lambda: augment.PairedClip(augment.ReverseTime(), 9)(np.zeros((2, 8, 1, 1, 3))), "videos of at least 9 fra"),
        (lambda: augment.RandomClip(4, (3, 2)), "stride must be an int or a pair"),
        (lambda: augment.RandomFrames(0), "count must be a positive int"),
        (lambda: augment.View([augment.Jitter(), augment.Gain()]), "layers must all be for one kind of data"),
        (lambda: augment.Views([augment.Jitter(), augment.Gain()]), "views must all be for one kind of data"),
        (lambda: augment.Jitter()(np.zeros((2, 3))), r"a batch of series of shape \(batch, time, channels\)"),
        (lambda: augment.ReverseTime()(np.zeros((2, 3))), r"videos of shape \(batch, frames, height, width, ch"),
        (lambda: augment.Jitter()({"image": np.zeros((2, 3, 3, 3))}), "needs the column 'series'"),
        (lambda: augment.Jitter()(np.zeros((0, 3, 3))), "got a batch without series"),
        (lambda: augment.SeriesCrop(9)(np.zeros((2, 3, 3))), "at least 9 steps.*'series_mask'"),
        (lambda: augment.SpectrumMask()(np.zeros((2, 30))), "spectrograms of shape"),
        (lambda: augment.MaskTokens(3)(np.zeros((2, 30))), "token_ids, ints"),
        (lambda: augment.MaskTokens(3, random=0.1), "vocabulary must be the number of tokens"),
        (lambda: augment.MaskTokens(3, random=0.6, keep=0.6), "random \\+ keep must be a probability"),
        (lambda: augment.DropNodes()(np.zeros((2, 3, 4))), "needs the column 'edges'"),
        (lambda: augment.DropNodes()({**graphs(), "edges": np.zeros((6, 2, 3), int)}), "'edges' must be"),
        (lambda: augment.AddNoise((3.0, 1.0)), "snr must be a pair"),
        (lambda: augment.CropTokens((0.5, 1.5)), "at most 1"),
        (lambda: augment.Grayscale(probability=0.5), "probability"),
        (lambda: augment.Sobel(seed=3), "seed"),
        (lambda: augment.SharedViews([augment.Grayscale()], count=2), "count"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_layer_of_ones_own_takes_any_kind():
    class Half(augment.Augmentation):
        def transform(self, sample, seeds):
            values = sample["series"] if isinstance(sample, dict) else sample
            return values * (0.5 + 0 * uniform(seeds, 1)[:, 0][:, None, None])

    columns = {**samples("series"), "seed": seeds()}
    np.testing.assert_array_equal(Half()(columns), columns["series"] / 2)
    np.testing.assert_array_equal(Half()(columns["series"]), columns["series"] / 2)
    view = augment.View([Half(), augment.Jitter(0.0), keras.layers.Rescaling(2.0)])
    assert view.kind is inputs.SERIES
    np.testing.assert_allclose(view(columns), columns["series"], atol=1e-6)
