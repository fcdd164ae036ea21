"""NNCLR: arXiv 2104.14548."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.reference import instances as reference
from tests.test_instances import BATCH, DIM, encoder, make, train, unit, vectors, view

CASE = cases.Case({"hidden": 48, "predictor_hidden": 48, "dim": 8, "queue_size": 20, "temperature": 0.5})


def test_nnclr_loss_is_the_papers_with_the_queue_of_before():
    model = make("NNCLR")
    for step in range(2):
        queue, views = np.asarray(model.queue.read()), (view(2 * step), view(2 * step + 1))
        z = [model.projected(x, training=True) for x in views]
        p = [model.predictor(x, training=True).numpy() for x in z]
        z = [unit(x) for x in z]
        near = [np.array([queue[max(range(10), key=lambda j: row @ queue[j])] for row in rows]) for rows in z]
        for rows, found in zip(z, near):
            np.testing.assert_array_equal(model.nearest(rows), found)
        expected = (reference.n_pair(near[0], p[1], 0.1) + reference.n_pair(near[1], p[0], 0.1)) / 2
        assert train(model, *views) == pytest.approx(expected, rel=1e-4)
        written = np.roll(model.queue.read(), -int(model.queue.pointer), axis=0)[-BATCH:]
        np.testing.assert_allclose(written, z[0], atol=1e-5)  # the first views, normalized, in order


def test_nnclr_with_the_embeddings_in_the_queue_is_simclr_with_a_predictor():
    model = make("NNCLR", queue_size=BATCH)
    views = view(0), view(1)
    z1, z2 = (model.projected(x, training=True) for x in views)
    model.queue.entries.assign(unit(z1))
    np.testing.assert_allclose(model.nearest(z1), unit(z1), atol=1e-6)
    there = losses.n_pair(z1, model.predictor(z2, training=True), 0.1)
    back = losses.n_pair(model.nearest(z2), model.predictor(z1, training=True), 0.1)
    assert float(model.objective(views)["loss"]) == pytest.approx(float(there + back) / 2, rel=1e-5)


def test_nnclr_neighbors_get_no_gradient_and_ties_go_to_the_first():
    model = make("NNCLR")
    z = tf.constant(vectors(3, DIM), "float32")
    with tf.GradientTape() as tape:
        tape.watch(z)
        near = model.nearest(z)
    assert tape.gradient(near, z) is None
    entries = np.repeat(unit(vectors(5, DIM, seed=1)), 2, axis=0).astype("float32")
    model.queue.entries.assign(entries)
    np.testing.assert_array_equal(model.nearest(entries), entries)
    np.testing.assert_array_equal(model.nearest(100 * entries), entries)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_nnclr_finds_the_nearest_in_float32_and_the_first_of_equals(dtype):
    model = make("NNCLR", queue_size=40)
    entries = unit(vectors(40, DIM, seed=1))
    entries[0] = entries[30]  # the same entry twice
    entries[[3, 17]] = [[0.96, 0.28, 0, 0, 0], [0.96, -0.28, 0, 0, 0]]  # as near to the first axis as each other
    entries[[5, 9]] = [[0, 0, np.cos(0.01), np.sin(0.01), 0], [0, 0, 1, 0, 0]]  # both, in half precision, to the third
    model.queue.entries.assign(entries)
    queue = np.asarray(model.queue.read())
    z = ops.cast(np.concatenate([[[2, 0, 0, 0, 0], [0, 0, 4, 0, 0]], 5 * entries, vectors(30, DIM, seed=2)]), dtype)
    rows = np.asarray(ops.cast(z, "float32"), "float64")
    expected = np.argmax(rows @ queue.astype("float64").T, axis=1)  # the first of equal ones
    assert tuple(expected[:2]) == (3, 9)
    near = model.nearest(z)
    assert near.dtype == tf.float32
    np.testing.assert_array_equal(near, queue[expected])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_nnclr_finds_the_nearest_under_a_mixed_policy(policy, monkeypatch):
    keras.config.set_dtype_policy(policy)
    model, calls = make("NNCLR", queue_size=40), []
    entries = np.repeat(vectors(10, DIM, seed=1), 4, axis=0)  # four each that half precision hardly tells apart
    model.queue.entries.assign(unit(entries + 5e-4 * vectors(40, DIM)))
    nearest = model.nearest
    monkeypatch.setattr(model, "nearest", lambda z: calls.append((z, nearest(z))) or calls[-1][1])
    queue = np.asarray(model.queue.read())
    train(model, view(0), view(1))
    assert len(calls) == 2
    for z, near in calls:
        assert z.dtype == policy.removeprefix("mixed_") and near.dtype == tf.float32
        rows = np.asarray(ops.cast(z, "float32"), "float64")
        np.testing.assert_array_equal(near, queue[np.argmax(rows @ queue.T, axis=1)])


def test_nnclr_heads_are_the_papers():
    model = keras_ssl.NNCLR(encoder(), queue_size=8)
    projector, predictor = model.projected.layers[-1], model.predictor
    widths = [[layer.units for layer in m.layers if hasattr(layer, "units")] for m in (projector, predictor)]
    assert widths == [[2048, 2048, 256], [4096, 256]]
    hidden = ["Dense", "BatchNormalization", "ReLU"]
    kinds = [[type(layer).__name__ for layer in m.layers] for m in (model.projected.layers[-1], model.predictor)]
    assert kinds == [2 * hidden + ["Dense", "BatchNormalization"], hidden + ["Dense"]]
    assert model.projected.output_shape == model.predictor.output_shape == (None, 256)
