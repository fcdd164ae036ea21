"""NNBYOL: NNCLR's neighbors (arXiv 2104.14548) in BYOL."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.methods.distillation.test_byol import encoder, view
from tests.reference import losses as reference

CASE = cases.Case({"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20, "queue_size": 45})


def make(name="NNBYOL", **options):
    keras.utils.set_random_seed(0)
    options = {"hidden": 12, "dim": 5, "momentum": 0.9} | ({"queue_size": 10} if name == "NNBYOL" else {}) | options
    model = getattr(keras_ssl, name)(encoder(), **options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def unit(x):
    return np.float64(x) / np.linalg.norm(np.float64(x), axis=-1, keepdims=True)


def nearest(rows, queue):
    """One after the other."""
    return np.array([queue[max(range(len(queue)), key=lambda j: row @ queue[j])] for row in rows])


def train(model, *views):
    return float(model.train_on_batch({"views": views}, return_dict=True)["loss"])


def test_the_loss_is_that_of_byol_with_the_queue_of_before():
    model = make()
    for step in range(3):
        queue, views = np.float64(model.queue.read()), (view(2 * step), view(2 * step + 1))
        targets = [unit(model.target(x, training=True)) for x in views]
        predictions = [np.float64(model.predictor(model.online(x, training=True), training=True)) for x in views]
        pairs = zip(predictions, reversed(targets))
        expected = sum(reference.cosine_regression(p, nearest(t, queue)) for p, t in pairs)
        before = [v.numpy() for v in model.target.weights]
        assert train(model, *views) == pytest.approx(expected, rel=1e-4)
        model.reset_metrics()
        written = np.roll(model.queue.read(), -int(model.queue.pointer), axis=0)[-6:]
        np.testing.assert_allclose(written, targets[0], atol=1e-5)
        assert any(np.abs(v.numpy() - old).max() > 0 for v, old in zip(model.target.weights, before))


def test_with_its_own_targets_in_the_queue_it_is_byol():
    model, views = make(queue_size=12), (view(0), view(1))
    targets = [unit(model.target(x, training=True)) for x in views]
    model.queue.entries.assign(np.concatenate(targets))
    expected = float(make("BYOL").objective(views))  # of the same seed
    assert float(model.objective(views)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_neighbors_get_no_gradient():
    model = make()
    frozen = [v.value for v in (*model.target.weights, model.queue.entries)]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        loss = model({"views": (view(0), view(1))}, training=True)["loss"]
    assert tape.gradient(loss, frozen) == [None] * len(frozen)
