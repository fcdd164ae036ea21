"""VICReg: arXiv 2105.04906."""

import keras
import numpy as np
import pytest

import keras_ssl
from tests import cases
from tests.reference import redundancy as reference
from tests.test_redundancy import encoder, view

CASE = cases.Case({"hidden": 16, "dim": 8, "invariance_weight": 1.0, "variance_weight": 1.0, "covariance_weight": 0.04})


def test_vicreg_computes_the_papers_loss():
    model = keras_ssl.VICReg(encoder(), hidden=7, dim=5)
    views = view(0), view(1)
    embeddings = [np.float64(model.first(x, training=True)) for x in views]
    outputs = {key: float(value) for key, value in model({"views": views}, training=True).items()}
    assert outputs["loss"] == pytest.approx(reference.vicreg(*embeddings), rel=1e-4)
    assert outputs["loss"] == pytest.approx(
        25 * outputs["invariance"] + 25 * outputs["variance"] + outputs["covariance"], rel=1e-5
    )
    dense = [layer.use_bias for layer in model.first.layers[-1].layers if hasattr(layer, "use_bias")]
    assert model.first is model.second and dense == [True, True, False]


def test_vicregs_branches_may_have_encoders_of_their_own(tmp_path):
    model = keras_ssl.VICReg(encoder(), hidden=7, dim=5, other_encoder=encoder(size=4))
    model.compile(optimizer=keras.optimizers.SGD(1e-3), run_eagerly=True)
    start = [v.numpy() for v in model.trainable_variables]
    assert len(start) == len(model.first.trainable_variables) + len(model.second.trainable_variables)
    model.train_on_batch({"views": (view(0), view(1))})
    assert all(np.abs(v.numpy() - old).max() > 0 for v, old in zip(model.trainable_variables, start))
    model.save(tmp_path / "model.keras")
    again = keras_ssl.load(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(view(), verbose=0), model.encoder(view()), atol=1e-5)
    for first, second in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
