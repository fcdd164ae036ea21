"""VISReg: arXiv 2606.02572."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.methods.redundancy.test_lejepa import assert_replicas_are_one, outputs_and_inputs, trained, unit_rows
from tests.reference import gaussian as reference
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors

CASE = cases.Case({"hidden": 16, "dim": 8, "slices": 32}, cases.any_size_encoder, cases.multi_crop)


def terms(x, directions=None):
    return losses.center_scale_shape(x, unit_rows(8, x.shape[-1]) if directions is None else directions)


def weighted(x):
    return sum(weight * term for weight, term in zip((0.3, 1.0, 2.0), terms(x)))


def test_the_terms_are_the_loops():
    x, directions = 0.7 * vectors(2, 6, 3) + 0.4, unit_rows(5, 3)
    found = terms(x, directions)
    np.testing.assert_allclose([float(term) for term in found], reference.center_scale_shape(x, directions), rtol=1e-6)
    deviations = x.std(axis=1)  # as they are, whatever becomes of x
    loop = lambda x: reference.center_scale_shape(x, directions, deviations)  # noqa: E731
    for number in range(3):
        _, (slope,) = value_and_gradient(lambda x: terms(x, directions)[number], x)
        np.testing.assert_allclose(slope, gradient(lambda x: loop(x)[number], x), atol=1e-5)


def test_quantiles_are_those_of_the_gaussian():
    np.testing.assert_allclose(losses.gaussian.gaussian_quantiles(9, "float64"), reference.quantiles(9), atol=1e-6)
    np.testing.assert_allclose(losses.gaussian.gaussian_quantiles(4095), reference.quantiles(4095), atol=1e-4)


def test_standard_gaussian_embeddings_are_left_alone():
    x = reference.quantiles(1023)[::-1, None]
    center, scale, shape = (float(term) for term in terms(x, np.ones((1, 1))))
    assert center < 1e-9 and scale < 1e-3 and shape < 1e-4
    assert float(terms(vectors(4096, 8))[2]) < 0.01 < float(terms(vectors(4096, 8) ** 3)[2])


def test_the_pull_of_the_scale_does_not_vanish_at_a_collapse():
    """Its derivative by a deviation is -2 / dim near 0, where the test of LeJEPA has no gradient any more."""
    x = vectors(16, 4)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    for size in (1e-2, 1e-4, 1e-9):
        with tf.GradientTape() as tape:
            deviations = tf.fill((4,), tf.constant(size, "float64"))
            tape.watch(deviations)
            scale = losses.center_scale_shape(deviations * x, unit_rows(8, 4))[1]
        np.testing.assert_allclose(tape.gradient(scale, deviations), -2 / 4, rtol=2 * size + 1e-6)
        assert float(scale) == pytest.approx(1, abs=2.1 * (size + 1e-6))
        _, (slope,) = value_and_gradient(lambda x: losses.sig_reg(size * x, unit_rows(8, 4)), x)
        assert np.abs(slope).max() < size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_embeddings_have_finite_gradients(dtype):
    value, (slope,) = value_and_gradient(weighted, np.full((1, 8, 3), 2.0), dtype=dtype)
    assert np.isfinite(float(value)) and np.isfinite(slope).all()
    assert float(terms(np.zeros((8, 3)))[1]) == pytest.approx((1 - 1e-6) ** 2, rel=1e-7)


def test_the_shape_sees_neither_place_nor_scale_of_a_dimension_and_does_not_change_the_scale():
    x, factors = vectors(2, 32, 3), np.array([2.0, 0.1, 7.0])
    assert float(terms(x * factors + 5)[2]) == pytest.approx(float(terms(x)[2]), rel=1e-4)
    directions, centered = unit_rows(8, 3), x - x.mean(axis=1, keepdims=True)
    along = np.float64(value_and_gradient(lambda x: terms(x, directions)[2], x)[1][0])
    # Along a change of all deviations the gradient is that of numbers that are divided by a constant.
    deviations = x.std(axis=1) + 1e-6
    loop = lambda size: reference.center_scale_shape(size * centered, directions, deviations)[2]  # noqa: E731
    assert np.sum(along * centered) == pytest.approx(float(gradient(loop, np.array(1.0))), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_terms_are_float32_inside(dtype):
    low = ops.cast(vectors(2, 8, 3), dtype)
    assert weighted(low).dtype == tf.float32
    assert float(weighted(low)) == pytest.approx(float(weighted(ops.cast(low, "float32"))), rel=1e-6)


def test_two_replicas_are_one_with_the_whole_batch(two_replicas):
    assert_replicas_are_one(two_replicas, weighted, vectors(8, 2, 3))


def test_the_loss_is_the_papers():
    weights = {"scale_weight": 0.5, "shape_weight": 2.0, "center_weight": 3.0}
    outputs, embeddings, directions = outputs_and_inputs("VISReg", regularizer_weight=0.3, **weights)
    center, scale, shape = reference.center_scale_shape(embeddings, directions)
    invariance = reference.invariance(embeddings, 3)
    expected = {"invariance": invariance, "center": center, "scale": scale, "shape": shape}
    for key, value in expected.items():
        assert outputs[key] == pytest.approx(value, rel=2e-3), key
    assert outputs["loss"] == pytest.approx(0.7 * invariance + 0.3 * (0.5 * scale + 2 * shape + 3 * center), rel=1e-3)


def test_a_projector_alone_can_make_the_embeddings_gaussian():
    logs, embeddings = trained(80, "VISReg", frozen=True, regularizer_weight=1.0)
    first, last = logs[0], logs[-1]
    assert last["loss"] < 0.1 * first["loss"] and max(last[term] for term in ("center", "scale", "shape")) < 0.05
    np.testing.assert_allclose(embeddings.std(axis=1), 1, atol=0.2)


@pytest.mark.parametrize("name", ["scale_weight", "shape_weight", "center_weight"])
def test_negative_weights_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be a finite number from 0"):
        keras_ssl.VISReg(cases.small_encoder(), **{name: -1.0})
