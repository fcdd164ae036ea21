"""NCE, and the methods with a memory bank: InstDisc 1805.01978, PIRL 1912.01991, CMC 1906.05849."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl import losses
from keras_ssl.losses.contrastive import cross_entropy
from keras_ssl.methods.contrastive.instdisc import candidates
from tests.reference import losses as loops
from tests.reference import nce as reference
from tests.test_distribute import on_replicas
from tests.test_losses import value_and_gradient, vectors

SAMPLES, BATCH, SIZE = 20, 6, 8


def encoder(channels=3, units=5, size=SIZE):
    images = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(units, 3, strides=2, padding="same")(keras.layers.Rescaling(1 / 127.5, -1)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))


def make(method, encoders=encoder, seed=0, learning_rate=0.1, **options):
    keras.utils.set_random_seed(seed)
    options = {"samples": SAMPLES, "dim": 4, "negatives": 3, "temperature": 0.5} | options
    model = getattr(keras_ssl, method)(encoders(), **options)
    model.compile(optimizer=keras.optimizers.SGD(learning_rate), run_eagerly=True)
    return model


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


def view(channels=3, seed=0):
    return pixels(BATCH, SIZE, SIZE, channels, seed=seed)


INDEX = np.array([3, 0, 19, 7, 4, 11], "int32")


def step(model, *views, index=INDEX):
    return float(model.train_on_batch({"views": views, "index": index}))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# The losses


@pytest.mark.parametrize("batch, count, size, log_z", [(1, 1, 1, 0.0), (4, 3, 10, 2.0), (3, 8, 5, -1.0)])
def test_nce(batch, count, size, log_z):
    logits = vectors(batch, 1 + count) * 2
    value, (slope,) = value_and_gradient(lambda x: losses.nce(x, log_z, size), logits)
    assert value == pytest.approx(reference.nce(logits, np.exp(log_z), size), rel=1e-5)
    expected = loops.gradient(lambda x: reference.nce(x, np.exp(log_z), size), logits)
    np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_z_gets_no_gradient_and_a_constant_on_all_logits_changes_nce_alone():
    logits = ops.cast(vectors(4, 6), "float32")
    _, (slope,) = value_and_gradient(lambda z: losses.nce(logits, z, 10) + 0 * z, np.array(1.0))
    assert slope == 0
    nce, softmax = (lambda x: losses.nce(x, 2.0, 10)), (lambda x: cross_entropy(x, ops.zeros((4,), "int32")))
    (a, slope_a), (b, slope_b) = (value_and_gradient(softmax, x) for x in (logits, logits + 1))
    assert a == pytest.approx(b, rel=1e-6) and np.allclose(slope_a, slope_b, atol=1e-6)
    (a, slope_a), (b, slope_b) = (value_and_gradient(nce, x) for x in (logits, logits + 1))
    assert abs(a - b) > 0.1 and not np.allclose(slope_a, slope_b, atol=1e-3)


def test_at_high_temperatures_every_candidate_is_as_likely_true_as_one_of_all():
    logits = losses.similarities(vectors(4, 5), unit(vectors(4, 8, 5, seed=1)), temperature=1e6)
    log_z = losses.log_normalizer(logits, 30)
    assert float(log_z) == pytest.approx(np.log(30), abs=1e-4)
    assert float(losses.nce(logits, log_z, 30)) == pytest.approx(np.log(8) + 7 * np.log(8 / 7), rel=1e-4)


def test_nce_survives_extreme_temperatures():
    a = vectors(3, 4)
    bank = unit(np.stack([a, -a, a], axis=1))

    def loss(x):
        logits = losses.similarities(x, bank, temperature=0.01)
        return losses.nce(logits, losses.log_normalizer(logits, 1000), 1000)

    value, (slope,) = value_and_gradient(loss, a)
    assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.parametrize("shared", [False, True])
def test_similarities(shared):
    queries, entries = vectors(4, 5), unit(vectors(*([7, 5] if shared else [4, 7, 5]), seed=1))
    weights = vectors(4, 7, seed=2)

    def scalar(function):
        return lambda q, c: ops.sum(ops.cast(weights, "float32") * function(q, c, 0.3))

    value, (slope, stopped) = value_and_gradient(scalar(losses.similarities), queries, entries)

    def expected(q):
        return np.sum(weights * reference.similarities(q, entries, 0.3))

    assert value == pytest.approx(expected(queries), rel=1e-5)
    np.testing.assert_allclose(slope, loops.gradient(expected, queries), atol=1e-4)
    assert stopped is None


@pytest.mark.parametrize("shared", [False, True])
def test_similarities_of_several_queries_are_those_of_each(shared):
    queries, entries = vectors(4, 2, 5), unit(vectors(*([7, 5] if shared else [4, 7, 5]), seed=1))
    both = losses.similarities(queries, entries, 0.3)
    assert both.shape == (4, 2, 7)
    for number in range(2):
        np.testing.assert_allclose(both[:, number], reference.similarities(queries[:, number], entries, 0.3), atol=1e-6)


def test_z_is_that_of_all_replicas(two_replicas):
    logits = vectors(6, 4).astype("float32")
    expected = np.log(reference.normalizer(logits, 50))
    assert float(losses.log_normalizer(logits, 50)) == pytest.approx(expected, rel=1e-5)
    for found in on_replicas(two_replicas, lambda x: losses.log_normalizer(x, 50), logits):
        assert float(found) == pytest.approx(expected, rel=1e-5)


# The noise


def draw(generator, index, count=4000, size=SAMPLES):
    return np.asarray(candidates(ops.convert_to_tensor(index), generator, count, size))


def next_noise(model):
    """What the next step will draw, without drawing it."""
    generator = keras.random.SeedGenerator(0)
    generator.state.assign(model.noise.state)
    return draw(generator, INDEX, model.negatives)


def test_noise_is_uniform_and_behind_the_image_itself():
    rows = draw(keras.random.SeedGenerator(1), INDEX)
    np.testing.assert_array_equal(rows[:, 0], INDEX)
    counts = np.bincount(rows[:, 1:].ravel(), minlength=SAMPLES)
    assert len(counts) == SAMPLES
    mean = counts.sum() / SAMPLES
    assert ((counts - mean) ** 2 / mean).sum() < 44  # chi-square of 19 degrees of freedom: 1 in 1,000 above
    same = np.mean(rows[0, 1:] == rows[1, 1:])
    assert same == pytest.approx(1 / SAMPLES, abs=0.02)  # the images' draws are independent


def test_noise_depends_on_run_step_and_image_and_on_nothing_else(two_replicas):
    generator = keras.random.SeedGenerator(1)
    first, second = draw(generator, INDEX, 400), draw(generator, INDEX, 400)
    assert np.mean(first[:, 1:] == second[:, 1:]) < 0.1
    assert np.mean(first[:, 1:] == draw(keras.random.SeedGenerator(2), INDEX, 400)[:, 1:]) < 0.1
    again = keras.random.SeedGenerator(1)
    np.testing.assert_array_equal(draw(again, INDEX[::-1].copy(), 400)[::-1], first)
    np.testing.assert_array_equal(draw(again, INDEX[2:4], 400), second[2:4])

    with two_replicas.scope():
        shared = keras.random.SeedGenerator(1)
    for expected in (first, second):
        found = on_replicas(two_replicas, lambda index: candidates(index, shared, 400, SAMPLES), INDEX)
        np.testing.assert_array_equal(np.concatenate(found), expected)


# The methods


@pytest.mark.parametrize("bad", [{"samples": None}, {"samples": 0}, {"negatives": -1}, {"negatives": 2.5}])
@pytest.mark.parametrize("method", ["InstDisc", "PIRL", "CMC"])
def test_wrong_arguments_are_refused(method, bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
        make(method, (lambda: [encoder(1), encoder(2)]) if method == "CMC" else encoder, **bad)
