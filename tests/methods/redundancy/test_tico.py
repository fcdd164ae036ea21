"""TiCo: arXiv 2206.10698."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.reference import volume as reference
from tests.reference.losses import gradient
from tests.test_redundancy import encoder, layers, vectors, view

CASE = cases.Case({"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20})


def make(**options):
    model = keras_ssl.TiCo(encoder(), **{"hidden": 16, "dim": 5} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def test_the_loss_is_the_papers_and_the_moment_moves():
    model, moment = make(covariance_weight=3.0, decay=0.6, momentum=0.5), np.zeros((5, 5))
    for step in range(3):
        views = view(2 * step), view(2 * step + 1)
        embeddings = np.float64(model.online(views[0], training=True))
        targets = np.float64(model.target(views[1], training=True))
        expected, moment = reference.tico(embeddings, targets, moment, 3.0, 0.6)
        found = model.train_on_batch({"views": views}, return_dict=True)
        model.reset_metrics()
        assert float(found["loss"]) == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(model.moment, moment, atol=1e-5)
    assert np.trace(moment) == pytest.approx(1 - 0.6**3)  # unit vectors, from a start at 0
    assert np.linalg.eigvalsh(np.float64(model.moment)).min() > -1e-6


def objective(model, embeddings, targets):
    """The outputs for these embeddings, as the networks gave them."""
    model.online, model.target = (lambda x, training: x), (lambda x, training: x)
    return model.objective((tf.convert_to_tensor(embeddings), tf.convert_to_tensor(targets)))


def test_only_the_embeddings_get_a_gradient_and_none_through_the_moment():
    z, targets, moment = (tf.constant(vectors(rows, 5, seed=rows), "float32") for rows in (6, 6, 5))
    targets = targets[::-1]
    model = make(covariance_weight=2.0, decay=0.6)
    model.moment.assign(moment @ tf.transpose(moment))
    with tf.GradientTape() as tape:
        tape.watch([z, targets])
        outputs = objective(model, z, targets)
    slope, stopped = tape.gradient(outputs["loss"], [z, targets])
    fixed = np.float64(outputs["moment"])

    def loss(x):
        units, others = reference.unit_rows(x), reference.unit_rows(np.float64(targets))
        return 1 - np.mean(np.sum(units * others, 1)) + 2 * np.mean([row @ fixed @ row for row in units])

    assert stopped is None
    np.testing.assert_allclose(slope, gradient(loss, np.float64(z)), atol=1e-5)


def test_crowding_that_is_known():
    """Without a memory it is the squared norm of the second moment: 1 for one direction, 1 / d for all."""
    for x, expected in ((np.ones((10, 5)), 1.0), (np.vstack([np.eye(5), -np.eye(5)]), 0.2)):
        crowding = float(objective(make(decay=0.0), x.astype("float32"), x.astype("float32"))["crowding"])
        z = reference.unit_rows(x)
        assert crowding == pytest.approx(expected) == pytest.approx(np.sum((z.T @ z / 10) ** 2))


def test_the_networks_are_the_papers():
    model = keras_ssl.TiCo(encoder())
    head = model.online.layers[-1]
    assert layers(head) == ["Dense", "BatchNormalization", "ReLU", "Dense"]
    assert [layer.units for layer in head.layers[::3]] == [4096, 256]
    assert not {id(v) for v in model.target.weights} & {id(v) for v in model.trainable_variables}
