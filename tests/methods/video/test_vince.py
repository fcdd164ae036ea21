"""VINCE: arXiv 2003.07990."""

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
    return keras_ssl.encoders.over_time(cases.any_size_encoder())


def views():
    return keras_ssl.augment.vince(kinds.SIDE, frames=2)


CASE = cases.Case(
    {"dim": 8, "queue_size": 37, "momentum": 0.9}, encoder, views, kind=inputs.VIDEO, samples=kinds.videos
)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def vectors(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def loss_of(queries, keys, queue, temperature):
    """In loops, as the paper has it: float64."""
    queries, keys, terms = unit(queries), unit(keys), []
    videos, frames = queries.shape[:2]
    for v in range(videos):
        for a in range(frames):
            others = [keys[w, b] for w in range(videos) if w != v for b in range(frames)]
            wrong = sum(np.exp(queries[v, a] @ n / temperature) for n in [*others, *queue])
            for b in range(frames):
                right = np.exp(queries[v, a] @ keys[v, b] / temperature)
                terms.append(-np.log(right / (right + wrong)))
    return np.mean(terms)


@pytest.mark.parametrize("videos, frames, temperature", [(3, 4, 0.2), (4, 1, 0.5), (1, 2, 0.07)])
def test_the_loss_is_the_papers_in_value_and_gradient(videos, frames, temperature):
    queries, keys, queue = vectors(0, videos, frames, 5), vectors(1, videos, frames, 5), unit(vectors(2, 7, 5))
    given = [tf.constant(x) for x in (queries, keys)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss, accuracy = losses.info_nce_frames(*given, queue, temperature)
    slopes = tape.gradient(loss, given)
    assert float(loss) == pytest.approx(loss_of(queries, keys, queue, temperature), rel=1e-9)
    np.testing.assert_allclose(
        slopes[0], gradient(lambda x: loss_of(x, keys, queue, temperature), queries), atol=1e-6
    )
    assert slopes[1] is None and 0 <= float(accuracy) <= 1


def test_with_one_frame_it_is_mocos_loss_with_the_batch_as_negatives():
    queries, keys, queue = vectors(0, 3, 1, 5), vectors(1, 3, 1, 5), unit(vectors(2, 7, 5))
    found = float(losses.info_nce_frames(queries, keys, queue, 0.2)[0])
    each = [
        float(losses.info_nce(queries[v], keys[v], np.concatenate([queue, *np.delete(unit(keys), v, 0)]), 0.2))
        for v in range(3)
    ]
    assert found == pytest.approx(np.mean(each), rel=1e-6)


def test_every_pair_of_frames_of_a_video_counts():
    queries, keys, queue = vectors(0, 3, 4, 5), vectors(1, 3, 4, 5), unit(vectors(2, 7, 5))
    loss = float(losses.info_nce_frames(queries, keys, queue, 0.2)[0])
    order = np.random.default_rng(3).permutation(4)
    assert float(losses.info_nce_frames(queries[:, order], keys, queue, 0.2)[0]) == pytest.approx(loss)
    assert float(losses.info_nce_frames(queries, keys[:, order], queue, 0.2)[0]) == pytest.approx(loss)
    same = [float(losses.info_nce_frames(queries[:, i : i + 1], keys[:, i : i + 1], queue, 0.2)[0]) for i in range(4)]
    assert abs(np.mean(same) - loss) > 0.05  # pairs of the same number alone
    right = losses.info_nce_frames(unit(vectors(5, 3, 1, 5)).repeat(4, axis=1), unit(vectors(5, 3, 1, 5)), queue, 0.2)
    assert float(right[1]) == 1.0


def test_two_replicas_compare_with_the_keys_of_both(two_replicas):
    queries, keys = (vectors(i, 4, 2, 5).astype("float32") for i in range(2))
    queue = unit(vectors(2, 7, 5)).astype("float32")
    expected = float(losses.info_nce_frames(queries, keys, queue, 0.2)[0])
    found = on_replicas(two_replicas, lambda q, k: losses.info_nce_frames(q, k, queue, 0.2)[0], queries, keys)
    assert np.mean(found) == pytest.approx(expected, rel=1e-5)


def test_all_keys_enter_the_queue():
    model = cases.make("VINCE", run_eagerly=True)
    batch = cases.fixed("VINCE")[0]
    model.shuffle = False
    videos, frames = batch["views"][1].shape[:2]
    keys = unit(model.key_encoder(batch["views"][1].reshape(-1, 1, kinds.SIDE, kinds.SIDE, 3), training=True).numpy())
    model.train_on_batch(batch)
    assert int(model.queue.pointer) == videos * frames == 16
    np.testing.assert_allclose(model.queue.entries[:16], keys, atol=1e-5)


def plain():
    keras.utils.set_random_seed(0)
    return keras_ssl.VINCE(keras_ssl.encoders.over_time(cases.small_encoder(size=kinds.SIDE)), dim=4, queue_size=16)


def test_frames_are_shuffled_for_their_forward_pass_and_put_back():
    model = plain()
    clips = np.random.default_rng(0).uniform(0, 255, (4, 2, kinds.SIDE, kinds.SIDE, 3)).astype("float32")
    frames = clips.reshape(8, 1, *clips.shape[2:])
    for network in (model.query_encoder, model.key_encoder):
        slopes, found = [], []
        for embed in (lambda: model.embedded(network, clips), lambda: network(frames, training=True)):
            with tf.GradientTape() as tape:
                weights = [v.value for v in network.weights if "float" in v.dtype]
                tape.watch(weights)
                found.append(embed())
                loss = tf.reduce_sum(found[-1] * np.arange(32.0, dtype="float32").reshape(8, 4))
            slopes.append(tape.gradient(loss, weights))
        np.testing.assert_allclose(found[0], found[1], atol=1e-5)
        if network is model.key_encoder:
            assert all(slope is None for slope in slopes[0])
        else:
            for one, other in zip(*slopes):
                assert (one is None) == (other is None)
                if one is not None:
                    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_frames_of_a_video_rarely_share_statistics():
    """In groups of two frames, of four videos of two: by chance one of seven, and all of them without shuffling."""
    model, seen = plain(), []
    clips = np.arange(4, dtype="float32").repeat(2).reshape(4, 2, 1, 1, 1)
    for side in ("query_encoder", "key_encoder"):
        network = lambda x, training: (seen.append(np.ravel(x)), x)[1]  # noqa: E731
        setattr(model, side, network)
        for _ in range(60):
            np.testing.assert_array_equal(np.ravel(model.embedded(network, clips)), clips.ravel())
        groups = np.stack(seen).reshape(-1, 2)
        assert abs((groups[:, 0] == groups[:, 1]).mean() - 1 / 7) < 0.08
        seen.clear()
    model.shuffle = False
    model.embedded(network, clips)
    groups = seen[0].reshape(-1, 2)
    assert (groups[:, 0] == groups[:, 1]).all()


def test_real_frames_alone_are_drawn_where_videos_have_a_mask():
    columns = {"video": np.zeros((3, 6, 8, 8, 3), "uint8"), "video_mask": np.arange(6) < np.array([[2], [6], [1]])}
    columns["video"][~columns["video_mask"]] = 255
    crop = keras_ssl.augment.RandomResizedCrop(kinds.SIDE)
    view = keras_ssl.augment.View([keras_ssl.augment.RandomFrames(2), keras_ssl.augment.PerFrame(crop)])
    model = keras_ssl.VINCE(encoder(), keras_ssl.augment.Views(view, 2), dim=4, queue_size=8)
    assert all(np.asarray(view).max() == 0 for view in model.views(columns))
    assert np.isfinite(float(model(columns, training=True)["loss"]))


def test_encoders_and_clips_that_do_not_fit():
    fixed = keras.Input((4, 8, 8, 3))
    fixed = keras.Model(fixed, keras.layers.GlobalAveragePooling3D()(fixed))
    with pytest.raises(ValueError, match="learns from single frames: the encoder must take clips of one frame"):
        keras_ssl.VINCE(fixed)
    model = keras_ssl.VINCE(keras_ssl.encoders.over_time(cases.small_encoder(size=8)), dim=4, queue_size=8)
    with pytest.raises(ValueError, match="must fit the encoder"):
        model({"views": [np.zeros((2, 3, 8, 9, 3), "float32")] * 2}, training=True)
