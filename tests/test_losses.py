"""Every loss equals its paper's loop, in value and gradient."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl import losses
from tests.reference import losses as reference


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def value_and_gradient(function, *arrays):
    tensors = [tf.constant(a, "float32") for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return float(value), [None if g is None else g.numpy() for g in tape.gradient(value, tensors)]


@pytest.mark.parametrize("batch, dim, temperature", [(2, 3, 0.5), (5, 4, 0.1), (8, 16, 1.0)])
def test_nt_xent(batch, dim, temperature):
    a, b = vectors(batch, dim), vectors(batch, dim, seed=1)
    value, (slope_a, slope_b) = value_and_gradient(lambda x, y: losses.nt_xent(x, y, temperature), a, b)
    assert value == pytest.approx(reference.nt_xent(a, b, temperature), rel=1e-5)
    expected = reference.gradient(lambda x: reference.nt_xent(x, b, temperature), a)
    np.testing.assert_allclose(slope_a, expected, atol=1e-5)
    expected = reference.gradient(lambda x: reference.nt_xent(a, x, temperature), b)
    np.testing.assert_allclose(slope_b, expected, atol=1e-5)


def test_nt_xent_does_not_depend_on_the_order():
    a, b = vectors(6, 8), vectors(6, 8, seed=1)
    order = [3, 1, 5, 0, 2, 4]
    loss = float(losses.nt_xent(a, b))
    assert float(losses.nt_xent(b, a)) == pytest.approx(loss, rel=1e-6)
    assert float(losses.nt_xent(a[order], b[order])) == pytest.approx(loss, rel=1e-6)


def test_nt_xent_of_random_vectors_is_chance():
    a, b = vectors(256, 512), vectors(256, 512, seed=1)
    assert float(losses.nt_xent(a, b, 1.0)) == pytest.approx(np.log(2 * 256 - 1), abs=0.01)


def test_nt_xent_survives_extreme_temperatures():
    a = np.repeat(vectors(4, 8), 2, axis=0)
    value, (slope, _) = value_and_gradient(lambda x, y: losses.nt_xent(x, y, 0.01), a, -a)
    assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.parametrize("batch, size, temperature", [(2, 1, 0.5), (4, 6, 0.07), (3, 10, 0.2)])
def test_info_nce(batch, size, temperature):
    q, k, queue = vectors(batch, 5), vectors(batch, 5, seed=1), vectors(size, 5, seed=2)
    queue /= np.linalg.norm(queue, axis=-1, keepdims=True)
    value, (slope, *stopped) = value_and_gradient(lambda *x: losses.info_nce(*x, temperature), q, k, queue)
    assert value == pytest.approx(reference.info_nce(q, k, queue, temperature), rel=1e-5)
    expected = reference.gradient(lambda x: reference.info_nce(x, k, queue, temperature), q)
    np.testing.assert_allclose(slope, expected, atol=1e-5)
    assert stopped == [None, None]  # neither the keys nor the queue get a gradient


def test_info_nce_of_equal_similarities_is_log_of_their_number():
    q = np.ones((3, 4))
    queue = np.ones((7, 4)) / 2
    assert float(losses.info_nce(q, q, queue, 0.07)) == pytest.approx(np.log(8), rel=1e-6)


def test_cosine_regression():
    p, z = vectors(5, 7), vectors(5, 7, seed=1)
    value, (slope, stopped) = value_and_gradient(losses.cosine_regression, p, z)
    assert value == pytest.approx(reference.cosine_regression(p, z), rel=1e-5)
    np.testing.assert_allclose(
        slope, reference.gradient(lambda x: reference.cosine_regression(x, z), p), atol=1e-5
    )
    assert stopped is None
    assert float(losses.cosine_regression(p, 3 * p)) == pytest.approx(0, abs=1e-6)
    assert float(losses.cosine_regression(p, -p)) == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_losses_are_float32_inside(dtype):
    a, b = vectors(8, 16), vectors(8, 16, seed=1)
    low = [ops.cast(x, dtype) for x in (a, b)]
    high = [ops.cast(x, "float32") for x in low]
    for loss in (losses.nt_xent, losses.cosine_regression, lambda x, y: losses.info_nce(x, y, high[1])):
        assert loss(*low).dtype == tf.float32
        assert float(loss(*low)) == pytest.approx(float(loss(*high)), rel=1e-6)
