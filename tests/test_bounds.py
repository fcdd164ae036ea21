"""Bounds of mutual information: arXiv 1905.06922."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses
from tests.reference import information as reference
from tests.reference.losses import gradient

BASELINE = np.array([0.3, -1.0, 0.7, 0.1, -0.2])
CASES = {
    "tuba": (lambda s: losses.tuba(s, BASELINE), lambda s: reference.tuba(s, BASELINE)),
    "nwj": (losses.nwj, reference.nwj),
    "info_nce": (losses.info_nce_bound, reference.info_nce),
    "interpolated": (
        lambda s: losses.interpolated(s, BASELINE, -0.4),
        lambda s: reference.interpolated(s, BASELINE, 1 / (1 + np.exp(0.4))),
    ),
    "dv": (losses.donsker_varadhan, reference.donsker_varadhan),
}
every_bound = pytest.mark.parametrize("name", CASES)


def scores(count=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, count))


def value_and_slope(function, s):
    x = tf.constant(s)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return float(value), tape.gradient(value, x)


@every_bound
def test_bounds_are_the_loops_in_value_and_gradient(name):
    function, loop = CASES[name]
    value, slope = value_and_slope(function, scores())
    assert value == pytest.approx(loop(scores()), rel=1e-12)
    np.testing.assert_allclose(slope, gradient(loop, scores()), atol=1e-8)


def test_jensen_shannon_has_the_value_of_tuba_and_the_gradient_of_the_divergence():
    value, slope = value_and_slope(losses.jensen_shannon, scores())
    assert value == pytest.approx(reference.tuba(scores(), np.zeros(5)), rel=1e-12)
    np.testing.assert_allclose(slope, gradient(reference.divergence, scores()), atol=1e-8)


def test_barber_agakov():
    assert float(losses.barber_agakov(np.array([-1.0, -2.0]), 3.0)) == 1.5


@every_bound
def test_bounds_are_float32_inside(name):
    found = CASES[name][0](tf.cast(scores(), "bfloat16"))
    assert found.dtype == "float32" and np.isfinite(found)


def test_bounds_as_limits_of_each_other():
    s = scores()
    assert float(losses.interpolated(s, BASELINE, -50.0)) == pytest.approx(float(losses.tuba(s, BASELINE)), rel=1e-9)
    assert float(losses.interpolated(s, 1.0, -50.0)) == pytest.approx(float(losses.nwj(s)), rel=1e-9)
    assert float(losses.tuba(s, 1.0)) == pytest.approx(float(losses.nwj(s)), rel=1e-12)


def test_rows_and_columns_are_not_the_same():
    """Something that depends on y alone counts for nothing in InfoNCE; what depends on x does."""
    s, row, column = scores(), np.arange(5.0)[:, None], np.arange(5.0)[None]
    value = float(losses.info_nce_bound(s))
    assert float(losses.info_nce_bound(s + row)) == pytest.approx(value, rel=1e-9)
    assert abs(float(losses.info_nce_bound(s + column)) - value) > 0.01


def test_order_of_the_bounds():
    for seed in range(20):
        s = 5 * scores(seed=seed)
        assert float(losses.donsker_varadhan(s)) >= float(losses.nwj(s)) - 1e-9
        assert float(losses.info_nce_bound(s)) <= np.log(5) + 1e-9


def test_large_scores_do_not_overflow_where_the_bound_is_finite():
    s = (1000 * np.eye(4)).astype("float32")
    for function in (losses.info_nce_bound, losses.donsker_varadhan, losses.nwj):
        assert np.isfinite(function(s))
    assert np.isfinite(losses.interpolated(s, 0.0, 0.0))


# Gaussians, whose information is known


def exact_critic(information, count, draw, dim=20):
    """Scores log p(y | x) of a batch of correlated Gaussians, and log p(y): row i is y_i, column j is x_j."""
    rho = np.sqrt(1 - np.exp(-2 * information / dim))
    x, noise = draw.normal(size=(2, count, dim))
    y = rho * x + np.sqrt(1 - rho**2) * noise
    error = y[:, None] - rho * x[None]
    constant = -0.5 * dim * np.log(2 * np.pi)
    given = constant - 0.5 * dim * np.log(1 - rho**2) - 0.5 * (error**2).sum(axis=2) / (1 - rho**2)
    return given, constant - 0.5 * (y**2).sum(axis=1)


def estimates(information, batches=40, count=128):
    draw, found = np.random.default_rng(0), []
    for _ in range(batches):
        s, q = exact_critic(information, count, draw)
        found.append([
            float(losses.tuba(s, q)), float(losses.info_nce_bound(s)), float(losses.interpolated(s, q, LOGIT)),
            float(losses.interpolated(s, q, 0.0)),
        ])  # fmt: skip
    return np.mean(found, axis=0), np.std(found, axis=0)


LOGIT = float(np.log(0.01 / 0.99))


@pytest.mark.parametrize("information, expected", [
    (0.94, [0.94, 0.92, 0.94, 0.94]),
    (4.46, [4.49, 3.59, 4.45, 3.99]),
    (10.2, [10.5, 4.80, 8.8, 6.2]),
    (16.6, [17.5, 4.852, 10.3, 6.5]),
])  # fmt: skip
def test_estimates_of_gaussians_with_the_exact_critic(information, expected):
    """TUBA with the exact baseline, InfoNCE, and between them with alpha 0.01 and 0.5, of batches of 128."""
    mean, spread = estimates(information)
    assert (np.abs(mean - expected) < 4 * spread / np.sqrt(40) + 0.06).all(), (mean, spread)
    if information == 4.46:
        assert spread[1] < spread[3] < spread[2] < spread[0]  # InfoNCE, 0.5, 0.01, TUBA


def test_independent_samples_have_no_information():
    """A critic that sees nothing says 0, and one that sees what is not there says no more."""
    mean, spread = estimates(1e-12, batches=10)
    np.testing.assert_allclose(mean, 0, atol=1e-4)
    draw, found = np.random.default_rng(0), []
    for _ in range(200):
        s, q = exact_critic(2.0, 64, draw)
        s = s[:, draw.permutation(64)]  # other partners
        found.append([float(bound(s)) for bound in (losses.nwj, losses.info_nce_bound)] + [float(losses.tuba(s, q))])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(200)
    assert (mean < 4 * error).all(), mean


def test_the_information_of_gaussians():
    assert losses.gaussian_information(0.0, 20) == 0
    assert losses.gaussian_information(np.sqrt(1 - np.exp(-2 * 4 / 20)), 20) == pytest.approx(4)
