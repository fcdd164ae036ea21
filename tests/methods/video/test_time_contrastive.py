"""TimeContrastive: arXiv 1704.06888."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import inputs, losses
from tests import cases, kinds
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas


def encoder():
    images = cases.small_encoder(size=kinds.SIDE, padding="same")
    synchronized = keras_ssl.distribute.replicas() > 1
    return keras_ssl.encoders.over_time(
        keras_ssl.encoders.tcn(images, filters=(8,), hidden=16, dim=8, synchronized=synchronized)
    )


def views():
    return keras_ssl.augment.View(
        [keras_ssl.augment.RandomClip(5), keras_ssl.augment.PerClip(keras_ssl.augment.RandomResizedCrop(kinds.SIDE))]
    )


CASE = cases.Case(
    {"near": 1, "far": 2, "margin": 5.0}, encoder, views, kind=inputs.VIDEO,
    samples=lambda count: {"video": kinds.videos(count)["video"][..., : kinds.SIDE, : kinds.SIDE, :]},
)  # fmt: skip


def vectors(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def loss_of(frames, near, far, margin):
    """In loops, as the authors' code says it: float64. The loss, and the share of pairs nearer than all negatives.

    In the middle of a short video alone there are no negatives: there a pair costs nothing.
    """
    terms, right = [], []
    videos, count = frames.shape[:2]
    distance = lambda a, b: np.square(a - b).sum()  # noqa: E731
    for v in range(videos):
        for t in range(count):
            others = [
                distance(frames[v, t], frames[w, i])
                for w in range(videos) for i in range(count) if w != v or abs(i - t) > far
            ]  # fmt: skip
            for p in range(count):
                if p == t or abs(p - t) > near:
                    continue
                together = distance(frames[v, t], frames[v, p])
                further = [x for x in others if x > together] or [max(others, default=0)]
                terms.append(max(0.0, margin + together - min(further)) if others else 0.0)
                right.append(not others or together < min(others))
    return np.mean(terms), np.mean(right)


@pytest.mark.parametrize("videos, near, far, margin", [(3, 1, 2, 1.0), (1, 2, 3, 4.0), (2, 1, 1, 0.2)])
def test_the_loss_is_that_of_the_authors_in_value_and_gradient(videos, near, far, margin):
    frames = vectors(0, videos, 7, 4)
    given = tf.constant(frames)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss, nearest = losses.semi_hard_in_time(given, near, far, margin)
    expected = loss_of(frames, near, far, margin)
    assert (float(loss), float(nearest)) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(
        tape.gradient(loss, given), gradient(lambda x: loss_of(x, near, far, margin)[0], frames), atol=1e-5
    )


def test_two_replicas_have_the_negatives_of_both(two_replicas):
    frames = vectors(0, 4, 6, 3).astype("float32")
    found = on_replicas(two_replicas, lambda x: losses.semi_hard_in_time(x, 1, 2, 1.0)[0], frames)
    assert np.mean(found) == pytest.approx(loss_of(np.float64(frames), 1, 2, 1.0)[0], rel=1e-4)


def test_two_cameras_see_one_time():
    first, second = (vectors(i, 2, 3, 1, 8, 8, 3).astype("float32")[:, :, 0] * 50 + 120 for i in range(2))
    model = keras_ssl.TimeContrastive(encoder(), cameras=2, margin=1.0)
    e = [np.float64(model.encoder(x.reshape(-1, 1, 8, 8, 3), training=True)) for x in (first, second)]
    terms = []
    everyone = np.stack(e, axis=1)  # (6 moments, 2, dim)
    for moment in range(6):
        for camera in range(2):
            anchor, other = everyone[moment, camera], everyone[moment, 1 - camera]
            far = np.square(everyone[np.arange(6) != moment].reshape(10, -1) - anchor).sum(axis=1)
            near = np.square(anchor - other).sum()
            terms.append(max(0.0, 1 + near - (far[far > near].min() if (far > near).any() else far.max())))
    found = float(model({"views": (first, second)}, training=True)["loss"])
    assert found == pytest.approx(np.mean(terms), rel=1e-3)


def test_both_cameras_are_seen_at_the_same_times_and_none_twice():
    model = keras_ssl.TimeContrastive(encoder(), cameras=2, times=3)
    numbers = np.broadcast_to(np.arange(9, dtype="float32")[:, None, None, None], (400, 9, 1, 1, 1))
    first, second = (np.asarray(view)[..., 0, 0, 0] for view in model.at_times([numbers, numbers + 100]))
    assert first.shape == (400, 3) and (np.diff(np.sort(first, axis=1), axis=1) > 0).all()
    np.testing.assert_array_equal(second, first + 100)
    np.testing.assert_allclose(np.bincount(first.astype(int).ravel()) / 400, 1 / 3, atol=0.1)
    beside = (np.diff(np.sort(first, axis=1), axis=1) == 1).any(axis=1).mean()
    assert abs(beside - (1 - 35 / 84)) < 0.1  # of all three times in nine: 35 choices have no neighbors

    clips = [vectors(i, 2, 5, 8, 8, 3).astype("float32") * 50 + 120 for i in range(2)]
    model.at_times = lambda views: [np.asarray(view)[:, [4, 0, 2]] for view in views]
    found = float(model({"views": clips}, training=True)["loss"])
    plain = keras_ssl.TimeContrastive(model.encoder, cameras=2)
    expected = float(plain({"views": [clip[:, [4, 0, 2]] for clip in clips]}, training=True)["loss"])
    assert found == pytest.approx(expected, rel=1e-5)


def test_embeddings_of_clips_are_as_exact_as_those_of_frames():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        clips_encoder = encoder()
    finally:
        keras.config.set_dtype_policy("float32")
    found = clips_encoder(np.random.default_rng(0).uniform(0, 255, (6, 1, kinds.SIDE, kinds.SIDE, 3)))
    assert keras.backend.standardize_dtype(found.dtype) == "float32" == clips_encoder.output.dtype
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)  # bfloat16: 4e-3


def test_a_channel_becomes_its_mean_place():
    maps = np.zeros((1, 3, 5, 2), "float32")
    maps[0, 2, 1, 0] = maps[0, 0, 4, 1] = 50
    found = keras_ssl.encoders.MeanPlace()(maps)
    np.testing.assert_allclose(found[0], [1, -1, -0.5, 1], atol=1e-5)  # y of both, then x
    np.testing.assert_allclose(keras_ssl.encoders.MeanPlace()(np.ones((1, 3, 5, 2), "float32"))[0], 0, atol=1e-6)


def test_the_embedder_is_that_of_the_authors():
    images = cases.small_encoder(size=12)
    made = keras_ssl.encoders.tcn(images)
    shapes = [tuple(w.shape) for w in made.trainable_weights if len(w.shape) > 1]
    assert shapes[-4:] == [(3, 3, 16, 512), (3, 3, 512, 512), (1024, 2048), (2048, 32)]
    out = np.asarray(made(np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)), training=True))
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    plain = keras_ssl.encoders.tcn(images, filters=(), hidden=8, places=False, normalized=False)
    assert tuple(plain.get_layer("hidden").kernel.shape) == (16, 8)
    again = type(made).from_config(made.get_config())
    again.set_weights(made.get_weights())
    x = np.ones((1, 12, 12, 3), "float32")
    np.testing.assert_allclose(again(x), made(x), atol=1e-6)


def cameras(count, frames, seed):
    """Squares that cross the picture at one pace, over one background, from two sides: mirrored and brighter."""
    draws = np.random.default_rng(seed)
    first = draws.integers(0, 60, (count, 1, 12, 16, 3)).repeat(frames, axis=1).astype("uint8")
    for row in range(count):
        top = draws.integers(1, 8)
        for time in range(frames):
            first[row, time, top : top + 3, time : time + 3] = 200
    return first, (first[:, :, :, ::-1] // 2 + 60).astype("uint8")


def trained(columns, cameras, steps=60):
    keras.utils.set_random_seed(0)
    images = keras.Input((12, 16, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu")(keras.layers.Rescaling(1 / 255)(images))
    trunk = keras_ssl.encoders.tcn(
        keras.Model(images, keras.layers.GlobalAveragePooling2D()(x)), filters=(16,), hidden=32, dim=8
    )
    model = keras_ssl.TimeContrastive(keras_ssl.encoders.over_time(trunk), cameras=cameras, near=2, far=4)
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    if steps:
        model.fit(tf.data.Dataset.from_tensors({"views": columns}).repeat(steps), verbose=0)
    return model


def test_two_cameras_align_better_than_one_and_that_better_than_none():
    first, second = cameras(6, 13, 0)
    new = cameras(4, 13, 1)
    first, second = first.astype("float32"), second.astype("float32")
    errors = []
    for model in (trained((first, second), 2), trained((first,), 1), trained((first,), 1, steps=0)):
        errors.append(np.mean([model.align(one, other) for one, other in zip(*new)]))
    assert errors[0] < errors[1] < errors[2], errors


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="far must be at least near"):
        keras_ssl.TimeContrastive(encoder(), near=3, far=2)
    with pytest.raises(ValueError, match="needs clips of a known number of frames, 14 at least"):
        keras_ssl.TimeContrastive(encoder())({"views": [np.zeros((2, 13, 8, 8, 3), "float32")]}, training=True)
    with pytest.raises(ValueError, match="takes 2 views of each sample. Received: 1"):
        keras_ssl.TimeContrastive(encoder(), cameras=2)({"views": [np.zeros((2, 13, 8, 8, 3))]}, training=True)
    two = keras_ssl.TimeContrastive(encoder(), cameras=2, times=5)
    with pytest.raises(ValueError, match="needs clips of a known number of frames, 5 at least"):
        two({"views": [np.zeros((2, 4, 8, 8, 3), "float32")] * 2}, training=True)
    with pytest.raises(ValueError, match="times are drawn for two cameras. Received: times=5, cameras=1"):
        keras_ssl.TimeContrastive(encoder(), times=5)
    with pytest.raises(ValueError, match="cameras must be one of"):
        keras_ssl.TimeContrastive(encoder(), cameras=3)
