"""FastSiam: GCPR 2022."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.methods.distillation.test_simsiam import encoder, loss_of, outputs, view
from tests.reference import redundancy as reference

SIZES = {"hidden": 16, "dim": 8, "depth": 2, "predictor_hidden": 16}
CASE = cases.Case(SIZES, views=lambda: cases.crops(cases.SIZE, cases.SIZE, cases.SIZE))


def make(method=keras_ssl.FastSiam, **options):
    keras.utils.set_random_seed(0)
    model = method(encoder(), **{"hidden": 12, "dim": 6, "predictor_hidden": 4} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def apart(predictions, projections):
    """The paper's distances, view by view: each mean is written out."""
    found = []
    for i, p in enumerate(predictions):
        others = [z for j, z in enumerate(projections) if j != i]
        found.append(reference.negative_cosine(p, np.mean(others, axis=0)))
    return found


@pytest.mark.parametrize("count, symmetric", itertools.product([3, 4], [True, False]))
def test_the_loss_is_the_papers(count, symmetric):
    model, views = make(symmetric=symmetric), [view(seed) for seed in range(count)]
    projections, predictions = outputs(model, *views)
    distances = apart(predictions, projections)
    assert loss_of(model, *views) == pytest.approx(np.mean(distances) if symmetric else distances[0], rel=1e-3)


def test_the_mean_is_of_projections_that_are_not_normalized():
    model, views = make(), [view(seed) for seed in range(3)]
    projections, predictions = outputs(model, *views)
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in projections]
    expected, other = np.mean(apart(predictions, projections)), np.mean(apart(predictions, unit))
    assert abs(expected - other) > 5e-3 and loss_of(model, *views) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("symmetric", [True, False])
def test_with_two_views_it_is_simsiam(symmetric):
    views, states = [view(0), view(1)], []
    for method in (keras_ssl.FastSiam, keras_ssl.SimSiam):
        model = make(method, symmetric=symmetric)
        loss = [float(model.train_on_batch({"views": tuple(views)})) for _ in range(2)]
        states.append([*loss, *model.get_weights()])
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_order_of_the_views_does_not_matter():
    views = [view(seed) for seed in range(3)]
    model = make()
    found = [loss_of(model, *(views[i] for i in order)) for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2))]
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_a_projection_gets_the_gradient_of_its_own_prediction(stop_gradient):
    """The network of view i is a variable of its own here: the loss of one prediction moves no other."""
    draw = np.random.default_rng(0)
    projections = [tf.Variable(draw.normal(size=(8, 6)), dtype="float32") for _ in range(3)]
    model = make(stop_gradient=stop_gradient, symmetric=False)
    given = iter(projections)
    model.projection = lambda images, training: next(given).value()
    with tf.GradientTape() as tape:
        loss = model.objective([view(seed) for seed in range(3)])
    own, *others = tape.gradient(loss, projections)
    assert np.abs(own).max() > 0 and all((slope is None) == stop_gradient for slope in others)


def test_the_mean_is_float32_in_half_precision():
    draw, model, targets = np.random.default_rng(0), make(), []
    projections = [tf.constant(draw.normal(size=(8, 6)), "bfloat16") for _ in range(4)]
    given = iter(projections)
    model.projection = lambda images, training: next(given)
    model.distance = lambda z, onto: targets.append(onto) or 0.0
    model.objective([view(seed) for seed in range(4)])
    for i, target in enumerate(targets):
        others = [np.asarray(z, "float64") for j, z in enumerate(projections) if j != i]
        assert target.dtype == tf.float32
        np.testing.assert_allclose(target, np.mean(others, axis=0), atol=1e-6)


def test_one_view_is_refused():
    with pytest.raises(ValueError, match="views"):
        loss_of(make(), view(0))


def test_training_does_not_collapse():
    keras.utils.set_random_seed(0)
    model = keras_ssl.FastSiam(encoder(), hidden=32, dim=16, depth=2, predictor_hidden=8)
    model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (32, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    for _ in range(60):
        views = [(smooth * draw.uniform(0.7, 1.3, (32, 1, 1, 3))).astype("float32") for _ in range(4)]
        model.train_on_batch({"views": tuple(views)})
    z = np.float64(model.projection(views[0], training=True))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    assert z.std(axis=0).mean() > 0.5 / np.sqrt(16) and loss_of(model, *views) < -0.8
