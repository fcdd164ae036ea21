"""SeLa: arXiv 1911.05371."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import keras_ssl
from keras_ssl.clustering import assign_equally
from keras_ssl.methods.clustering.sela import label_steps, log_softmax
from tests import cases
from tests.reference import clustering as reference

CASE = cases.Case(
    {"samples": cases.COUNT, "clusters": 4, "head_count": 3},
    views=cases.one_crop,
    still=("assignments",),  # its callback moves them
)


def make(optimizer=None, **options):
    model = cases.new("SeLa", **options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    return model


def callback(model, **options):
    made = keras_ssl.Recluster(cases.images(), **options)
    made.set_model(model)
    return made


def log_p(samples, labels, seed=0, spread=1.0):
    return log_softmax(spread * np.random.default_rng(seed).normal(size=(samples, labels)))


def solve(p, power, **options):
    return assign_equally(lambda block: p[block], len(p), p.shape[1], power, **options)


@pytest.mark.parametrize("power", [1.0, 10.0])
def test_the_plan_is_the_papers(power):
    p = log_p(60, 5)
    labels, log_r, log_c = solve(p, power, tolerance=1e-9, iterations=3000)
    r, c, plan = reference.equal_shares(np.exp(p), power)
    found = np.exp(log_r[:, None] + power * p.T + log_c)
    np.testing.assert_allclose(found, plan, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), 1 / 60, rtol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1 / 5, rtol=1e-5)
    np.testing.assert_array_equal(labels, plan.argmax(axis=0))


def test_labels_have_equal_shares_where_the_likeliest_have_not():
    p = log_softmax(np.random.default_rng(0).normal(size=(500, 10)) + np.linspace(0, 2, 10))
    plain = np.bincount(p.argmax(axis=1), minlength=10)
    found = np.bincount(solve(p, 25.0)[0], minlength=10)
    assert plain.max() / plain.min() > 4 and found.max() / found.min() < 1.2


def test_a_large_power_finds_the_best_assignment():
    p = log_p(12, 3)
    labels = solve(p, 200.0, tolerance=1e-3, iterations=100_000)[0]
    rows, columns = linear_sum_assignment(np.repeat(p, 4, axis=1), maximize=True)
    np.testing.assert_array_equal(labels, columns[np.argsort(rows)] // 4)


def test_very_sure_networks_make_no_nan_and_blocks_change_nothing(monkeypatch):
    p = log_p(80, 6, spread=100.0)  # p ** 25 is 0 even in float64
    labels, log_r, log_c = solve(p, 25.0)
    assert np.isfinite(log_r).all() and np.isfinite(log_c).all() and (np.exp(p[0]) ** 25).min() == 0
    assert np.bincount(labels, minlength=6).max() <= 20
    monkeypatch.setattr("keras_ssl.clustering.SCORES", 42)
    np.testing.assert_array_equal(solve(p, 25.0)[0], labels)


def test_the_loss_is_the_papers_in_value_and_gradient():
    model, view, index = make(), cases.images(6).astype("float32"), np.array([3, 30, 7, 0, 1, 9])
    features = model.encoder(view, training=True).numpy()
    kernel, bias = (weight.numpy() for weight in model.heads.weights)
    loss, gradient = 0.0, []
    for head in range(3):
        own = slice(4 * head, 4 * head + 4)
        labels = model.assignments.numpy()[head][index]
        value, slope = reference.labeled_cross_entropy(features @ kernel[:, own] + bias[own], labels)
        loss += value / 3
        gradient.append(features.T @ slope / 3)
    with tf.GradientTape() as tape:
        found = model({"views": [view], "index": index}, training=True)["loss"]
    assert float(found) == pytest.approx(loss, rel=1e-4)
    expected = np.concatenate(gradient, axis=1)
    np.testing.assert_allclose(tape.gradient(found, model.heads.kernel.value), expected, atol=1e-6)


def test_the_first_labels_are_random_and_have_equal_shares():
    found = make().assignments.numpy()
    for labels in found:
        np.testing.assert_array_equal(np.bincount(labels), 8)
    assert (found[0] != found[1]).any() and (found[0] != np.arange(32) % 4).any()


def test_each_head_gets_labels_of_its_own_and_again_the_same():
    model = make()
    callback(model).on_epoch_begin(0)
    found = model.assignments.numpy()
    logits = model.heads(model.encoder(cases.images().astype("float32"), training=False)).numpy().reshape(32, 3, 4)
    for head in range(3):
        np.testing.assert_array_equal(found[head], solve(log_softmax(logits[:, head]), 25.0)[0])
    assert (found[0] != found[1]).any()
    callback(model).on_epoch_begin(0)
    np.testing.assert_array_equal(model.assignments, found)


def test_one_head_gets_labels_in_turn():
    model = make(one_head=True)
    before = model.assignments.numpy()
    callback(model).on_epoch_begin(4)
    changed = (model.assignments.numpy() != before).any(axis=1)
    assert changed.tolist() == [False, True, False]


def test_labels_come_often_at_first():
    steps = label_steps(10_000, 100)
    assert steps[0] == 0 and steps[1] == 1 and steps[10] == 100 and steps[-1] == 9801 and len(steps) == 100
    assert label_steps(10, 400).tolist() == list(range(11))


def test_a_run_with_labels_resumes_bit_by_bit(tmp_path):
    def run(model, epochs, first=0):
        data = cases.pipeline("SeLa", epoch=first)
        callbacks = [keras_ssl.Recluster(cases.images(), at=label_steps(12, 5))]
        return model.fit(data, epochs=epochs, initial_epoch=first, callbacks=callbacks, verbose=0).history["loss"]

    straight, first = make(), make()
    for a, b in zip(straight.variables, first.variables):
        b.assign(a)
    losses = run(straight, 3)
    run(first, 2)
    first.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    assert run(second, 3, first=2) == losses[2:]
    for a, b in zip(straight.variables, second.variables):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_it_says_what_is_wrong():
    for options, match in [
        ({"samples": None}, "samples"), ({"clusters": 33}, "at most samples=32"), ({"power": 0}, "power"),
        ({"one_head": 1}, "one_head"), ({"tolerance": 0}, "tolerance"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=match):
            cases.new("SeLa", **options)
