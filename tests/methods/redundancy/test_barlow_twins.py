"""Barlow Twins: arXiv 2103.03230."""

import numpy as np
import pytest

import keras_ssl
from tests import cases
from tests.reference import redundancy as reference
from tests.test_redundancy import encoder, layers, view

CASE = cases.Case({"hidden": 16, "dim": 8})


def test_barlow_twins_computes_the_papers_loss():
    model = keras_ssl.BarlowTwins(encoder(), hidden=7, dim=5, redundancy_weight=0.1)
    views = view(0), view(1)
    embeddings = [np.float64(model.projector(model.encoder(x, training=True), training=True)) for x in views]
    expected = reference.barlow_twins(*embeddings, 0.1)
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-3)
    block = ["Dense", "BatchNormalization", "ReLU"]
    assert layers(model.projector) == [*block, *block, "Dense"]
    assert not any(layer.use_bias for layer in model.projector.layers if hasattr(layer, "use_bias"))
    assert [layer.units for layer in model.projector.layers if hasattr(layer, "units")] == [7, 7, 5]
