"""ReSSL: arXiv 2107.09282."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.test_instances import BATCH, encoder, train, unit, view

CASE = cases.Case({"hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "steps": 20})


def make(**options):
    keras.utils.set_random_seed(0)
    model = keras_ssl.ReSSL(encoder(), **{"hidden": 7, "dim": 5, "queue_size": 10, "momentum": 0.5} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def cross_entropy(queries, keys, queue, temperature=0.1, key_temperature=0.04):
    """One image at a time."""
    found = []
    for q, k in zip(unit(np.float64(queries)), unit(np.float64(keys))):
        p = softmax(np.array([k @ entry for entry in queue]) / key_temperature)
        s = softmax(np.array([q @ entry for entry in queue]) / temperature)
        found.append(-np.sum(p * np.log(s)))
    return np.mean(found)


@pytest.mark.parametrize("count", [1, 3])
def test_the_loss_is_the_papers_with_the_queue_of_before(count):
    model = make(shuffle=False)
    for step in range(3):  # the queue wraps around
        weak, strong = view(10 * step), [view(10 * step + i) for i in range(1, count + 1)]
        queue = np.float64(model.queue.read())
        keys = model.key_encoder(weak, training=True)
        expected = np.mean([cross_entropy(model.query_encoder(x, training=True), keys, queue) for x in strong])
        assert train(model, weak, *strong) == pytest.approx(expected, rel=1e-4)
        written = np.roll(model.queue.read(), -int(model.queue.pointer), axis=0)[-BATCH:]
        np.testing.assert_allclose(written, unit(np.asarray(keys)), atol=1e-5)


def test_views_have_roles():
    model = make(shuffle=False)
    first, second = view(0), view(1)
    losses = [float(model({"views": views}, training=True)["loss"]) for views in ((first, second), (second, first))]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
    with pytest.raises(ValueError, match="symmetric must be one of"):
        make(symmetric=True)


def test_sharp_keys_choose_their_nearest_and_equal_ones_leave_the_entropy():
    model, views = make(shuffle=False, key_temperature=1e-4), (view(0), view(1))
    queue = np.float64(model.queue.read())
    keys = unit(np.asarray(model.key_encoder(views[0], training=True)))
    scores = unit(np.float64(model.query_encoder(views[1], training=True))) @ queue.T / 0.1
    nearest = np.argmax(keys @ queue.T, axis=1)
    expected = np.mean([-np.log(softmax(row)[n]) for row, n in zip(scores, nearest)])
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-3)

    model = make(shuffle=False, key_temperature=0.1)  # at the start both networks are one
    p = np.array([softmax(row) for row in keys @ queue.T / 0.1])
    equal = float(model({"views": (views[0], views[0])}, training=True)["loss"])
    assert equal == pytest.approx(-np.mean(np.sum(p * np.log(p), axis=1)), rel=1e-3)


def test_keys_and_queue_get_no_gradient():
    model = make()
    frozen = [v.value for v in (*model.key_encoder.weights, model.queue.entries)]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        loss = model({"views": (view(0), view(1))}, training=True)["loss"]
    assert tape.gradient(loss, frozen) == [None] * len(frozen)


def test_shuffled_keys_come_back_in_order():
    model = make()
    keys = np.asarray(model.keys(view(0)))
    np.testing.assert_allclose(keys, make().key_encoder(view(0), training=True), atol=1e-5)


def test_the_head_is_the_papers():
    model = keras_ssl.ReSSL(encoder(), queue_size=8)
    head = model.query_encoder.layers[-1]
    assert [type(layer).__name__ for layer in head.layers] == ["Dense", "ReLU", "Dense"]
    assert [layer.units for layer in head.layers[::2]] == [4096, 512]
    assert model.queue.dim == 512


def test_the_momentum_rises_to_1():
    model = make(momentum=0.8, steps=10)
    model.step.assign(5)
    for variable in model.query_encoder.trainable_variables:
        variable.assign(variable + 1.0)
    model.after_step({"keys": [np.zeros((BATCH, 5), "float32")]})
    for slow, fast in keras_ssl.teacher.pairs(model.key_encoder, model.query_encoder):
        np.testing.assert_allclose(slow, fast - 0.9, atol=1e-5)  # 0.8 + half of 0.2
