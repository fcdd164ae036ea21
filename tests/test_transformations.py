"""The transformations of TPN and what draws them: each changes what it says, and keeps the rest."""

import math

import keras
import numpy as np
import pytest
from scipy import interpolate

from keras_ssl import augment
from keras_ssl.augment.places import order
from keras_ssl.augment.recipes import transformations
from tests.test_augment_kinds import numpy, samples, seeds


def series(batch=6, steps=24, channels=6):
    return np.random.default_rng(0).normal(size=(batch, steps, channels)).astype("float32")


def test_negation_and_reversal_undo_themselves():
    x = series()
    np.testing.assert_array_equal(augment.Negate()(x), -x)
    np.testing.assert_array_equal(augment.ReverseSeries()(x), x[:, ::-1])
    for layer in (augment.Negate(), augment.ReverseSeries()):
        np.testing.assert_array_equal(layer(numpy(layer(x))), x)
    np.testing.assert_array_equal(augment.Unchanged()(x), x)


def test_what_is_real_is_reversed():
    columns = samples("series")
    found = numpy(augment.ReverseSeries()(columns))
    for row, mask in enumerate(columns["series_mask"]):
        np.testing.assert_array_equal(found["series"][row, mask], columns["series"][row, mask][::-1])
        np.testing.assert_array_equal(found["series_mask"][row], mask)


def test_rotations_keep_norms_and_have_the_angle():
    x = series(512)
    turned = numpy(augment.RotateAxes(angle=0.5)(x, seeds=seeds(512)))
    norms = [np.linalg.norm(one.reshape(512, 24, 2, 3), axis=-1) for one in (x, turned)]
    np.testing.assert_allclose(*norms, rtol=1e-5)
    # The trace of the matrix that turns one into the other is 1 + 2 cos(angle).
    matrices = np.linalg.pinv(x[..., :3]) @ turned[..., :3]
    angles = np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert angles.max() <= 0.5 + 1e-3
    assert np.abs(np.quantile(angles, [0.25, 0.5, 0.75]) - [0.125, 0.25, 0.375]).max() < 0.04  # uniform
    np.testing.assert_allclose(augment.RotateAxes(angle=0.0)(x), x, atol=1e-6)
    with pytest.raises(ValueError, match="angle must be a finite number"):
        augment.RotateAxes(angle=4.0)


@pytest.mark.parametrize("count", [2, 4, 6, 7])
def test_an_order_is_never_the_one_it_was(count):
    found = numpy(order(seeds(6000), count, identity=False))
    assert (np.sort(found, axis=1) == np.arange(count)).all()
    assert not (found == np.arange(count)).all(axis=1).any()
    if count == 4:
        _, counts = np.unique(found, axis=0, return_counts=True)
        assert len(counts) == 23 and ((counts - 6000 / 23) ** 2).sum() / (6000 / 23) < 50  # 22 degrees of freedom


def test_segments_and_channels_come_in_another_order():
    x = series(64)
    segments = numpy(augment.PermuteSegments(4, identity=False)(x, seeds=seeds(64)))
    channels = numpy(augment.ShuffleChannels()(x, seeds=seeds(64)))
    np.testing.assert_array_equal(np.sort(segments, axis=1), np.sort(x, axis=1))
    np.testing.assert_array_equal(np.sort(channels, axis=2), np.sort(x, axis=2))
    for found in (segments, channels):
        assert not (found == x).all(axis=(1, 2)).any()
    with pytest.raises(ValueError, match="needs two channels"):
        augment.ShuffleChannels()(x[..., :1])
    with pytest.raises(ValueError, match="segments must be an int from 2"):
        augment.PermuteSegments(1, identity=False)


def test_time_is_warped_along_a_cubic_spline():
    x, given = series(4, 50, 2), seeds(4)
    layer = augment.TimeWarp(4, 0.2, "cubic")
    found, speeds = numpy(layer(x, seeds=given)), numpy(layer.draw(given, (50,))["speeds"])
    for row in range(4):
        way = interpolate.CubicSpline(np.linspace(0, 49, 6), speeds[row]).antiderivative()(np.arange(50))
        place = way / way[-1] * 49
        for channel in range(2):
            expected = np.interp(place, np.arange(50), x[row, :, channel])
            np.testing.assert_allclose(found[row, :, channel], expected, atol=1e-3)
    assert np.abs(found - numpy(augment.TimeWarp(4, 0.2)(x, seeds=given))).max() > 0.05


def test_an_uneven_warp_stays_within_its_series():
    """Each series of the batch has a value of its own; steps of others would be seen."""
    number, given = np.arange(2000), seeds(2000)
    x = np.broadcast_to(number[:, None, None], (2000, 50, 1)).astype("float32")
    layer = augment.TimeWarp(4, 1.0, "cubic")
    np.testing.assert_allclose(numpy(layer(x, seeds=given)), x, rtol=1e-6)
    steps = np.broadcast_to(np.arange(50.0)[None, :, None], (2000, 50, 1)).astype("float32")
    padded = {"series": steps, "series_mask": np.arange(50)[None] < np.where(number % 2, 30, 50)[:, None]}
    found = numpy(layer(padded, seeds=given))
    assert found["series"][1::2][:, :30].max() <= 29 and found["series"].min() >= 0
    np.testing.assert_array_equal(found["series_mask"], padded["series_mask"])
    ways = np.diff(found["series"][::2, :, 0], axis=1)
    assert 0.02 < (ways < 0).any(axis=1).mean()  # these are the draws that would leave it


def test_sometimes_changes_a_part_of_the_samples():
    x = series(2000, 4, 2)
    layer = augment.Sometimes(augment.Negate(), 0.3)
    found = numpy(layer(x, seeds=seeds(2000)))
    changed = (found == -x).all(axis=(1, 2))
    assert ((found == x).all(axis=(1, 2)) | changed).all() and abs(changed.mean() - 0.3) < 0.04
    assert not (numpy(augment.Sometimes(augment.Negate(), 0.0)(x)) != x).any()
    alone = numpy(layer(x[5:6], seeds=seeds(2000)[5:6]))
    np.testing.assert_array_equal(alone, found[5:6])
    with pytest.raises(ValueError, match="makes one view"):
        augment.Sometimes(augment.Views(augment.Negate(), 2))
    with pytest.raises(ValueError, match="keep the size"):
        augment.Sometimes(augment.SeriesCrop(3))(x)
    with pytest.raises(ValueError, match="p must be a probability"):
        augment.Sometimes(augment.Negate(), 1.5)


def test_views_of_tpn_and_of_simclr():
    x = series()
    views = numpy(augment.tpn()(x, seeds=seeds()))
    assert len(views) == 9 and all(view.shape == x.shape for view in views)
    np.testing.assert_array_equal(views[0], x)
    assert not any((view == x).all(axis=(1, 2)).any() for view in views[1:])
    jitter, scale, rotation, _, _, permutation, warp, _ = transformations()
    assert (jitter.deviation, scale.deviation, rotation.angle) == (0.05, 0.1, math.pi)
    assert (permutation.segments, warp.knots, warp.deviation, warp.curve) == (4, 4, 0.2, "cubic")
    first, second = numpy(augment.simclr_activity(length=20)(x, seeds=seeds()))
    assert first.shape == second.shape == (6, 20, 6) and not np.array_equal(first, second)
    none = numpy(augment.simclr_activity((0.0,) * 8)(x))
    np.testing.assert_array_equal(none[0], x)
    with pytest.raises(ValueError, match="one for each of 8 layers"):
        augment.simclr_activity((0.1, 0.2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(augment.simclr_activity()))
    for one, other in zip(again(x, seeds=seeds()), augment.simclr_activity()(x, seeds=seeds()), strict=True):
        np.testing.assert_array_equal(one, other)
