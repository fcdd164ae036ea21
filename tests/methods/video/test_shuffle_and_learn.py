"""ShuffleAndLearn: arXiv 1603.08561."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl import inputs
from keras_ssl.methods.video import shuffle_and_learn as module
from tests import cases, kinds

FRAMES = 7


def samples(count):
    """A bright square that moves to the right, over noise."""
    draws = np.random.default_rng(0)
    videos = draws.integers(0, 60, (count, FRAMES + 1, 10, 12, 3), "uint8")
    for row, begin in enumerate(draws.integers(0, 4, count)):
        for time in range(FRAMES + 1):
            videos[row, time, 3:6, begin + time : begin + time + 2] = 220
    return {"video": videos}


def encoder():
    return keras_ssl.encoders.over_time(cases.any_size_encoder())


def views():
    return keras_ssl.augment.shuffle_and_learn(kinds.SIDE, FRAMES)


CASE = cases.Case({"apart": 1, "hidden": 8}, encoder, views, kind=inputs.VIDEO, samples=samples)


def model(**options):
    return keras_ssl.ShuffleAndLearn(encoder(), **options)


def numbered(count, frames):
    """Clips in which nothing moves."""
    return np.zeros((count, frames, 2, 2, 3), "float32")


@pytest.mark.parametrize("motion", [True, False])
def test_the_middle_frame_alone_tells(motion):
    frames, apart, longest = 40, 5, 12
    method = model(apart=apart, longest=longest, motion=motion)
    places, ordered = (np.asarray(x) for x in method.tuples(numbered(10_000, frames)))
    outer = np.sort(places[:, [0, 2]], axis=1)
    b, d, middle = outer[:, 0], outer[:, 1], places[:, 1]
    assert (d - b >= 2).all() and (d - b <= longest).all() and set(d - b) == set(range(2, longest + 1))
    assert (b >= apart).all() and (d <= frames - 1 - apart).all()
    inside = (middle > b) & (middle < d)
    np.testing.assert_array_equal(inside, ordered)
    away = np.where(middle < b, b - middle, middle - d)[~ordered]
    assert (away >= apart).all() and middle.min() == 0 and middle.max() == frames - 1
    assert abs(ordered.mean() - 0.25) < 0.02
    assert abs((middle < b)[~ordered].mean() - 0.5) < 0.02
    assert abs((places[:, 0] > places[:, 2]).mean() - 0.5) < 0.02
    for one in (b, d - b):  # the outer frames of both kinds are drawn alike
        assert abs(one[ordered].mean() - one[~ordered].mean()) < 5 * one.std() / np.sqrt(2_000)


def test_tuples_are_where_something_moves():
    clips = numbered(4_000, 40)
    clips[:, 20:25] += np.arange(5)[:, None, None, None] * 10  # moves from 19 to 25
    places, _ = model(apart=3, longest=8).tuples(clips)
    outer = np.sort(np.asarray(places)[:, [0, 2]], axis=1)
    assert ((outer[:, 0] < 25) & (outer[:, 1] > 19)).mean() > 0.999
    places, _ = model(apart=3, longest=8, motion=False).tuples(clips)
    outer = np.sort(np.asarray(places)[:, [0, 2]], axis=1)
    assert ((outer[:, 0] < 25) & (outer[:, 1] > 19)).mean() < 0.7


def test_of_large_frames_some_pixels_tell_what_moves():
    clips = np.zeros((100, 12, 70, 66, 3), "float32")
    for time in range(5, 9):
        clips[:, time, 30 : 30 + 3 * time, 20:40] = 200  # moves from 4 to 9
    assert module.thinned(clips).shape == (100, 12, 35, 33, 3) and module.thinned(clips[:, :, :63]).shape[2] == 63
    places, _ = model(apart=1, longest=2).tuples(clips)
    outer = np.sort(np.asarray(places)[:, [0, 2]], axis=1)
    assert ((outer[:, 0] < 9) & (outer[:, 1] > 4)).all() and len(set(outer[:, 0])) > 3


@pytest.mark.parametrize(
    "name", ["ShuffleAndLearn", "FrameOrder", "TemporalContrastive", "TimeContrastive", "TrackingByColorizing"]
)
def test_masks_are_refused_also_where_the_encoder_takes_none(name):
    columns = cases.case_of(name).samples(4)
    columns["video_mask"] = np.ones(columns["video"].shape[:2], bool)
    method = cases.new(name)
    with pytest.raises(ValueError, match=f"{name} takes no masks: .* Leave the column 'video_mask' out of the data"):
        method(columns, training=True)
    del columns["video_mask"]
    assert np.isfinite(float(method(columns, training=True)["loss"]))


def test_the_loss_is_that_of_two_classes():
    method = model(apart=1)
    clips = np.random.default_rng(0).uniform(0, 255, (6, FRAMES, kinds.SIDE, kinds.SIDE, 3)).astype("float32")
    places, ordered = np.array([[1, 2, 3], [1, 0, 3], [1, 5, 3], [4, 3, 1], [1, 2, 4], [5, 0, 2]]), [1, 0, 0, 1, 1, 0]
    method.tuples = lambda clips: (ops.convert_to_tensor(places, "int32"), ops.cast(ordered, "bool"))
    outputs = method({"views": [clips]}, training=True)
    frames = clips[np.arange(6)[:, None], places].reshape(-1, 1, kinds.SIDE, kinds.SIDE, 3)
    features = np.float64(method.encoder(frames, training=True)).reshape(6, -1)  # in the order shown
    kernel, bias = (np.float64(w) for w in method.head.get_weights())
    p = 1 / (1 + np.exp(-(features @ kernel + bias)[:, 0]))
    expected = -np.mean(np.where(ordered, np.log(p), np.log(1 - p)))
    assert float(outputs["loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(outputs["accuracy"]) == pytest.approx(np.mean((p > 0.5) == np.bool_(ordered)))


def test_nothing_can_be_told_of_a_video_that_stands_still():
    """Frames are alike, so that one answer is given for all: right for three of four at most."""
    method = model(apart=1)
    still = np.random.default_rng(0).uniform(0, 255, (1, 1, kinds.SIDE, kinds.SIDE, 3)).astype("float32")
    clips = still.repeat(400, axis=0).repeat(FRAMES, axis=1)
    shares = [float(method({"views": [clips]}, training=True)["accuracy"]) for _ in range(2)]
    assert all(min(abs(share - 0.25), abs(share - 0.75)) < 0.1 for share in shares)


def test_the_order_of_a_thing_that_moves_is_learned():
    keras.utils.set_random_seed(0)
    images = keras.Input((10, 12, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(keras.layers.Rescaling(1 / 255)(images))
    features = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(x))
    trained = keras_ssl.encoders.over_time(keras.Model(images, features))
    view = keras_ssl.augment.RandomClip(FRAMES)
    method = keras_ssl.ShuffleAndLearn(trained, view, apart=1, hidden=32)
    method.compile(optimizer=keras.optimizers.Adam(3e-3))
    history = method.fit(keras_ssl.data.arrays(samples(256), 64), epochs=40, verbose=0).history
    assert np.mean(history["accuracy"][-5:]) > 0.9


def test_clips_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="needs clips of a known number of frames, 33 at least. Received: shape"):
        model()({"views": [np.zeros((2, 20, 8, 8, 3), "float32")]}, training=True)
