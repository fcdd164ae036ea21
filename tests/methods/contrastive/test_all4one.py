"""All4One: arXiv 2303.09417."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.methods.contrastive.all4one import feature_contrast, waves
from tests import cases
from tests.methods.redundancy.test_lejepa import assert_replicas_are_one
from tests.reference.instances import n_pair
from tests.reference.losses import gradient
from tests.test_instances import BATCH, encoder, train, unit, view
from tests.test_redundancy import value_and_gradient, vectors

SMALL = {"hidden": 16, "predictor_hidden": 16, "dim": 8, "heads": 2, "depth": 1, "dropout": 0.0, "neighbors": 3}
CASE = cases.Case(SMALL | {"hidden": 32, "queue_size": 45, "temperature": 0.5, "momentum": 0.9, "steps": 20})


def make(**options):
    keras.utils.set_random_seed(0)
    model = keras_ssl.All4One(encoder(), **SMALL | {"queue_size": 10, "momentum": 0.5} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.05), run_eagerly=True)
    return model


def features(targets, embeddings):
    """Column by column."""
    same, apart = [], []
    for z, t in zip(reversed(embeddings), targets):
        for i, a in enumerate(t.T):
            for j, b in enumerate(z.T):
                c = a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
                same += [(c - 1) ** 2] if i == j else []
                apart += [] if i == j else [c**2]
    return 10 * (0.5 * np.sqrt(np.mean(same)) + 0.5 * np.sqrt(np.mean(apart)))


def five(rows, queue, count=3):
    """The nearest, one row after the other."""
    return np.array([queue[np.argsort(-(queue @ row), kind="stable")[:count]] for row in rows])


def test_the_loss_is_the_papers_with_the_queue_of_before():
    model = make()
    for step in range(2):
        queue, views = np.float64(model.queue.read()), (view(2 * step), view(2 * step + 1))
        z = [model.projected(x, training=True) for x in views]
        targets = [unit(np.float64(model.target(x, training=True))) for x in views]
        p = [np.float64(model.predictor(x, training=True)) for x in z]
        q = [np.float64(model.second_predictor(x, training=True)) for x in z]
        near = [five(rows, queue) for rows in targets]
        centers = [np.float64(model.transformer(np.float32(x))) for x in near]
        seeking = [np.concatenate([a[:, None], x[:, :2]], axis=1) for a, x in zip(q, near)]
        seeking = [np.float64(model.transformer(np.float32(x))) for x in seeking]
        neighbor = (n_pair(near[0][:, 0], p[1], 0.2) + n_pair(near[1][:, 0], p[0], 0.2)) / 2
        centroid = (n_pair(centers[0], seeking[1], 0.1) + n_pair(centers[1], seeking[0], 0.1)) / 2
        expected = 0.5 * (neighbor + centroid + features(targets, [np.float64(x) for x in z]))
        assert train(model, *views) == pytest.approx(expected, rel=1e-3)
        model.reset_metrics()
        written = np.roll(model.queue.read(), -int(model.queue.pointer), axis=0)[-BATCH:]
        np.testing.assert_allclose(written, targets[0], atol=1e-5)


def test_features_are_the_loop_and_those_of_the_target_get_no_gradient():
    targets, first, second = [vectors(7, 4), vectors(7, 4, seed=1)], vectors(7, 4, seed=2), vectors(7, 4, seed=3)
    value, slopes = value_and_gradient(lambda a, b: feature_contrast(targets, [a, b]), first, second)
    assert float(value) == pytest.approx(features(targets, [first, second]), rel=1e-9)
    np.testing.assert_allclose(slopes[0], gradient(lambda x: features(targets, [x, second]), first), atol=1e-6)
    apart = np.linalg.qr(first)[0]
    value, slopes = value_and_gradient(lambda x: feature_contrast([apart, apart], [x, x]), apart)
    assert float(value) == pytest.approx(0, abs=1e-4) and np.isfinite(slopes[0]).all()


def test_features_of_two_replicas_are_those_of_one(two_replicas):
    assert_replicas_are_one(two_replicas, lambda x: feature_contrast([x[0], x[1]], [x[2], x[3]]), vectors(8, 4, 3))


def test_alone_the_first_part_is_nnclr_with_a_momentum_encoder():
    model = make(neighbors=1, centroid_weight=0.0, feature_weight=0.0, neighbor_weight=1.0, temperature=0.1)
    keras.utils.set_random_seed(0)
    sizes = {key: SMALL[key] for key in ("hidden", "predictor_hidden", "dim")}
    nnclr = keras_ssl.NNCLR(encoder(), queue_size=10, **sizes)  # at the start both encoders are one
    views = view(0), view(1)
    expected = float(nnclr({"views": views}, training=True)["loss"])
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_neighbors_and_momentum_encoder_get_no_gradient_and_the_transformer_does():
    model = make()
    frozen = [v.value for v in (*model.target.weights, model.queue.entries)]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        loss = model({"views": (view(0), view(1))}, training=True)["loss"]
    slopes = tape.gradient(loss, [*frozen, *(v.value for v in model.transformer.trainable_variables)])
    assert slopes[: len(frozen)] == [None] * len(frozen)
    assert all(np.abs(slope).max() > 0 for slope in slopes[len(frozen) :])


def test_the_order_of_neighbors_counts_through_their_positions_alone(monkeypatch):
    x = np.float32(vectors(4, 3, 8))
    turned = x[:, [0, 2, 1]]
    model = make()
    assert np.abs(model.transformer(x) - model.transformer(turned)).max() > 1e-4
    monkeypatch.setattr("keras_ssl.methods.contrastive.all4one.waves", lambda *shape: np.zeros(shape, "float32"))
    model = make()
    np.testing.assert_allclose(model.transformer(x), model.transformer(turned), atol=1e-5)


def test_positions_are_waves():
    found = waves(5, 6)
    places = np.arange(6)
    for row, expected in enumerate([
        np.sin(places), np.cos(places), np.sin(places / 10000 ** (1 / 3)), np.cos(places / 10000 ** (1 / 3)),
        np.sin(places / 10000 ** (2 / 3)),
    ]):  # fmt: skip
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


@pytest.mark.parametrize("options, message", [
    ({"neighbors": 11}, "neighbors=11, queue_size=10"),
    ({"heads": 3}, "heads must divide dim. Received: heads=3, dim=8"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
