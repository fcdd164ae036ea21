"""FixMatch: arXiv 2001.07685; and what all semi-supervised methods share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases, semi
from tests.reference import semi as reference

CASE = semi.case(semi.three, threshold=0.3, weight=0.5, momentum=0.9)


def batch(labels=semi.LABELS):
    return {"views": (semi.images(), semi.groups(seed=1), semi.groups(seed=2)), "label": labels}


def logits_of(model, views):
    """Of labeled images, weak and strong views, in one batch."""
    joined = np.concatenate([views[0], *(view.reshape(-1, *view.shape[2:]) for view in views[1:])])
    found = np.asarray(model.network(joined, training=True), "float64")
    return found[:8], *np.split(found[8:], 2)


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.45, 2.0])
def test_the_loss_is_the_loop(threshold):
    draw = np.random.default_rng(0)
    prediction, target = draw.normal(size=(2, 40, 5))
    with tf.GradientTape() as tape:
        x, y = tf.constant(prediction), tf.constant(target)
        tape.watch([x, y])
        loss, share = losses.confident_cross_entropy(x, y, threshold)
    expected = reference.confident_cross_entropy(prediction, target, threshold)
    np.testing.assert_allclose([float(loss), float(share)], expected, rtol=1e-6)
    slopes = tape.gradient(loss, [x, y])
    assert slopes[1] is None  # the prediction for the weak view is told, not trained
    for row, step in ((3, 1e-5), (7, 1e-5)):
        moved = prediction.copy()
        moved[row, 2] += step
        change = reference.confident_cross_entropy(moved, target, threshold)[0] - expected[0]
        assert float(slopes[0][row, 2]) == pytest.approx(change / step, abs=1e-5)


def test_the_objective_is_that_of_the_paper():
    model = semi.make("FixMatch", threshold=0.4, weight=0.7)
    labeled, weak, strong = logits_of(model, batch()["views"])
    found = model(batch(), training=True)
    unsupervised, share = reference.confident_cross_entropy(strong, weak, 0.4)
    supervised = semi.cross_entropy(labeled, semi.LABELS)
    assert 0 < share < 1
    assert float(found["share"]) == pytest.approx(share)
    assert float(found["supervised"]) == pytest.approx(supervised, rel=1e-5)
    assert float(found["unsupervised"]) == pytest.approx(unsupervised, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(supervised + 0.7 * unsupervised, rel=1e-5)
    known = semi.LABELS >= 0
    assert float(found["accuracy"]) == pytest.approx((labeled.argmax(1) == semi.LABELS)[known].mean())


def test_a_threshold_above_1_learns_the_labels_alone():
    model = semi.make("FixMatch", threshold=1.01)
    found = model(batch(), training=True)
    assert float(found["loss"]) == float(found["supervised"]) and float(found["share"]) == 0


def test_without_a_label_the_unlabeled_images_still_train_the_encoder():
    model = semi.make("FixMatch", threshold=0.0)
    with tf.GradientTape() as tape:
        found = model(batch(np.full(8, -1)), training=True)
    slope = tape.gradient(found["loss"], model.encoder.trainable_variables[0].value)
    assert float(found["supervised"]) == 0 and float(found["accuracy"]) == 0
    assert np.abs(slope).max() > 0


def test_the_average_is_what_is_evaluated():
    """Its weights follow, and it runs with the network's own statistics."""
    model = semi.make("FixMatch", threshold=0.3, momentum=0.9)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    kernel = lambda network: network.get_layer(model.encoder.name).weights[0].numpy()  # noqa: E731
    average = kernel(model.average)
    for _ in range(3):
        model.train_on_batch(batch())
        average = 0.9 * average + 0.1 * kernel(model.network)
    np.testing.assert_allclose(kernel(model.average), average, rtol=1e-5)
    np.testing.assert_array_equal(semi.moving_statistics(model.average), semi.moving_statistics(model.network))
    assert np.abs(kernel(model.average) - kernel(model.network)).max() > 1e-5
    assert model.evaluated_classifier is model.average and not model.average.trainable_variables
    features = model.predict(semi.images(), verbose=0)
    logits = model.average.get_layer("classifier")(features)
    np.testing.assert_allclose(model.evaluated_classifier.predict(semi.images(), verbose=0), logits, atol=1e-5)
    plain = semi.make("FixMatch", momentum=None)
    assert plain.evaluated_classifier is plain.network and plain.evaluated_encoder is plain.encoder


def test_the_last_layer_starts_as_in_the_code():
    layer = semi.make("FixMatch").classifier.layers[0]
    assert layer.use_bias and isinstance(layer.kernel_initializer, keras.initializers.GlorotNormal)


def test_it_learns_classes_that_no_label_shows():
    """Colors: one labeled image of each of three, which all labeled images are; the others have noise."""
    model = semi.make("FixMatch", threshold=0.8, momentum=0.5)
    model.compile(keras.optimizers.Adam(0.01))
    draw = np.random.default_rng(0)
    light = np.eye(3)[np.arange(8) % 3][:, None, None, :] * 100 + 70

    def noisy(base, noise):
        return np.clip(base + draw.normal(0, noise, base.shape), 0, 255).astype("float32")

    base = np.tile(light, (1, cases.SIZE, cases.SIZE, 1))
    for _ in range(40):
        others = np.stack([base] * semi.RATIO, axis=1)
        views = (noisy(base, 5), noisy(others, 20), noisy(others, 60))
        found = model.train_on_batch({"views": views, "label": np.arange(8) % 3}, return_dict=True)
    logits = model.evaluated_classifier.predict(noisy(base, 60), verbose=0)
    assert (logits.argmax(axis=1) == np.arange(8) % 3).all() and found["share"] > 0.3


# Bad input


def test_other_views_are_refused():
    model = semi.make("FixMatch")
    with pytest.raises(ValueError, match="FixMatch takes 3 views of each sample. Received: 2"):
        model({"views": batch()["views"][:2], "label": semi.LABELS}, training=True)
    with pytest.raises(ValueError, match=r"must have the shape \(batch, ratio"):
        model({"views": (semi.images(),) * 3, "label": semi.LABELS}, training=True)


def test_labels_from_minus_1_to_the_last_class_are_taken():
    model = semi.make("FixMatch", augment=semi.three())
    model.compile("sgd", run_eagerly=True)
    data = {"image": semi.images(), "unlabeled": semi.groups(), "label": semi.LABELS}
    model.fit(data, batch_size=8, verbose=0)
    for label in (-2, 3):
        wrong = data | {"label": np.full(8, label)}
        with pytest.raises(ValueError, match=f"from 0 to 2, or -1 where there is none.*Received: {label}"):
            model.fit(wrong, verbose=0)
        with pytest.raises(Exception, match=f"from 0 to 2, or -1 where there is none.*Received: {label}"):
            model.fit(tf.data.Dataset.from_tensors(wrong), verbose=0)


def test_data_without_unlabeled_images_is_refused():
    model = semi.make("FixMatch", augment=semi.three())
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="needs the column 'unlabeled'"):
        model.fit({"image": semi.images(), "label": semi.LABELS}, verbose=0)


@pytest.mark.parametrize("options", [{"classes": 1}, {"momentum": 1.0}, {"weight": -1}, {"threshold": -0.1}])
def test_arguments_out_of_their_bounds_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        keras_ssl.FixMatch(cases.small_encoder(), **{"classes": 3, **options})
