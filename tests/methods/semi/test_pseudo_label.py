"""PseudoLabel: Lee, 2013."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases, semi

CASE = semi.case(threshold=0.3, warmup=2, momentum=0.9)


def batch(labels=semi.LABELS):
    return {"views": (semi.images(), semi.groups()), "label": labels}


def test_unlabeled_images_pass_apart_and_leave_the_statistics_alone():
    model, twin = semi.make("PseudoLabel", threshold=0.4, weight=0.7), semi.make("PseudoLabel")
    before = semi.moving_statistics(model.network)
    labeled = np.asarray(twin.network(semi.images(), training=True), "float64")
    after = semi.moving_statistics(twin.network)
    others = np.asarray(twin.network(semi.images(16, seed=1), training=True), "float64")
    found = model(batch(), training=True)
    np.testing.assert_allclose(semi.moving_statistics(model.network), after, rtol=1e-6)
    assert np.abs(np.concatenate([a - b for a, b in zip(after, before)])).max() > 1e-3

    shares = semi.softmax(others)
    certain = shares.max(axis=1) >= 0.4
    unsupervised = -(np.log(shares.max(axis=1)) * certain).mean()
    assert 0 < certain.mean() < 1 and float(found["share"]) == pytest.approx(certain.mean())
    assert float(found["unsupervised"]) == pytest.approx(unsupervised, rel=1e-5)
    expected = semi.cross_entropy(labeled, semi.LABELS) + 0.7 * unsupervised
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5)


def test_without_a_label_the_unlabeled_images_still_train_all_weights():
    """Their pass leaves the state of the network alone, but its weights have the gradient of a plain pass."""
    model, twin = semi.make("PseudoLabel", threshold=0.0), semi.make("PseudoLabel")
    with tf.GradientTape(persistent=True) as tape:
        found = model(batch(np.full(8, -1)), training=True)["loss"]
        logits = twin.network(semi.images(16, seed=1), training=True)
        expected = losses.confident_cross_entropy(logits, logits, 0.0)[0]
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    for own, other in zip(model.network.trainable_variables, twin.network.trainable_variables):
        slope = tape.gradient(found, own.value)
        assert np.abs(slope).max() > 1e-4 or "kernel" not in own.path
        np.testing.assert_allclose(slope, tape.gradient(expected, other.value), rtol=1e-3, atol=1e-6)


def test_a_probability_below_the_threshold_counts_for_nothing():
    model = semi.make("PseudoLabel")
    model.classifier.layers[0].kernel.assign(np.zeros((16, 3)))
    for p, loss in ((0.94, 0.0), (0.96, -np.log(0.96))):
        model.classifier.layers[0].bias.assign(np.log([p, (1 - p) / 2, (1 - p) / 2]))
        assert float(model(batch(), training=True)["unsupervised"]) == pytest.approx(loss, rel=1e-4)


def test_the_weight_grows_from_nothing():
    model = semi.make("PseudoLabel", threshold=0.0, weight=2.0, warmup=10)
    for step, weight in ((0, 0.0), (5, 1.0), (10, 2.0), (50, 2.0)):
        model.step.assign(step)
        found = model(batch(), training=True)
        added = float(found["loss"] - found["supervised"])
        assert added == pytest.approx(weight * float(found["unsupervised"]), rel=1e-4)


def test_a_weight_of_0_is_a_classifier_of_the_labels():
    """Step by step, that of plain Keras on the labeled images."""
    model = semi.make("PseudoLabel", weight=0.0, momentum=None)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    keras.utils.set_random_seed(0)
    encoder = cases.small_encoder()
    plain = keras.Sequential([encoder, keras.layers.Dense(3, activation="softmax")])
    plain.build((None, cases.SIZE, cases.SIZE, 3))
    plain.set_weights(model.network.get_weights())
    plain.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True)
    labels = np.arange(8) % 3
    for _ in range(2):
        model.train_on_batch(batch(labels))
        plain.train_on_batch(semi.images(), labels)
    for found, expected in zip(model.network.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_second_step_gets_all_labels():
    model = semi.make("PseudoLabel")
    predicted = model.evaluated_classifier.predict(semi.images(), verbose=0).argmax(axis=1)
    found = keras_ssl.PseudoLabel.label_all(model.evaluated_classifier, semi.images(), semi.LABELS)
    np.testing.assert_array_equal(found, np.where(semi.LABELS < 0, predicted, semi.LABELS))
    data = keras_ssl.data.arrays(semi.images(), 4)
    again = keras_ssl.PseudoLabel.label_all(model.evaluated_classifier, data.in_order(), semi.LABELS)
    np.testing.assert_array_equal(found, again)
    with pytest.raises(ValueError, match="images.in_order"):
        keras_ssl.PseudoLabel.label_all(model.evaluated_classifier, data, semi.LABELS)
    with pytest.raises(ValueError, match="one for each image"):
        keras_ssl.PseudoLabel.label_all(model.evaluated_classifier, semi.images(), semi.LABELS[:5])
