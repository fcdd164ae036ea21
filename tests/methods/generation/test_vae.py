"""VAE: arXiv 1312.6114."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.methods.generation.test_autoencoder import images, small
from tests.reference import generation as reference
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors


def slow():
    """The error is a sum over the pixels."""
    return keras.optimizers.SGD(2e-4, momentum=0.9)


CASE = cases.Case({"width": 4, "dim": 6}, views=cases.one_crop, optimizer=slow)


# The divergence


def test_the_divergence_is_the_integral_and_so_is_its_gradient():
    mean, log_variance = 0.7 * vectors(2, 3), 0.5 * vectors(2, 3, seed=1)
    value, slopes = value_and_gradient(lambda m, v: tf.reduce_sum(losses.kl_from_normal(m, v)), mean, log_variance)

    def loop(mean, log_variance):
        return sum(reference.divergence(m, v) for m, v in zip(mean, log_variance))

    assert float(value) == pytest.approx(loop(mean, log_variance), rel=1e-6)
    np.testing.assert_allclose(slopes[0], gradient(lambda m: loop(m, log_variance), mean), atol=1e-5)
    np.testing.assert_allclose(slopes[1], gradient(lambda v: loop(mean, v), log_variance), atol=1e-5)


def test_the_divergence_is_that_of_many_draws():
    mean, log_variance = np.array([0.8, -0.3, 0.0]), np.array([-1.0, 0.4, 0.0])
    draws = np.random.default_rng(0).normal(size=(400_000, 3))
    z = mean + np.exp(log_variance / 2) * draws
    log_ratio = -0.5 * draws**2 - log_variance / 2 + 0.5 * z**2
    found = float(losses.kl_from_normal(mean[None], log_variance[None])[0])
    assert found == pytest.approx(log_ratio.sum(axis=1).mean(), rel=0.02)


def test_the_divergence_is_float32_inside():
    low = tf.constant(vectors(2, 3), "bfloat16")
    assert losses.kl_from_normal(low, low).dtype == tf.float32


# The method


def outputs_and_parts(model, x):
    """The outputs, and the mean, the logarithm of the variance, the code and the image that they are made of."""
    seen, decoder = [], model.decoder

    def decode(code, training):
        seen.append((np.asarray(code), decoder(code, training=training)))
        return seen[-1][1]

    model.decoder = decode
    outputs = model({"views": (x,)}, training=True)
    mean, log_variance = (np.float64(part) for part in model.posterior(x, training=True))
    return outputs, mean, log_variance, *seen[0]


@pytest.mark.parametrize("name, beta", [("VAE", 1.0), ("BetaVAE", 3.0)])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_loss_is_the_papers(name, beta, likelihood):
    options = {"beta": beta} if name == "BetaVAE" else {}
    model, x = small(name, dim=6, likelihood=likelihood, deviation=0.5, **options), images()
    outputs, mean, log_variance, code, prediction = outputs_and_parts(model, x)
    if likelihood == "gaussian":
        errors = [reference.gaussian_error(p, image, 0.5) for p, image in zip(prediction, x)]
    else:
        errors = [reference.bernoulli_error(p, image) for p, image in zip(prediction, x)]
    divergence = np.mean([reference.divergence(m, v) for m, v in zip(mean, log_variance)])
    assert float(outputs["error"]) == pytest.approx(np.mean(errors), rel=1e-4)
    assert float(outputs["divergence"]) == pytest.approx(divergence, rel=1e-3)
    assert float(outputs["loss"]) == pytest.approx(np.mean(errors) + beta * divergence, rel=1e-4)


def test_codes_are_drawn_from_the_encoders_distribution():
    model, x = small("VAE", dim=400), images(8)
    _, mean, log_variance, code, _ = outputs_and_parts(model, x)
    noise = (code - mean) / np.exp(log_variance / 2)
    assert noise.mean() == pytest.approx(0, abs=0.06) and noise.std() == pytest.approx(1, abs=0.06)
    other = outputs_and_parts(model, x)[3]
    assert np.abs(code - other).mean() > 0.1


def test_the_gradient_flows_through_the_draw():
    """The error alone moves mean and variance."""
    model, x = small("VAE", dim=6), images()
    model.beta = 0.0
    weights = [*model.mean_head.trainable_variables, *model.variance_head.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([weight.value for weight in weights])
        loss = model({"views": (x,)}, training=True)["loss"]
    assert all(np.abs(slope).max() > 0 for slope in tape.gradient(loss, [weight.value for weight in weights]))


def test_variances_stay_within_their_bounds():
    model, x = small("VAE", dim=6), images()
    for sign in (1, -1):
        model.variance_head.weights[1].assign(np.full(6, 1e4 * sign))
        assert set(np.ravel(model.posterior(x)[1])) == {10.0 * sign}
        assert np.isfinite(model({"views": (x,)}, training=True)["loss"])


def test_the_means_are_what_is_evaluated():
    model, x = small("VAE", dim=6), images()
    np.testing.assert_allclose(model.predict(x, verbose=0), model.posterior(x)[0], atol=1e-5)
    assert model.evaluated_encoder.output_shape == (None, 6)


@functools.cache
def trained(**options):
    keras.utils.set_random_seed(0)
    model, x = keras_ssl.BetaVAE(cases.small_encoder(), width=8, dim=6, **options), images(32)
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    history = model.fit({"views": (x,)}, batch_size=32, epochs=60, verbose=0).history
    return model, history


def test_draws_from_the_standard_normal_are_different_images_after_training():
    model, history = trained(beta=1.0)
    assert history["divergence"][-1] > 1
    drawn = model.sample(16)
    assert drawn.shape == (16, 12, 12, 3) and drawn.std(axis=0).mean() > 5 and drawn[0].std() > 5
    np.testing.assert_array_equal(drawn, model.sample(16))
    assert np.abs(drawn - model.sample(16, seed=1)).mean() > 1


def test_a_larger_beta_keeps_less():
    few, many = (trained(beta=beta)[1]["divergence"][-1] for beta in (200.0, 1.0))
    assert few < 0.5 * many


def test_pictures_show_draws_too():
    columns = small("VAE", dim=6).pictures(images())
    assert list(columns) == ["image", "reconstruction", "drawn"]
    assert {x.shape for x in columns.values()} == {(4, 12, 12, 3)}
