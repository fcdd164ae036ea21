"""VIbCReg: arXiv 2109.00783."""

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import heads, losses
from tests import cases
from tests.methods.redundancy.test_lejepa import assert_replicas_are_one
from tests.reference import redundancy as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas
from tests.test_redundancy import encoder, layers, value_and_gradient, vectors, view

CASE = cases.Case({"hidden": 16, "dim": 8, "groups": 4, "invariance_weight": 1.0, "variance_weight": 1.0,
                   "covariance_weight": 2.0})  # fmt: skip


def correlation(z):
    """The mean of the squared correlations over all pairs of dimensions, those of one with itself as 0."""
    found, dim = 0.0, z.shape[1]
    for i in range(dim):
        for j in range(dim):
            a, b = z[:, i] - z[:, i].mean(), z[:, j] - z[:, j].mean()
            found += 0.0 if i == j else (a @ b) ** 2 / (a @ a) / (b @ b)
    return found / dim**2


def iter_norm(x, groups, iterations, epsilon=1e-5):
    """Group by group, as the authors of iterative normalization write it."""
    parts = []
    for part in np.split(x, groups, axis=1):
        centered = part - part.mean(axis=0)
        sigma = centered.T @ centered / len(x) + epsilon * np.eye(part.shape[1])
        trace, power = np.trace(sigma), np.eye(part.shape[1])
        for _ in range(iterations):
            power = (3 * power - np.linalg.matrix_power(power, 3) @ (sigma / trace)) / 2
        parts.append(centered @ power / np.sqrt(trace))
    return np.concatenate(parts, axis=1)


# The loss


def test_correlations_are_the_loops():
    x = 0.7 * vectors(8, 4) + 0.3
    for number, loop in enumerate((reference.variance, correlation)):
        value, (slope,) = value_and_gradient(lambda x: losses.variance_correlation(x)[number], x)
        assert value.dtype == tf.float64 and float(value) == pytest.approx(loop(x), rel=1e-9)
        np.testing.assert_allclose(slope, gradient(loop, x), atol=1e-6)


def test_correlations_do_not_see_scales_and_are_0_of_orthogonal_dimensions():
    x = vectors(9, 4)
    scaled = x * np.array([3.0, 0.1, 1, 7])
    found, same = (float(losses.variance_correlation(z)[1]) for z in (x, scaled))
    assert found == pytest.approx(same) and found > 0.01
    apart = np.linalg.qr(x - x.mean(axis=0))[0]
    assert float(losses.variance_correlation(apart)[1]) == pytest.approx(0, abs=1e-12)
    assert float(losses.variance_correlation(np.repeat(x[:, :1], 4, axis=1))[1]) == pytest.approx(12 / 16)
    assert np.isfinite(losses.variance_correlation(np.ones((8, 3)))).all()


def test_two_replicas_are_one_with_the_whole_batch(two_replicas):
    assert_replicas_are_one(two_replicas, lambda x: sum(losses.variance_correlation(x[0])), vectors(8, 1, 3))


# The whitening


def test_the_whitening_is_the_loop():
    x = np.float32(vectors(20, 6) @ vectors(6, 6, seed=1) + 2)
    for groups in (1, 3):
        layer = heads.IterNorm(6, groups=groups, iterations=4)
        np.testing.assert_allclose(layer(x), iter_norm(np.float64(x), groups, 4), atol=1e-4)
        layer.gamma.assign(2 * np.ones(6))
        layer.beta.assign(np.arange(6))
        np.testing.assert_allclose(layer(x), 2 * iter_norm(np.float64(x), groups, 4) + np.arange(6), atol=1e-3)


def test_the_gradient_of_the_whitening_is_that_of_the_loop():
    x, weights = vectors(7, 4), vectors(7, 4, seed=1)
    layer = heads.IterNorm(4, groups=2, iterations=5)
    z = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = tf.reduce_sum(layer(z) * tf.constant(weights, "float32"))
    expected = gradient(lambda x: np.sum(iter_norm(x, 2, 5) * weights), x)
    np.testing.assert_allclose(tape.gradient(value, z), expected, atol=1e-3)


def test_more_iterations_whiten_more():
    dim = 4
    x = vectors(400, dim)
    x = np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(400) * np.sqrt(np.geomspace(0.1, 1, dim))  # a condition of 10
    spread = []
    for iterations in (1, 5, 12):
        y = np.float64(heads.IterNorm(dim, groups=1, iterations=iterations)(np.float32(x)))
        spread.append(np.abs(np.linalg.eigvalsh(y.T @ y / 400) - 1).max())
    assert spread[0] > spread[1] > spread[2] and spread[1] < 0.2 and spread[2] < 0.01, spread


def test_the_whitening_is_of_all_replicas(two_replicas):
    x = np.float32(vectors(8, 4))
    with two_replicas.scope():
        layer = heads.IterNorm(4, groups=2)
    found = on_replicas(two_replicas, layer, x)
    np.testing.assert_allclose(np.concatenate(found), iter_norm(np.float64(x), 2, 5), atol=1e-4)


def test_wrong_groups_are_refused():
    with pytest.raises(ValueError, match="groups must divide dim. Received: groups=3, dim=8"):
        keras_ssl.VIbCReg(encoder(), dim=8, groups=3)
    with pytest.raises(ValueError, match="groups must be a positive int or None"):
        keras_ssl.VIbCReg(encoder(), groups=0)


# The method


@pytest.mark.parametrize("groups", [5, None])
def test_the_loss_is_the_papers(groups):
    model = keras_ssl.VIbCReg(encoder(), hidden=7, dim=10, groups=groups)
    views = view(0), view(1)
    first, second = (np.float64(model.first(x, training=True)) for x in views)
    outputs = {key: float(value) for key, value in model({"views": views}, training=True).items()}
    expected = {
        "invariance": np.mean((first - second) ** 2),
        "variance": (reference.variance(first) + reference.variance(second)) / 2,
        "covariance": correlation(first) + correlation(second),
    }
    for key, value in expected.items():
        assert outputs[key] == pytest.approx(value, rel=1e-3), key
    variances = reference.variance(first) + reference.variance(second)  # solo-learn: 25 times the sum
    loss = 25 * expected["invariance"] + 25 * variances + 200 * expected["covariance"]
    assert outputs["loss"] == pytest.approx(loss, rel=1e-3)
    block, last = ["Dense", "BatchNormalization", "Activation"], [] if groups is None else ["IterNorm"]
    assert layers(model.first.layers[-1]) == [*block, *block, "Dense", *last]


def test_branches_may_have_encoders_of_their_own():
    model = keras_ssl.VIbCReg(encoder(), hidden=7, dim=8, groups=2, other_encoder=encoder(size=4))
    assert model.first is not model.second and isinstance(model, keras_ssl.VICReg)
    assert np.isfinite(model({"views": (view(0), view(1))}, training=True)["loss"])
