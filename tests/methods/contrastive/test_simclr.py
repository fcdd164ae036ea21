"""SimCLR: arXiv 2002.05709."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.reference import losses as reference
from tests.test_losses import value_and_gradient

CASE = cases.Case({"hidden": 16, "dim": 8, "temperature": 0.5}, base=True)


def encoder():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.Flatten()(x))


def view(batch=6, seed=0, low=0, high=255):
    return np.random.default_rng(seed).uniform(low, high, (batch, 8, 8, 3)).astype("float32")


def loss_of(model, *views):
    return float(model({"views": views}, training=True)["loss"])


@pytest.mark.parametrize("batch", [8, 32])
def test_an_untrained_model_is_at_chance(batch):
    model = keras_ssl.SimCLR(encoder(), temperature=1.0)
    assert loss_of(model, view(batch), view(batch, 1)) == pytest.approx(np.log(2 * batch - 1), abs=0.05)


def test_each_view_has_all_others_as_negatives():
    model = keras_ssl.SimCLR(encoder(), temperature=0.5)
    model.encoder = lambda images, training: ops.reshape(images, (-1, 8 * 8 * 3))
    model.projector = lambda features, training: features
    eye = np.eye(10, 8 * 8 * 3, dtype="float32").reshape(10, 8, 8, 3)
    # all cosines are 0: the loss is the log of the number of the others, the partner and 2B - 2 negatives
    assert loss_of(model, eye[:5], eye[5:]) == pytest.approx(np.log(1 + 2 * 5 - 2), rel=1e-6)
    # partners are equal: e^(1/t) against 2B - 2 times e^0
    expected = -2 + np.log(np.exp(2) + 2 * 5 - 2)
    assert loss_of(model, eye[:5], eye[:5]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "batch, dim, temperature, loss, slope",
    [
        (3, 4, 0.5, 1.960530383, [0.0903727, -0.0385677, -0.0818010]),
        (2, 3, 0.1, 7.964036713, [-2.3928970, 0.2032917, -0.5552734]),
        (8, 16, 1.0, 2.765831898, [-0.0016975, -0.0017194, 0.0044074]),
    ],
)
def test_the_loss_is_that_of_lightly(batch, dim, temperature, loss, slope):
    """Values and gradients of `lightly.loss.NTXentLoss(temperature)`, lightly 1.6.0 on torch 2.13.0, in float64."""
    views = 3 * np.sin(np.arange(2 * batch * dim) ** 1.5).reshape(2, batch, dim)
    found, (first, _) = value_and_gradient(lambda a, b: losses.nt_xent(a, b, temperature), *views)
    assert found == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(first[0, :3], slope, rtol=1e-4, atol=1e-6)


def test_both_views_share_one_forward_pass():
    model = keras_ssl.SimCLR(encoder(), hidden=12, dim=5, temperature=0.5)
    first, second = view(high=100), view(seed=1, low=100)  # of unlike statistics
    norm = next(layer for layer in model.encoder.layers if hasattr(layer, "moving_mean"))
    map_of = keras.Model(model.encoder.input, norm.input)
    loss = loss_of(model, first, second)

    mean = np.asarray(map_of(np.concatenate([first, second]))).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(norm.moving_mean, 0.1 * mean, atol=1e-5)  # moved once, by both

    together = model.projector(model.encoder(np.concatenate([first, second]), training=True), training=True)
    assert loss == pytest.approx(reference.nt_xent(together[:6].numpy(), together[6:].numpy(), 0.5), rel=1e-4)
    apart = [model.projector(model.encoder(x, training=True), training=True).numpy() for x in (first, second)]
    assert abs(loss - reference.nt_xent(*apart, 0.5)) > 0.01


def test_the_loss_does_not_depend_on_the_order():
    model = keras_ssl.SimCLR(encoder(), hidden=12, dim=5)
    first, second = view(), view(seed=1)
    order = [4, 2, 0, 5, 1, 3]
    loss = loss_of(model, first, second)
    assert loss_of(model, second, first) == pytest.approx(loss, rel=1e-4)
    assert loss_of(model, first[order], second[order]) == pytest.approx(loss, rel=1e-4)
    assert loss_of(model, first[order], second) != pytest.approx(loss, rel=1e-2)


@pytest.mark.parametrize("hidden", [None, 7])
def test_projector_is_the_authors(hidden):
    model = keras_ssl.SimCLR(encoder(), hidden=hidden)
    dense, norm, relu, output, output_norm = model.projector.layers
    assert dense.units == (hidden or 3 * 3 * 6) and dense.use_bias and isinstance(relu, keras.layers.ReLU)
    assert norm.center and norm.scale
    assert output.units == 128 and not output.use_bias
    assert isinstance(output_norm, keras.layers.BatchNormalization) and not output_norm.center and output_norm.scale
    trained = {id(v) for v in model.encoder.trainable_variables + model.projector.trainable_variables}
    assert {id(v) for v in model.trainable_variables} == trained
