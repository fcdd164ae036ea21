"""Losses of the volume of embeddings: arXiv 2304.03977 (EMP-SSL), 2310.02903 (FroSSL), 2303.03307 (MMCR)."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl import losses
from keras_ssl.losses.volume import smaller_gram
from tests.methods.redundancy.test_lejepa import assert_replicas_are_one
from tests.reference import volume as reference
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors

# The loss of embeddings (views, batch, dim), and its loop.
LOSSES = {
    "coding rate": (losses.coding_rate, lambda x: np.mean([reference.coding_rate(view, 0.2) for view in x])),
    "frossl": (lambda x: losses.frossl(list(x), 1.5)[0], lambda x: reference.frossl(list(x), 1.5)[0]),
    "frossl, not centered": (
        lambda x: losses.frossl(list(x), 1.5, False)[0], lambda x: reference.frossl(list(x), 1.5, False)[0],
    ),
    "mmcr": (lambda x: losses.manifold_capacity(x)[0], lambda x: reference.mmcr(list(x))),
    "mmcr, manifolds": (
        lambda x: losses.manifold_capacity(x, manifold_weight=0.3)[0],
        lambda x: reference.mmcr(list(x), weight=0.3),
    ),
    "mmcr, twins": (
        lambda x: losses.manifold_capacity(x, vectors(*x.shape, seed=9))[0],
        lambda x: reference.mmcr(list(x), vectors(*x.shape, seed=9)),
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@every_loss
@pytest.mark.parametrize("shape", [(3, 4, 2), (2, 3, 5)])
def test_value_and_gradient_are_the_loops(name, shape):
    loss, loop = LOSSES[name]
    x = 0.7 * vectors(*shape) + 0.3
    value, (slope,) = value_and_gradient(lambda x: loss(ops.unstack(x) if "frossl" in name else x), x)
    assert value.dtype == tf.float64
    assert float(value) == pytest.approx(loop(x), rel=1e-9)
    np.testing.assert_allclose(slope, gradient(loop, x), atol=1e-6)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_losses_are_float32_inside(name, dtype):
    low = ops.cast(vectors(2, 8, 3), dtype)
    value = LOSSES[name][0](low)
    assert value.dtype == tf.float32
    assert float(value) == pytest.approx(float(LOSSES[name][0](ops.cast(low, "float32"))), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in LOSSES if "twins" not in name])
def test_two_replicas_are_one_with_the_whole_batch(name, two_replicas):
    loss = LOSSES[name][0]
    found = lambda x: loss(ops.unstack(x) if "frossl" in name else x)  # noqa: E731
    if "manifolds" in name:
        found = lambda x: same_on_all(loss(x))  # noqa: E731
    assert_replicas_are_one(two_replicas, found, vectors(8, 2, 3))


def same_on_all(loss):
    """The mean over the replicas: a part of this loss is of the local images."""
    from keras_ssl import distribute

    return distribute.total(loss) / distribute.replicas()


@every_loss
def test_what_is_no_number_is_seen(name):
    x = vectors(2, 4, 3)
    x[1, 2, 0] = np.nan
    assert np.isnan(float(LOSSES[name][0](x)))


def test_both_gram_matrices_have_one_spectrum():
    x = vectors(4, 7)
    small, large = smaller_gram(ops.convert_to_tensor(x)), smaller_gram(ops.convert_to_tensor(x.T))
    assert small.shape == large.shape == (4, 4)
    unknown = tf.function(smaller_gram, input_signature=[tf.TensorSpec((None, 7), "float64")])(x)
    assert unknown.shape == (7, 7)
    np.testing.assert_allclose(np.linalg.eigvalsh(unknown)[-4:], np.linalg.eigvalsh(small), atol=1e-10)
    both = x, np.vstack([x, 0 * x, 0 * x])
    forms = [losses.frossl([ops.convert_to_tensor(z)] * 2, centered=False)[1] for z in both]
    assert float(forms[0]) == pytest.approx(float(forms[1]), rel=1e-6)  # 4 x 4, and 7 x 7 of the same moments


# The coding rate


def test_coding_rates_that_are_known():
    for dim, epsilon in ((4, 0.2), (6, 1.0)):
        assert float(losses.coding_rate(3 * np.eye(dim), epsilon)) == pytest.approx(dim / 2 * np.log(1 + 1 / epsilon))
        alike = np.repeat(vectors(1, dim), 9, axis=0)
        assert float(losses.coding_rate(alike, epsilon)) == pytest.approx(np.log(1 + dim / epsilon) / 2, rel=1e-6)


def test_the_coding_rate_grows_when_two_clusters_part():
    def two(angle):
        x = np.array([[1.0, 0, 0]] * 8 + [[np.cos(angle), np.sin(angle), 0]] * 8)
        return float(losses.coding_rate(x + 0.05 * vectors(16, 3)))

    assert two(0.1) < two(0.5) < two(1.5)


# FroSSL


def test_norms_of_frossl_that_are_known():
    dim = 4
    columns = vectors(9, dim)
    columns = np.linalg.qr(columns - columns.mean(axis=0))[0]
    loss, norm, apart = map(float, losses.frossl([columns + 5] * 3))
    assert apart == pytest.approx(0, abs=1e-12) and loss == norm == pytest.approx(-3 * np.log(dim))
    one = np.repeat(vectors(9, 1), dim, axis=1)
    assert float(losses.frossl([one] * 3)[0]) == pytest.approx(0, abs=1e-6)
    assert float(losses.frossl([one * 0 + 1] * 3, centered=False)[0]) == pytest.approx(0, abs=1e-6)


def test_the_invariance_of_two_views_is_their_squared_distance():
    first, second = (np.linalg.qr(vectors(9, 4, seed=i))[0] for i in range(2))
    assert float(losses.frossl([first, second], centered=False)[2]) == pytest.approx(4 * np.mean((first - second) ** 2))


def test_the_order_of_dimensions_does_not_matter():
    views = [vectors(9, 4, seed=i) for i in range(3)]
    turned = [view[:, [2, 0, 3, 1]] for view in views]
    np.testing.assert_allclose(losses.frossl(views), losses.frossl(turned), rtol=1e-6)
    assert float(losses.frossl([views[0], turned[1], views[2]])[2]) != pytest.approx(float(losses.frossl(views)[2]))


# MMCR


def test_capacities_that_are_known():
    orthogonal = np.linalg.qr(vectors(8, 4))[0].T[None]  # one view of four images
    assert float(losses.manifold_capacity(orthogonal)[0]) == pytest.approx(-4)
    alike = np.repeat(np.repeat(vectors(1, 1, 8), 2, axis=0), 9, axis=1)
    assert float(losses.manifold_capacity(alike)[0]) == pytest.approx(-3)  # the root of nine images
    apart = np.stack([alike[0], -alike[0]])
    assert float(losses.manifold_capacity(apart)[0]) == pytest.approx(0, abs=1e-6)


def test_the_capacity_does_not_see_a_rotation():
    x, rotation = vectors(3, 5, 4), np.linalg.qr(vectors(4, 4, seed=1))[0]
    for weight in (0.0, 0.5):
        found, turned = (losses.manifold_capacity(z, manifold_weight=weight)[0] for z in (x, x @ rotation))
        assert float(found) == pytest.approx(float(turned), rel=1e-9)


@pytest.mark.parametrize("matrix", [np.ones((4, 3)), np.zeros((4, 3)), np.eye(4), np.diag([2.0, 2.0, 0.0])])
def test_gradients_of_singular_matrices_are_finite(matrix):
    value, (slope,) = value_and_gradient(losses.nuclear_norm, matrix, dtype="float32")
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    kept = s > 1e-6
    assert float(value) == pytest.approx(s.sum(), abs=1e-5)
    np.testing.assert_allclose(slope, (u * kept) @ vt, atol=1e-5)


def test_twins_get_no_gradient():
    x, twins = vectors(2, 4, 3), vectors(2, 4, 3, seed=1)
    _, (slope, stopped) = value_and_gradient(lambda x, y: losses.manifold_capacity(x, y)[0], x, twins)
    assert stopped is None and np.abs(slope).max() > 0
