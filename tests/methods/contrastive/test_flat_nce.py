"""FlatNCE: arXiv 2107.01152."""

import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests.test_contrastive_family import loss_of, make, outputs

CASE = cases.Case({"hidden": 16, "dim": 8, "temperature": 0.5})


def slopes_of(model):
    with tf.GradientTape() as tape:
        loss = outputs(model)["loss"]
    return [g.numpy() for g in tape.gradient(loss, [w.value for w in model.trainable_variables])]


def test_flat_nce_shows_simclrs_loss_and_has_the_gradient_of_decoupled():
    options = {"hidden": 12, "temperature": 0.2}
    flat, decoupled, simclr = (make(name, **options) for name in ("FlatNCE", "DecoupledContrastive", "SimCLR"))
    for model in (decoupled, simclr):
        model.set_weights(flat.get_weights())
    assert loss_of(flat) == pytest.approx(loss_of(simclr), rel=1e-5)
    assert loss_of(flat) != pytest.approx(loss_of(decoupled), rel=1e-3)
    for model in (decoupled, simclr):  # batch norm moved
        model.set_weights(flat.get_weights())
    found, expected, others = slopes_of(flat), slopes_of(decoupled), slopes_of(simclr)
    for slope, same, other in zip(found, expected, others):
        np.testing.assert_allclose(slope, same, rtol=1e-3, atol=1e-5)
    assert max(np.abs(slope - other).max() for slope, other in zip(found, others)) > 1e-3
