"""TemporalContrastive: Lorre et al., 2020."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import inputs
from tests import cases, kinds


def encoder():
    clips = keras.Input((None, None, None, 3))
    x = keras.layers.Conv3D(8, (2, 3, 3), strides=(1, 2, 2), activation="relu")(keras.layers.Rescaling(1 / 255)(clips))
    return keras.Model(clips, keras.layers.GlobalAveragePooling3D()(x))


def samples(count):
    """Smooth pictures that get brighter."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, 4, 4, 3), "uint8")
    pixels = pixels.repeat(3, axis=2).repeat(3, axis=3).repeat(8, axis=1)
    return {"video": pixels // 2 + np.arange(8, dtype="uint8")[None, :, None, None, None] * 10}


def views():
    return keras_ssl.augment.temporal_contrastive(kinds.SIDE, 8, jitter=(0.2, 0.2, 0.0, 0.0))


OPTIONS = {"length": 2, "past": 2, "steps": 2, "context": 6}
CASE = cases.Case(OPTIONS, encoder, views, kind=inputs.VIDEO, samples=samples)


def make(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.TemporalContrastive(encoder(), **OPTIONS | options)


def videos(batch=3, frames=8):
    return np.random.default_rng(0).uniform(0, 255, (batch, frames, 6, 6, 3)).astype("float32")


def test_the_loss_is_the_papers():
    model, given = make(past=2, steps=2), videos(frames=10)
    z = np.float64(model.encoder(given.reshape(-1, 2, 6, 6, 3), training=True)).reshape(3, 5, 8)
    c = np.float64(model.recurrence(z.astype("float32")))
    kernel = np.float64(model.predictor.get_weights()[0]).reshape(6, 2, 8)
    terms, right, hard = [], [], []
    for v in range(3):
        for k in (1, 2):
            for t in range(1, 5 - k):  # the first context has seen two clips
                said = np.einsum("c,cd->d", c[v, t], kernel[:, k - 1])
                scores = np.array([[said @ z[w, i] for i in range(5)] for w in range(3)])
                terms.append(np.log(np.exp(scores).sum()) - scores[v, t + k])
                right.append(scores.argmax() == v * 5 + t + k)
                hard.append(scores[v].argmax() == t + k)
    outputs = model({"views": [given]}, training=True)
    assert float(outputs["loss"]) == pytest.approx(np.mean(terms), rel=1e-4)
    assert float(outputs["accuracy"]) == pytest.approx(np.mean(right))
    assert float(outputs["hard"]) == pytest.approx(np.mean(hard))


def test_the_context_knows_nothing_of_what_comes_and_clips_nothing_of_each_other():
    model, given = make(), tf.constant(videos(1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given)
        z = tf.reshape(model.encoder(model.cut(given), training=True), (1, 4, 8))
        c = model.recurrence(z)
        one, other = tf.reduce_sum(z[:, 2]), tf.reduce_sum(c[:, 1])
    moved = lambda x: np.flatnonzero(np.abs(tape.gradient(x, given)).max(axis=(0, 2, 3, 4))).tolist()  # noqa: E731
    assert moved(one) == [4, 5] and moved(other) == [0, 1, 2, 3]


def test_without_a_prediction_all_clips_of_the_batch_are_equally_likely():
    model = make()
    model.predictor.set_weights([0 * w for w in model.predictor.get_weights()])
    assert float(model({"views": [videos()]}, training=True)["loss"]) == pytest.approx(np.log(3 * 4), rel=1e-5)


def steps(count, clips, steady, seed):
    """A stripe goes around a circle of seven places: by as many in each step, or by another number in each.

    A clip is two frames. With other numbers, every place is as likely as the others, whatever was seen.
    """
    draws = np.random.default_rng(seed)
    speeds = draws.integers(1, 7, (count, 1)) if steady else draws.integers(0, 7, (count, 2 * clips))
    speeds = np.broadcast_to(speeds, (count, 2 * clips))
    places = (draws.integers(0, 7, (count, 1)) + np.cumsum(speeds, axis=1)) % 7
    return 200 * np.eye(7, dtype="uint8")[places][:, :, None, :, None].repeat(4, axis=2).repeat(3, axis=4)


def foretold(method, videos, past):
    """How often the next clip has the highest score among those that the context has not seen, two or more."""
    rows, clips = len(videos), videos.shape[1] // 2
    z = np.reshape(method.encoder(method.cut(videos)), (rows, clips, -1))
    said = np.einsum("btc,cd->btd", method.recurrence(z), method.predictor.get_weights()[0])
    right = [
        np.einsum("bd,bcd->bc", said[:, t], z[:, t + 1 :]).argmax(axis=1) == 0 for t in range(past - 1, clips - 2)
    ]
    return np.mean(right)


def test_what_comes_next_is_learned_where_motion_tells_it():
    """Clips that the context has seen do not count: they can be ruled out without any knowledge of motion."""
    keras.utils.set_random_seed(0)
    past, count = 2, 6
    clips = keras.Input((2, 4, 7, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(clips[:, :, :1]))
    trunk = keras.Model(clips, keras.layers.Dense(32)(keras.layers.Dense(64, activation="relu")(x)))
    view = keras_ssl.augment.RandomClip(2 * count)
    method = keras_ssl.TemporalContrastive(trunk, view, length=2, past=past, steps=1, context=64)
    method.compile(optimizer=keras.optimizers.Adam(3e-3))
    start, found = method.get_weights(), {}
    for steady in (False, True):
        method.set_weights(start)
        data = keras_ssl.data.arrays({"video": steps(256, count, steady, seed=0)}, 32)
        method.fit(data, epochs=30, verbose=0)
        found[steady] = foretold(method, steps(300, count, steady, seed=1), past)
    chance = np.mean([1 / 4, 1 / 3, 1 / 2])
    assert abs(found[False] - chance) < 0.08 and found[True] > 0.8, found


def test_views_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="needs clips of a known number of frames, 8 at least"):
        make()({"views": [videos(frames=6)]}, training=True)
    with pytest.raises(ValueError, match="frames fill clips of 2. Received: 9 frames"):
        make()({"views": [videos(frames=9)]}, training=True)
