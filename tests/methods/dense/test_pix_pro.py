"""PixPro: arXiv 2011.10043."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.methods.dense.test_dense_cl import encoder, view
from tests.methods.dense.test_pix_contrast import (
    BOXES,
    check_apart,
    check_target,
    loss_of,
    make,
    parted,
    places_of,
    positives,
)
from tests.reference import dense as reference
from tests.reference.losses import cosine_regression, gradient
from tests.test_redundancy import value_and_gradient, vectors

CASE = cases.Case(
    {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20, "instance_weight": 0.5}, views=cases.located
)


def propagated(model, x):
    """By NumPy, of the embeddings `(batch, places, dim)`."""
    kernel, bias = (np.float64(w) for w in model.value.get_weights())
    return np.stack([reference.propagate(one, one @ kernel + bias, model.gamma) for one in x])


@pytest.mark.parametrize("gamma", [2.0, 1.0])
def test_the_loss_is_the_papers(gamma):
    model, views = parted("PixPro", gamma=gamma), (view(0), view(1))
    first, second = (propagated(model, places_of(model.online, x)) for x in views)
    first_target, second_target = (places_of(model.target, x) for x in views)
    there = reference.consistency(first, second_target, positives())
    back = reference.consistency(second, first_target, positives().transpose(0, 2, 1))
    assert loss_of(model, *views) == pytest.approx(there + back, rel=1e-4)


def test_value_and_gradient_are_the_loop():
    y, targets = vectors(4, 9, 3), vectors(4, 9, 3, seed=1)
    value, slopes = value_and_gradient(lambda y, t: losses.place_consistency(y, t, positives()), y, targets)
    assert float(value) == pytest.approx(reference.consistency(y, targets, positives()), rel=1e-9)
    loop = gradient(lambda y: reference.consistency(y, targets, positives()), y)
    np.testing.assert_allclose(slopes[0], loop, atol=1e-7)
    assert slopes[1] is None


def test_the_gradient_of_the_propagation_is_the_loops():
    model, x = make("PixPro"), vectors(2, 9, 5)
    kernel, bias = (np.float64(w) for w in model.value.get_weights())
    model.value = lambda x, training: x @ kernel + bias
    weights = vectors(2, 9, 5, seed=3)

    def total(x):
        return sum(np.sum(w * reference.propagate(one, one @ kernel + bias, 2.0)) for w, one in zip(weights, x))

    value, (slope,) = value_and_gradient(
        lambda x: np.float64(1) * keras_ssl.losses.vectors.ops.sum(weights * model.propagate(x)), x.reshape(2, 3, 3, 5)
    )
    assert float(value) == pytest.approx(total(x), rel=1e-9)
    np.testing.assert_allclose(slope, gradient(total, x).reshape(2, 3, 3, 5), atol=1e-6)


def test_one_place_and_steep_weights_leave_the_value_of_the_place():
    model, x = make("PixPro", gamma=1e4), vectors(2, 9, 5).astype("float32")
    value = x @ model.value.get_weights()[0] + model.value.get_weights()[1]
    value = value / np.linalg.norm(value, axis=-1, keepdims=True)
    np.testing.assert_allclose(model.propagate(x.reshape(2, 3, 3, 5)), value, atol=1e-2)
    model.gamma = 2.0
    np.testing.assert_allclose(model.propagate(x[:, :1].reshape(2, 1, 1, 5)), value[:, :1], atol=1e-5)


def test_without_a_transformation_the_embeddings_are_averaged():
    model, x = make("PixPro", transform=0), vectors(2, 9, 5).astype("float32")
    found = model.propagate(x.reshape(2, 3, 3, 5))
    np.testing.assert_allclose(found, [reference.propagate(one, one, 2.0) for one in x], atol=1e-5)
    assert [type(layer).__name__ for layer in make("PixPro", transform=2).value.layers] == [
        "Dense", "BatchNormalization", "ReLU", "Dense",
    ]  # fmt: skip


def test_a_small_gamma_has_a_finite_gradient():
    model = make("PixPro", gamma=0.5)
    opposite = np.float64([[[[1.0, 0, 0, 0, 0]], [[-1.0, 0, 0, 0, 0]], [[0, 1.0, 0, 0, 0]]]])
    _, (slope,) = value_and_gradient(model.propagate, opposite.astype("float32"), dtype="float32")
    assert np.isfinite(slope).all()


def test_views_that_do_not_overlap_have_no_loss_and_no_gradient():
    check_apart("PixPro")


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_no_gradient_reaches_the_target(weight):
    check_target("PixPro", instance_weight=weight)


def test_the_propagation_is_of_the_online_network_alone():
    names = {layer.name for layer in make("PixPro").target.layers}
    assert "projector" in names and "value" not in names


def test_the_loss_of_whole_images_is_byols():
    model, views = parted("PixPro", instance_weight=0.7), (view(0), view(1))

    def of_whole(network, images, predict=False):
        x = network(images, training=True)[1]
        x = model.predictor(x, training=True) if predict else x
        return np.float64(x).mean(axis=(1, 2))

    predictions = [of_whole(model.online, x, predict=True) for x in views]
    targets = [of_whole(model.target, x) for x in views]
    # BYOL's is 2 - 2 cos
    expected = sum(cosine_regression(p, t) - 2 for p, t in zip(predictions, reversed(targets)))
    outputs = model({"views": (*views, BOXES)}, training=True)
    assert float(outputs["instance_loss"]) == pytest.approx(expected, rel=1e-4)
    total = float(outputs["place_loss"]) + 0.7 * expected
    assert float(outputs["loss"]) == pytest.approx(total, rel=1e-4)


def test_the_sizes_are_the_papers():
    model = keras_ssl.PixPro(encoder(), instance_weight=1.0)
    assert [layer.units for layer in model.value.layers] == [256]
    for head in (model.predictor, model.online.get_layer("instance_projector")):
        assert [layer.units for layer in head.layers[::3]] == [4096, 256]


@pytest.mark.parametrize("options, message", [
    ({"gamma": 0}, "gamma must be"),
    ({"transform": 3}, "transform must be one of"),
    ({"instance_weight": -1}, "instance_weight must be"),
    ({"temperature": 1.0}, "has no argument 'temperature'"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make("PixPro", **options)
