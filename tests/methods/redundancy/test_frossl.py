"""FroSSL: arXiv 2310.02903."""

import numpy as np
import pytest

import keras_ssl
from tests import cases
from tests.methods.redundancy.test_emp_ssl import three
from tests.reference import volume as reference
from tests.test_redundancy import encoder, layers, view

# The invariance outweighs the norm: half precision would be a large part of a loss near 0.
CASE = cases.Case({"hidden": 16, "dim": 6, "invariance_weight": 3.0}, views=three)


def test_the_loss_is_the_papers():
    model = keras_ssl.FroSSL(encoder(), hidden=7, dim=5, invariance_weight=1.4)
    views = [view(seed) for seed in range(3)]
    embeddings = [np.float64(model.projection(x, training=True)) for x in views]  # each with statistics of its own
    outputs = {key: float(value) for key, value in model({"views": views}, training=True).items()}
    loss, norm, apart = reference.frossl(embeddings, 1.4)
    assert outputs["norm"] == pytest.approx(norm, rel=1e-4)
    assert outputs["invariance"] == pytest.approx(apart, rel=1e-3)
    assert outputs["loss"] == pytest.approx(loss, rel=1e-4)


def test_the_projector_is_the_papers():
    head = keras_ssl.FroSSL(encoder()).projection.layers[-1]
    block = ["Dense", "BatchNormalization", "ReLU"]
    assert layers(head) == [*block, *block, "Dense"]
    assert [layer.units for layer in head.layers[::3]] == [2048, 2048, 1024]
    assert all(layer.use_bias for layer in head.layers[::3])
