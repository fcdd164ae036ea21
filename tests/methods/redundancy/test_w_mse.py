"""W-MSE: arXiv 2007.06346."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.reference import redundancy as reference
from tests.test_redundancy import encoder, layers, parts, view

CASE = cases.Case({"hidden": 16, "dim": 2, "sub_batch": 8}, diverged="cannot be whitened")


@pytest.mark.parametrize("count", [2, 4])
def test_w_mse_takes_any_number_of_positives(count):
    model = keras_ssl.WMSE(encoder(), hidden=7, dim=3, sub_batch=8, shuffle=False)
    views = [view(i, batch=16) for i in range(count)]
    features = np.concatenate([model.encoder(x, training=True) for x in views])
    embeddings = np.split(np.float64(model.projector(features, training=True)), count)
    expected = reference.w_mse(embeddings, parts(16, 2))
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-3)
    assert layers(model.projector) == ["Dense", "BatchNormalization", "ReLU", "Dense"]


def test_w_mse_draws_other_sub_batches_each_step():
    model = keras_ssl.WMSE(encoder(), hidden=7, dim=3, sub_batch=8)
    views = [view(i, batch=16) for i in range(2)]
    found = {float(model({"views": views}, training=True)["loss"]) for _ in range(3)}
    assert len(found) == 3


def test_w_mse_of_collapsed_features_is_nan_under_xla_and_can_be_stopped():
    def make(jit_compile):
        model = keras_ssl.WMSE(encoder(), hidden=7, dim=3, sub_batch=8)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
        return model

    alike = {"views": (np.repeat(view(batch=1), 8, axis=0),) * 2}
    with pytest.raises(tf.errors.InvalidArgumentError, match="Cholesky"):
        make(False).train_on_batch(alike)
    model = make(True)
    data = tf.data.Dataset.from_tensors(alike).repeat(3)
    with pytest.raises(FloatingPointError, match="step 1 .*loss is not finite"):
        model.fit(data, callbacks=[keras_ssl.StopOnNaN()], verbose=0)
    assert np.isnan(model.train_on_batch(alike))
