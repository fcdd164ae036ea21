"""VAT: arXiv 1704.03976."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl import losses
from keras_ssl.augment.random import normal
from keras_ssl.methods.semi import vat
from tests import cases, semi

CASE = semi.case(epsilon=2.0, entropy_weight=0.1, xi=0.3)


def batch(labels=semi.LABELS):
    return {"views": (semi.images(), semi.groups()), "label": labels}


def lengths(x):
    return np.sqrt(np.square(np.asarray(x, "float64").reshape(len(x), -1)).sum(axis=1))


def seeds(count):
    return np.stack([np.arange(count), np.arange(count) + 7], axis=1).astype("int32")


# The direction


def test_of_a_linear_classifier_it_is_the_first_eigenvector():
    """The curvature is W (diag p - p p') W': with two classes it has one direction, the difference of their weights."""
    draw = np.random.default_rng(0)
    kernel, x, noise = draw.normal(size=(12, 2)), draw.normal(size=(6, 12)), draw.normal(size=(6, 12))
    predict = lambda x: ops.matmul(x, kernel.astype("float32"))  # noqa: E731
    x, noise = x.astype("float32"), noise.astype("float32")
    found = np.asarray(losses.adversarial_direction(predict, x, predict(x), noise, xi=0.1))
    expected = kernel[:, 0] - kernel[:, 1]
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(np.abs(found @ expected), 1, atol=1e-3)


def test_a_flat_classifier_in_half_precision_has_a_direction_too():
    """Its divergence is about 1e-10, whose slopes by the pixels are 0 in float16."""
    draw = np.random.default_rng(0)
    kernel, x, noise = 1e-3 * draw.normal(size=(12, 2)), np.zeros((6, 12), "float32"), draw.normal(size=(6, 12))
    half = ops.convert_to_tensor(kernel.astype("float16"))
    predict = lambda x: ops.matmul(ops.cast(x, "float16"), half)  # noqa: E731
    found = np.asarray(losses.adversarial_direction(predict, x, predict(x), noise.astype("float32"), xi=0.1))
    expected = kernel[:, 0] - kernel[:, 1]
    np.testing.assert_allclose(np.abs(found @ expected) / np.linalg.norm(expected), 1, atol=0.01)


def test_more_steps_find_the_eigenvector_of_more_classes():
    draw = np.random.default_rng(1)
    kernel = draw.normal(size=(8, 5)) * np.array([3, 1, 1, 1, 1])
    x, noise = draw.normal(size=(4, 8)).astype("float32") / 4, draw.normal(size=(4, 8)).astype("float32")
    predict = lambda x: ops.matmul(x, kernel.astype("float32"))  # noqa: E731
    found = np.asarray(losses.adversarial_direction(predict, x, predict(x), noise, xi=0.01, iterations=60))
    for row, direction in zip(x, found):
        p = semi.softmax(row @ kernel)
        curvature = kernel @ (np.diag(p) - np.outer(p, p)) @ kernel.T
        expected = np.linalg.eigh(curvature)[1][:, -1]
        assert abs(direction @ expected) == pytest.approx(1, abs=0.02)


def test_the_change_has_one_length_and_is_worse_than_a_random_one():
    model = semi.make("VAT", epsilon=3.0)
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    for _ in range(15):  # a network that knows something
        model.train_on_batch(batch(np.arange(8) % 3))
    images = semi.images(48, seed=2)
    predict = lambda x: model.network(x, training=False)  # noqa: E731
    clean = predict(images)
    noise = np.asarray(normal(seeds(48), images[0].size)).reshape(images.shape)
    found = np.asarray(losses.adversarial_direction(predict, images, clean, noise, xi=0.1 * vat.PIXELS))
    np.testing.assert_allclose(lengths(found), 1, rtol=1e-5)
    length = 3.0 * vat.PIXELS
    worst = np.asarray(losses.divergence(predict(images + length * found), clean))
    other = noise / lengths(noise)[:, None, None, None]
    usual = np.asarray(losses.divergence(predict((images + length * other).astype("float32")), clean))
    assert (worst > usual).mean() > 0.95


def test_the_change_of_the_model_has_the_length_epsilon_for_each_image():
    model = semi.make("VAT", epsilon=2.5)
    images = semi.images()
    found = vat.perturbation(model, images, model.network(images, training=True), seeds(8))
    np.testing.assert_allclose(lengths(found), 2.5 * 127.5, rtol=1e-4)
    again = vat.perturbation(model, images, model.network(images, training=True), seeds(8))
    np.testing.assert_allclose(found, again, rtol=1e-3, atol=1e-3)


def test_no_gradient_flows_through_the_change():
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(5, 3)).astype("float32"))
    x, noise = np.ones((2, 5), "float32"), np.eye(2, 5, dtype="float32")
    with tf.GradientTape() as tape:
        found = losses.adversarial_direction(lambda x: x @ kernel, x, x @ kernel, noise, xi=0.01)
    assert tape.gradient(found, kernel) is None


# The method


@pytest.mark.parametrize("apart", [False, True])
def test_the_changed_passes_leave_the_statistics_alone(apart):
    model, twin = semi.make("VAT", apart=apart), semi.make("VAT")
    images = semi.images() if apart else np.concatenate([semi.images(), semi.images(16, seed=1)])
    twin.network(images, training=True)
    found = model(batch(), training=True)
    for one, other in zip(semi.moving_statistics(model.network), semi.moving_statistics(twin.network)):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert np.isfinite(found["loss"])


@pytest.mark.parametrize("apart", [False, True])
def test_the_objective_is_that_of_the_code(apart, monkeypatch):
    """With a change that is known: labeled and unlabeled images in one batch, or the unlabeled ones alone."""
    model, twin = semi.make("VAT", apart=apart, weight=0.7, entropy_weight=0.2), semi.make("VAT")
    monkeypatch.setattr(vat, "perturbation", lambda method, images, logits, seeds: 20.0 * ops.sign(images - 128.0))
    labeled, unlabeled = semi.images(), semi.images(16, seed=1)
    images = unlabeled if apart else np.concatenate([labeled, unlabeled])
    run = lambda x: np.asarray(twin.network(x, training=True), "float64")  # noqa: E731
    clean, changed = run(images), run(images + 20 * np.sign(images - 128))
    logits = run(labeled) if apart else clean[:8]
    p, q = semi.softmax(changed), semi.softmax(clean)
    unsupervised = (p * np.log(p / q)).sum(axis=1).mean()  # the changed prediction stands first
    entropy = -(q * np.log(q)).sum(axis=1).mean()
    found = model(batch(), training=True)
    assert float(found["unsupervised"]) == pytest.approx(unsupervised, rel=1e-3)
    assert float(found["entropy"]) == pytest.approx(entropy, rel=1e-5)
    expected = semi.cross_entropy(logits, semi.LABELS) + 0.7 * unsupervised + 0.2 * entropy
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("apart", [False, True])
def test_without_a_label_the_changed_images_still_train_all_weights(apart, monkeypatch):
    """Their pass leaves the state of the network alone, but its weights have the gradient of a plain pass."""
    monkeypatch.setattr(vat, "perturbation", lambda method, images, logits, seeds: 20.0 * ops.sign(images - 128.0))
    model, twin = semi.make("VAT", apart=apart, weight=1.0), semi.make("VAT")
    images = semi.images(16, seed=1) if apart else np.concatenate([semi.images(), semi.images(16, seed=1)])
    with tf.GradientTape(persistent=True) as tape:
        found = model(batch(np.full(8, -1)), training=True)["loss"]
        changed = twin.network(images + 20 * np.sign(images - 128), training=True)
        target = tf.stop_gradient(twin.network(images, training=True))
        expected = ops.mean(losses.divergence(changed, target))
    assert float(found) == pytest.approx(float(expected), rel=1e-3)
    for own, other in zip(model.network.trainable_variables, twin.network.trainable_variables):
        slope = tape.gradient(found, own.value)
        assert np.abs(slope).max() > 1e-5 or "kernel" not in own.path
        np.testing.assert_allclose(slope, tape.gradient(expected, other.value), rtol=1e-2, atol=1e-6)


def test_dropout_draws_one_mask_for_both_changed_passes():
    """And its random state moves once a step, by the pass of the images as they are."""
    inputs = keras.Input((cases.SIZE, cases.SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.5, seed=1)(inputs))
    model = cases.method_of("VAT")(keras.Model(inputs, x), classes=3)
    own = [v for v in model.encoder.variables if v.path.endswith("seed_generator_state")]
    state = lambda: [v.numpy() for v in own]  # noqa: E731
    before = state()
    model(batch(), training=True)
    assert before and all(after[1] - one[1] == 1 for one, after in zip(before, state()))
