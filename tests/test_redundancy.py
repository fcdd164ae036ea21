"""Barlow Twins, VICReg and W-MSE: arXiv 2103.03230, 2105.04906 and 2007.06346."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import distribute, losses
from tests.reference import redundancy as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def white(rows, dim, seed=0):
    """Rows of mean 0 whose covariance, divided by their number, is exactly I."""
    x = vectors(rows, dim, seed=seed)
    return np.linalg.qr(x - x.mean(axis=0))[0] * np.sqrt(rows)


def value_and_gradient(function, *arrays, dtype="float64"):
    tensors = [tf.constant(a, dtype) for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return value, tape.gradient(value, tensors)


def parts(batch, count):
    return np.split(np.arange(batch), count)


def barlow_twins(first, second):
    return losses.barlow_twins(first, second, 0.5)


def vicreg(first, second):
    (v, c), (w, d) = losses.variance_covariance(first), losses.variance_covariance(second)
    return 25 * losses.invariance(first, second) + 25 * (v + w) / 2 + c + d


def w_mse(*views):
    return losses.w_mse(list(views), sub_batch=8)


def w_mse_in_parts(*views):
    return losses.w_mse(list(views), sub_batch=4)


def w_mse_mixed(*views):
    return losses.w_mse(list(views), epsilon=0.1)


# The loss, its loop, how many views.
CASES = {
    "barlow twins": (barlow_twins, lambda a, b: reference.barlow_twins(a, b, 0.5), 2),
    "vicreg": (vicreg, reference.vicreg, 2),
    "w-mse": (w_mse, lambda *x: reference.w_mse(x, parts(8, 1)), 2),
    "w-mse in parts": (w_mse_in_parts, lambda *x: reference.w_mse(x, parts(8, 2)), 2),
    "w-mse of 3": (w_mse, lambda *x: reference.w_mse(x, parts(8, 1)), 3),
    "w-mse mixed": (w_mse_mixed, lambda *x: reference.w_mse(x, parts(8, 1), 0.1), 2),
}
every_loss = pytest.mark.parametrize("case", CASES)


@every_loss
def test_value_and_gradient_are_the_loops(case):
    function, loop, count = CASES[case]
    arrays = [0.7 * vectors(8, 3, seed=i) + 0.3 for i in range(count)]
    value, slopes = value_and_gradient(function, *arrays)
    assert value.dtype == tf.float64  # float64 stays
    assert float(value) == pytest.approx(loop(*arrays), rel=1e-9)
    for i, slope in enumerate(slopes):
        expected = gradient(lambda x: loop(*arrays[:i], x, *arrays[i + 1 :]), arrays[i])
        np.testing.assert_allclose(tf.convert_to_tensor(slope), expected, atol=1e-6)
    value, slopes = value_and_gradient(function, *arrays, dtype="float32")
    assert value.dtype == tf.float32
    assert float(value) == pytest.approx(loop(*arrays), rel=1e-4)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_losses_are_float32_inside(case, dtype):
    function, _, count = CASES[case]
    low = [ops.cast(vectors(8, 3, seed=i), dtype) for i in range(count)]
    value = function(*low)
    assert value.dtype == tf.float32
    assert float(value) == pytest.approx(float(function(*[ops.cast(x, "float32") for x in low])), rel=1e-6)


@every_loss
def test_two_replicas_are_one_with_the_whole_batch(case, two_replicas):
    function, _, count = CASES[case]
    arrays = [vectors(8, 3, seed=i) for i in range(count)]

    def value_and_slopes(*x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = function(*x) / distribute.replicas()
        return loss, *[tf.convert_to_tensor(slope) for slope in tape.gradient(loss, x)]

    loss, *slopes = value_and_slopes(*[tf.constant(a) for a in arrays])
    (one, *one_slopes), (two, *two_slopes) = on_replicas(two_replicas, value_and_slopes, *arrays)
    assert one + two == pytest.approx(float(loss), rel=1e-12)
    for expected, *halves in zip(slopes, one_slopes, two_slopes):
        np.testing.assert_allclose(np.concatenate(halves), expected, atol=1e-10)


@pytest.mark.parametrize("case", ["barlow twins", "vicreg"])
def test_the_order_of_the_dimensions_does_not_matter(case):
    a = vectors(16, 5)
    b = a + 0.3 * vectors(16, 5, seed=1)
    order = [3, 1, 4, 0, 2]
    function = CASES[case][0]
    assert float(function(a[:, order], b[:, order])) == pytest.approx(float(function(a, b)), rel=1e-5)
    assert float(function(a[:, order], b)) != pytest.approx(float(function(a, b)), rel=0.01)


# Barlow Twins


def test_barlow_twins_of_equal_white_embeddings_is_zero():
    x = white(64, 8)
    assert float(losses.barlow_twins(x, x, 1.0)) == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(losses.cross_correlation(x, x), np.eye(8), atol=1e-4)
    assert float(losses.barlow_twins(x, -x, 0.0)) == pytest.approx(4 * 8, rel=1e-4)


def test_barlow_twins_of_constant_embeddings_is_their_size():
    constant = np.ones((16, 6), "float32")
    value, slopes = value_and_gradient(losses.barlow_twins, constant, constant, dtype="float32")
    assert float(value) == pytest.approx(6) and all(np.isfinite(slope).all() for slope in slopes)


def test_barlow_twins_does_not_see_scale_and_shift():
    a, b = vectors(16, 5), vectors(16, 5, seed=1)
    scale, shift = np.array([2.0, 30.0, 5.0, 1.0, 9.0]), np.array([0.0, 4.0, -7.0, 1.0, 2.0])
    assert float(losses.barlow_twins(a * scale + shift, b)) == pytest.approx(float(losses.barlow_twins(a, b)), rel=1e-4)


def test_barlow_twins_sums_over_the_dimensions():
    twice = np.concatenate([white(64, 4)] * 2, axis=1)  # every dimension has one copy: 8 ones off the diagonal
    assert float(losses.barlow_twins(twice, twice, 0.5)) == pytest.approx(0.5 * 8, rel=1e-4)
    assert float(losses.barlow_twins(twice, twice)) == pytest.approx(0.0051 * 8, rel=1e-4)  # the paper's lambda
    assert keras_ssl.BarlowTwins(encoder(), hidden=4, dim=3).redundancy_weight == 0.0051


# VICReg


def test_vicreg_of_constant_embeddings():
    constant = np.full((16, 6), 3.0, "float32")
    value, (slope,) = value_and_gradient(
        lambda x: 25 * losses.variance_covariance(x)[0] + losses.variance_covariance(x)[1], constant, dtype="float32"
    )
    assert float(value) == pytest.approx(25 * 0.99, rel=1e-5) and np.isfinite(slope).all()
    assert float(losses.invariance(constant, constant)) == 0


def test_vicreg_of_white_embeddings_is_zero():
    variance, covariance = losses.variance_covariance(1.1 * white(64, 8))
    assert float(variance) == 0 and float(covariance) == pytest.approx(0, abs=1e-9)
    variance, covariance = losses.variance_covariance(vectors(4096, 8))
    assert float(variance) < 0.02 and float(covariance) < 0.01


def test_vicregs_branches_may_differ_in_size():
    for dim in (3, 9):
        z = 0.6 * vectors(16, dim) @ vectors(dim, dim, seed=1) / dim**0.5
        found = [float(x) for x in losses.variance_covariance(z)]
        np.testing.assert_allclose(found, [reference.variance(z), reference.covariance(z)], rtol=1e-5)
        assert min(found) > 0.01


# W-MSE


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whitened_sub_batches_have_the_identity_as_covariance(dtype):
    mixed = ops.cast(vectors(3, 20, 6) @ vectors(6, 6, seed=1) + 5, dtype)
    found = np.asarray(losses.whiten(mixed))
    for part, source in zip(found, np.asarray(mixed)):
        np.testing.assert_allclose(np.cov(part.T), np.eye(6), atol=1e-4)
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(part, reference.whiten(source.astype("float64")), atol=1e-3)


def w_mse_of_16(*views):
    return losses.w_mse(list(views), sub_batch=16)


def test_w_mse_does_not_see_lower_triangular_maps():
    a, b = vectors(32, 5), vectors(32, 5, seed=1)
    lower = np.tril(vectors(5, 5, seed=2)) + 4 * np.eye(5)
    expected = float(w_mse_of_16(a, b))
    assert 0 < expected < 4
    assert float(w_mse_of_16(a @ lower.T + 7, b)) == pytest.approx(expected, abs=1e-4)
    assert float(w_mse_of_16(a @ lower, b)) != pytest.approx(expected, abs=1e-3)  # upper: not the same
    assert float(w_mse_of_16(a, 3 * a + 1)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("batch, expected", [(12, (3, 4)), (14, (3, 4)), (15, (3, 5)), (5, (1, 5)), (3, (1, 3))])
def test_a_batch_is_split_in_equal_parts(batch, expected):
    x = vectors(batch, 2)
    found = losses.redundancy.split(ops.convert_to_tensor(x), 4)
    assert found.shape == (*expected, 2)
    np.testing.assert_array_equal(np.reshape(found, (-1, 2)), x[: expected[0] * expected[1]])
    dynamic = tf.function(
        lambda x: losses.redundancy.split(x, 4), input_signature=[tf.TensorSpec((None, 2), "float64")]
    )(x)
    np.testing.assert_array_equal(dynamic, found)


def test_sub_batches_are_drawn_and_the_same_for_all_views():
    views = [vectors(24, 3) + 0.1 * vectors(24, 3, seed=i) for i in (1, 2)]
    seed = keras.random.SeedGenerator(3)
    drawn = [float(losses.w_mse(views, sub_batch=8, seed=seed)) for _ in range(3)]
    assert len(set(drawn)) == 3 and max(drawn) < 1  # other rows in each view would give 2
    again = keras.random.SeedGenerator(3)
    assert float(losses.w_mse(views, sub_batch=8, seed=again, repeats=3)) == pytest.approx(np.mean(drawn), rel=1e-6)
    order = np.argsort(keras.random.uniform((24,), seed=keras.random.SeedGenerator(3)))
    assert drawn[0] == pytest.approx(reference.w_mse(views, np.split(order, 3)), rel=1e-4)


def test_what_cannot_be_whitened_is_refused():
    constant = np.ones((16, 3), "float32")
    with pytest.raises(ValueError, match="covariance of the embeddings is singular"):
        w_mse(constant, constant)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(w_mse)(constant, constant)
    with pytest.raises(ValueError, match="3 rows of 3 dimensions cannot be whitened"):
        w_mse(vectors(3, 3), vectors(3, 3))
    assert float(w_mse_mixed(constant, constant)) == pytest.approx(2)
    with pytest.raises(ValueError, match="sub_batch must be greater than dim"):
        keras_ssl.WMSE(encoder(), dim=8, sub_batch=8)


def test_drawn_sub_batches_of_two_replicas_are_those_of_one(two_replicas):
    views = [vectors(8, 3, seed=i) for i in range(2)]

    def seeded():
        seed = keras.random.SeedGenerator(3)

        def value_and_slopes(*x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = losses.w_mse(list(x), sub_batch=4, seed=seed)
                share = loss / distribute.replicas()
            return loss, *[tf.convert_to_tensor(slope) for slope in tape.gradient(share, x)]

        return value_and_slopes

    loss, *slopes = seeded()(*map(tf.constant, views))
    assert float(loss) != pytest.approx(float(losses.w_mse(views, sub_batch=4)), rel=0.01)  # drawn, from both halves
    with two_replicas.scope():
        (one, *one_slopes), (two, *two_slopes) = on_replicas(two_replicas, seeded(), *views)
    assert one == pytest.approx(float(loss), rel=1e-12) and two == pytest.approx(float(loss), rel=1e-12)
    for expected, *halves in zip(slopes, one_slopes, two_slopes):
        np.testing.assert_allclose(np.concatenate(halves), expected, atol=1e-10)


# The methods


def encoder(size=6):
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(size, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.Flatten()(x))


def view(seed=0, batch=8):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 8, 8, 3)).astype("float32")


def layers(head):
    return [type(layer).__name__ for layer in head.layers]


SMALL = {
    "BarlowTwins": {"hidden": 32, "dim": 16, "redundancy_weight": 0.05},
    "VICReg": {"hidden": 32, "dim": 16},
    "WMSE": {"hidden": 32, "dim": 8, "sub_batch": 32},
}


@pytest.mark.parametrize("name", SMALL)
def test_training_spreads_the_embeddings_and_lowers_the_loss(name):
    keras.utils.set_random_seed(0)
    model = getattr(keras_ssl, name)(encoder(), **SMALL[name])
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (64, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)

    def views():
        light, noise = draw.uniform(0.7, 1.3, (64, 1, 1, 3)), draw.normal(0, 20, smooth.shape)
        return (smooth * light + noise).astype("float32")

    found = [np.ravel(model.train_on_batch({"views": (views(), views())}))[0] for _ in range(60)]
    assert np.mean(found[-5:]) < 0.7 * np.mean(found[:5])
    features = model.encoder(views(), training=True)
    head = model.first.layers[-1] if name == "VICReg" else model.projector
    embeddings = np.float64(head(features, training=True))
    spread = np.linalg.eigvalsh(np.corrcoef(embeddings.T)) / embeddings.shape[1]
    assert np.exp(-np.sum(spread * np.log(spread.clip(1e-12)))) > 0.5 * embeddings.shape[1]  # the effective rank
