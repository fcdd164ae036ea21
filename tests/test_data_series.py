"""Windows over long series: what they hold, where they may lie, what is missing, and what is refused."""

import importlib
import tracemalloc

import numpy as np
import pytest

import keras_ssl
from keras_ssl import data

data_series = importlib.import_module("keras_ssl.data.series")
blocks = data_series.blocks


def ramp(length, channels=2, start=0):
    """Recordings in which every value tells where it was."""
    return (start + np.arange(length)[:, None] + 1000 * np.arange(channels)).astype("float64")


def rows(pipeline):
    batches = [{name: np.asarray(x) for name, x in batch.items()} for batch in pipeline]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def in_order(recordings, window, **options):
    return rows(data.series(recordings, window, 4, shuffle=False, index=True, **options))


def test_windows_are_cut_where_they_say():
    recordings = [ramp(20), ramp(9, start=100), ramp(33, start=500)]
    pipeline = data.series(recordings, 8, 4, stride=4, shuffle=False, index=True)
    found = rows(pipeline)
    assert pipeline.windows.tolist() == [[0, s] for s in (0, 4, 8, 12)] + [[1, 0]] + [[2, s] for s in range(0, 25, 4)]
    for values, (recording, start) in zip(found["series"], pipeline.windows):
        np.testing.assert_array_equal(values, recordings[recording][start : start + 8])
    assert found["series"].dtype == "float32" and "series_mask" not in found and "label" not in found
    assert found["index"].tolist() == list(range(12)) and len(pipeline) == 3 and pipeline.samples == 12
    assert len(data.series(recordings, 8, 4, shuffle=False).windows) == 12  # half a window is the usual stride


def test_order_seeds_and_resuming_are_those_of_all_pipelines():
    recordings = [ramp(100), ramp(60, start=500)]
    make = lambda **options: data.series(recordings, 8, 4, seed=3, index=True, **options)  # noqa: E731
    first, again = rows(make()), rows(make(parallel_calls=1))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert first["index"].tolist() != sorted(first["index"])
    two = make()
    for _ in two:
        pass
    np.testing.assert_array_equal(rows(two)["index"], rows(make(epoch=1))["index"])
    np.testing.assert_array_equal(rows(make(start=3))["index"], first["index"][12:])
    halves = [rows(make().share(host, 2))["index"].reshape(-1, 2) for host in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1).reshape(-1), first["index"])
    assert make().fingerprint == make().fingerprint != data.series(recordings, 10, 4).fingerprint
    assert make().in_order().ordered


def test_no_step_of_one_group_is_in_both_parts():
    recordings = [ramp(40, start=1000 * i) for i in range(6)]
    users = ["c", "a", "b", "a", "c", "d"]
    train, test = data.split_groups(users, ["a", "d"])
    assert (train.tolist(), test.tolist()) == ([0, 2, 4], [1, 3, 5])
    seen = []
    for part in (train, test):
        windows = data.series([recordings[i] for i in part], 8, 4, groups=[users[i] for i in part], shuffle=False)
        found = rows(windows)
        names = [windows.group_names[number] for number in found["group"]]
        assert names == [users[part[recording]] for recording, _ in windows.windows]
        seen.append(set(found["series"][..., 0].ravel()))
    assert not seen[0] & seen[1]


def test_a_share_of_the_groups_is_drawn():
    users = np.repeat(np.arange(10), 3)
    train, test = data.split_groups(users, 0.3)
    assert len(set(users[test])) == 3 and not set(users[train]) & set(users[test])
    assert sorted([*train, *test]) == list(range(30))
    assert data.split_groups(users, 0.3, seed=1)[1].tolist() != test.tolist()
    assert len(set(users[data.split_groups(users, 0.001)[1]])) == 1
    for groups, held_out, match in (
        (users, [77], "Unknown: \\[77\\]"),
        (users, [], "Both parts need a group"),
        (users, users, "Both parts need a group"),
        (users, 1.5, "a share above 0 and below 1"),
        (["a"], 0.5, "a share above 0 and below 1 of two groups"),
        (users, "a", "list of groups that there are"),
        ([[1, 2]], [1], "flat list"),
        ([1.5], [1], "flat list"),
    ):
        with pytest.raises(ValueError, match=match):
            data.split_groups(groups, held_out)


def test_layouts():
    recordings = np.stack([ramp(20, 3), ramp(20, 3, start=50)])
    expected = in_order(recordings, 8)["series"]
    np.testing.assert_array_equal(in_order(recordings.swapaxes(1, 2), 8, layout="nct")["series"], expected)
    np.testing.assert_array_equal(in_order(list(recordings), 8, layout="ntc")["series"], expected)
    with pytest.raises(ValueError, match=r"recordings\[0\] has more channels than steps.*layout='nct'"):
        in_order(recordings.swapaxes(1, 2), 2)
    assert in_order([np.zeros((3, 7))], 2, layout="ntc")["series"].shape == (2, 2, 7)


def test_missing_values_are_zeros_with_a_mask():
    one = ramp(16) + 1
    one[3] = np.nan  # a step
    one[5, 1] = np.nan  # one channel of it
    found = in_order([one], 8, stride=8)
    assert found["series_mask"].tolist() == [[True] * 3 + [False] + [True] * 4, [True] * 8]
    assert found["series"][0, 3].tolist() == [0, 0] and found["series"][0, 5].tolist() == [6, 0]
    assert np.isfinite(found["series"]).all()
    mean, deviation = data.series_statistics([one])
    np.testing.assert_allclose(mean, np.nanmean(one, axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation, np.nanstd(one, axis=0), rtol=1e-6)
    scaled = in_order([one], 8, stride=8, normalize=(mean, deviation))["series"]
    np.testing.assert_allclose(scaled[1], (one[8:] - mean) / deviation, rtol=1e-5)
    assert scaled[0, 5, 1] == 0  # the mean
    with pytest.raises(ValueError, match="mask=False needs windows without missing steps"):
        in_order([one], 8, mask=False)


def test_a_mask_is_there_where_it_is_asked_for():
    assert in_order([ramp(16)], 8, mask=True)["series_mask"].all()
    assert "series_mask" not in in_order([ramp(16)], 8, mask=False)


def test_windows_of_nothing_are_left_out_and_counted():
    gap = ramp(40)
    gap[8:24] = np.nan
    pipeline = data.series([gap, ramp(5)], 8, 1, stride=4, short="skip", shuffle=False)
    assert pipeline.left_out == {"too short": 1, "nothing real": 3, "label changes": 0}
    assert pipeline.windows[:, 1].tolist() == [0, 4, 20, 24, 28, 32]


def test_recordings_that_are_too_short():
    found = in_order([ramp(5), ramp(16)], 8)
    assert found["series_mask"].sum(axis=1).tolist() == [5, 8, 8, 8]
    np.testing.assert_array_equal(found["series"][0, :5], ramp(5))
    assert not found["series"][0, 5:].any()
    with pytest.raises(ValueError, match=r"recordings\[0\] has 5 steps, fewer than window=8"):
        in_order([ramp(5)], 8, short="raise")
    with pytest.raises(ValueError, match="No window of 8 steps is left.*'too short': 1"):
        in_order([ramp(5)], 8, short="skip")


def test_padding_changes_no_features():
    """A short recording alone, and padded beside longer ones."""
    encoder = keras_ssl.encoders.sensor_cnn((None, 2), masked=True)
    short = np.random.default_rng(0).normal(size=(60, 2))
    pipeline = data.series([short, np.random.default_rng(1).normal(size=(96, 2))], 96, 2, shuffle=False)
    batch = next(iter(pipeline))
    padded = encoder({name: batch[name] for name in ("series", "series_mask")})[0]
    alone = encoder({"series": short[None].astype("float32"), "series_mask": np.ones((1, 60), bool)})[0]
    np.testing.assert_allclose(padded, alone, atol=1e-5)


def test_labels_of_recordings_and_of_steps():
    recordings = [ramp(16), ramp(24)]
    assert in_order(recordings, 8, labels=[5, 7])["label"].tolist() == [5] * 3 + [7] * 5
    steps = [np.zeros(16, int), np.repeat([1, 2], 12)]
    pipeline = data.series(recordings, 8, 1, labels=steps, shuffle=False)
    assert pipeline.windows.tolist() == [[0, 0], [0, 4], [0, 8], [1, 0], [1, 4], [1, 12], [1, 16]]
    assert rows(pipeline)["label"].tolist() == [0, 0, 0, 1, 1, 2, 2] and pipeline.left_out["label changes"] == 1


def test_statistics_of_channels_that_do_not_vary():
    mean, deviation = data.series_statistics([np.stack([np.full(9, 7.3), np.full(9, np.nan), np.arange(9.0)], axis=1)])
    np.testing.assert_allclose(mean, [7.3, 0, 4], rtol=1e-6)
    np.testing.assert_allclose(deviation, [1, 1, np.std(np.arange(9))], rtol=1e-6)


def test_ints_with_a_scale_and_files_on_the_disk(tmp_path):
    raw = np.random.default_rng(0).integers(-3000, 3000, (40, 3)).astype("int16")
    np.save(tmp_path / "raw.npy", raw)
    on_disk = np.load(tmp_path / "raw.npy", mmap_mode="r")
    scale = np.array([0.1, 0.2, 0.5])
    found = in_order([on_disk], 8, normalize=(0.0, 1 / scale))["series"]
    np.testing.assert_allclose(found[0], raw[:8] * scale, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_lies_on_the_disk_is_not_loaded(tmp_path, dtype):
    """10 million values, of which pieces are read."""
    on_disk = np.lib.format.open_memmap(tmp_path / "raw.npy", "w+", dtype, (10**6, 10))
    on_disk[:: 10**5] = 7
    tracemalloc.start()
    try:
        mean, deviation = data.series_statistics([on_disk])
        windows = data.series([on_disk], 1000, 16, stride=1000, normalize=(mean, deviation)).windows
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(windows) == 1000 and most < on_disk.nbytes / 2
    np.testing.assert_allclose(mean, 7e-5, rtol=1e-6)
    np.testing.assert_allclose(deviation, 7 * np.sqrt(1e-5 * (1 - 1e-5)), rtol=1e-5)


def test_pieces_have_no_seams(monkeypatch):
    one = np.random.default_rng(0).normal(size=(90, 2))
    one[[10, 11, 40]] = np.nan
    whole = [data.series_statistics([one]), in_order([one], 8)["series_mask"]]
    monkeypatch.setattr(data_series, "blocks", lambda one: blocks(one, 14))
    for found, expected in zip([data.series_statistics([one]), in_order([one], 8)["series_mask"]], whole):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    one[50, 1] = np.inf
    with pytest.raises(ValueError, match="at step 50"):
        in_order([one], 8)


@pytest.mark.parametrize(
    "recordings, options, match",
    [
        ([], {}, "recordings is empty"),
        (ramp(20), {}, "One recording is a list of one"),
        ("a.csv", {}, "a list of arrays"),
        ([np.zeros((0, 2))], {}, "not empty"),
        ([np.zeros(20)], {}, r"the shape \(time, channels\)"),
        ([ramp(20), ramp(20, 3)], {}, r"the same channels. Received: \[2, 3\]"),
        ([np.where(np.arange(20)[:, None] == 4, np.inf, ramp(20))], {}, "must hold finite.* at step 4"),
        ([np.full((20, 2), np.nan)], {}, "No window of 8 steps is left"),
        ([ramp(20)], {"stride": 0}, "stride must be a positive int"),
        ([ramp(20)], {"layout": "tnc"}, "layout must be"),
        ([ramp(20)], {"short": "drop"}, "short must be"),
        ([ramp(20)], {"groups": ["a", "b"]}, "2 groups for 1 recordings"),
        ([ramp(20)], {"labels": [1, 2]}, "labels must be as many as recordings"),
        ([ramp(20)], {"labels": [np.zeros(19, int)]}, "19 labels for 20 steps of"),
        ([ramp(20)], {"normalize": 3}, "a pair"),
        ([ramp(20)], {"normalize": ([0, 0, 0], 1)}, "one for each of 2 channels"),
        ([ramp(20)], {"normalize": (0, [1, 0])}, "above 0"),
    ],
)
def test_errors(recordings, options, match):
    with pytest.raises(ValueError, match=match):
        data.series(recordings, 8, 2, **options)


def test_what_holds_no_numbers_is_refused():
    with pytest.raises(TypeError, match=r"recordings\[0\] must be an array of numbers"):
        data.series([np.array([["a"] * 2] * 9)], 8, 2)
