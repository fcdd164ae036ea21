"""MMCR: arXiv 2303.03307."""

import keras
import numpy as np
import pytest

import keras_ssl
from tests import cases
from tests.reference import volume as reference
from tests.test_redundancy import encoder, layers, view

CASE = cases.Case({"hidden": 16, "dim": 6, "momentum": 0.9, "manifold_weight": 0.1})


def small(**options):
    return keras_ssl.MMCR(encoder(), **{"hidden": 7, "dim": 5} | options)


def embeddings(network, views):
    return np.split(np.float64(network(np.concatenate(views), training=True)), len(views))


@pytest.mark.parametrize("momentum, weight", [(None, 0.0), (0.5, 0.2)])
def test_the_loss_is_the_papers(momentum, weight):
    model, views = small(momentum=momentum, manifold_weight=weight), [view(seed) for seed in range(3)]
    model.compile(optimizer=keras.optimizers.SGD(0.01), run_eagerly=True)
    model.train_on_batch({"views": tuple(views)})  # the twin differs from here on
    twins = None if momentum is None else embeddings(model.twin, views)
    expected = reference.mmcr(embeddings(model.projection, views), twins, weight)
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_the_twin_follows():
    model = small(momentum=0.75)
    model.compile(optimizer=keras.optimizers.SGD(0.05), run_eagerly=True)
    kernel, slow = model.projection.trainable_variables[-1], model.twin.weights[-1]
    before = slow.numpy()
    model.train_on_batch({"views": (view(0), view(1))})
    np.testing.assert_allclose(slow, 0.75 * before + 0.25 * kernel.numpy(), atol=1e-6)
    assert np.abs(kernel.numpy() - before).max() > 0 and small(momentum=None).twin is None


def test_the_projector_is_the_papers():
    head = small(depth=3, momentum=None).projection.layers[-1]
    block = ["Dense", "BatchNormalization", "ReLU"]
    assert layers(head) == [*block, *block, "Dense"]
    assert [layer.units for layer in head.layers[::3]] == [7, 7, 5]
    assert not any(layer.use_bias for layer in head.layers[::3])
