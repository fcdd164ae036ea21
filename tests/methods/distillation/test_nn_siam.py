"""NNSiam: NNCLR's neighbors (arXiv 2104.14548) in SimSiam."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.methods.distillation.test_byol import encoder, view
from tests.methods.distillation.test_nn_byol import nearest, train, unit
from tests.reference.redundancy import negative_cosine

# In few dimensions the nearest is not another one in half precision.
CASE = cases.Case({"hidden": 16, "dim": 4, "predictor_hidden": 8, "queue_size": 45})


def make(name="NNSiam", **options):
    keras.utils.set_random_seed(0)
    queue = {"queue_size": 10} if name == "NNSiam" else {}
    options = {"hidden": 12, "dim": 5, "predictor_hidden": 24} | queue | options
    model = getattr(keras_ssl, name)(encoder(), **options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_loss_is_that_of_simsiam_with_the_queue_of_before(symmetric):
    model = make(symmetric=symmetric)
    for step in range(3):
        queue, views = np.float64(model.queue.read()), (view(2 * step), view(2 * step + 1))
        z = [model.projection(x, training=True) for x in views]
        p = [np.float64(model.predictor(x, training=True)) for x in z]
        near = [nearest(unit(x), queue) for x in z]
        expected = negative_cosine(p[0], near[1])
        if symmetric:
            expected = (expected + negative_cosine(p[1], near[0])) / 2
        assert train(model, *views) == pytest.approx(expected, rel=1e-3)
        model.reset_metrics()
        written = np.roll(model.queue.read(), -int(model.queue.pointer), axis=0)[-6:]
        np.testing.assert_allclose(written, unit(z[0]), atol=1e-5)  # the first views alone


def test_with_its_own_projections_in_the_queue_it_is_simsiam():
    model, views = make(queue_size=12), (view(0), view(1))
    model.queue.entries.assign(np.concatenate([unit(model.projection(x, training=True)) for x in views]))
    simsiam = make("SimSiam")  # of the same seed
    assert float(model.objective(views)["loss"]) == pytest.approx(float(simsiam.objective(views)), rel=1e-4)


def test_neighbors_get_no_gradient():
    model = make()
    with tf.GradientTape() as tape:
        tape.watch(model.queue.entries.value)
        loss = model({"views": (view(0), view(1))}, training=True)["loss"]
    assert tape.gradient(loss, model.queue.entries.value) is None
    with pytest.raises(ValueError, match="stop_gradient must be one of"):
        make(stop_gradient=False)


def test_the_predictor_is_wide():
    predictor = keras_ssl.NNSiam(encoder(), hidden=8, dim=8, queue_size=8).predictor
    assert [layer.units for layer in predictor.layers[::3]] == [4096, 8]
