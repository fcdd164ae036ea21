"""FixMatch: arXiv 2001.07685; and what all semi-supervised methods share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from keras_ssl.methods.semi.classifier import labeled_cross_entropy
from tests import cases, semi
from tests.reference import semi as reference
from tests.test_distribute import on_replicas

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


def test_labels_of_one_replica_alone_are_those_of_all(two_replicas):
    logits, labels = np.random.default_rng(0).normal(size=(8, 3)), np.array([-1, -1, -1, -1, 0, 2, -1, 1])
    found = on_replicas(two_replicas, labeled_cross_entropy, logits.astype("float32"), labels)
    known = labels >= 0
    assert np.mean([loss for loss, _ in found]) == pytest.approx(semi.cross_entropy(logits, labels), rel=1e-5)
    right = (logits.argmax(axis=1) == labels)[known].mean()
    assert np.mean([accuracy for _, accuracy in found]) == pytest.approx(right)


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


@pytest.mark.parametrize("threshold", [0.8, 1.01])
def test_it_learns_what_no_labeled_image_shows(threshold):
    """Weak views show the class by a color, as labeled images do, strong ones by stripes alone, which are then known.

    Of the labels alone (with a threshold above 1) the classifier learns nothing of the stripes.
    """
    model = semi.make("FixMatch", threshold=threshold, momentum=0.5)
    model.compile(keras.optimizers.Adam(0.01))
    labels, draw = np.arange(24) % 3, np.random.default_rng(0)
    wave = 100 * np.sign(np.sin(np.arange(cases.SIZE) * np.pi / 2 + np.pi / 4))
    across = np.broadcast_to(wave, (cases.SIZE, cases.SIZE))
    stripes = (128 + np.stack([0 * across, across, across.T]))[labels][..., None] * np.ones(3)
    color = np.eye(3)[labels][:, None, None, :] * 100 + 70

    def noisy(base):
        shape = (24, cases.SIZE, cases.SIZE, 3)
        return np.clip(base + draw.normal(0, 10, shape), 0, 255).astype("float32")

    for _ in range(40):
        unlabeled = [noisy(base)[8:].reshape(8, 2, *stripes.shape[1:]) for base in (color, stripes)]
        found = model.train_on_batch({"views": (noisy(color)[:8], *unlabeled), "label": labels[:8]}, return_dict=True)
    right = model.evaluated_classifier.predict(noisy(stripes), verbose=0).argmax(axis=1) == labels
    assert found["accuracy"] == 1
    assert right.mean() > 0.9 if threshold < 1 else right.mean() < 0.7


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


def test_pixels_of_unlabeled_images_are_looked_at():
    model = semi.make("FixMatch", augment=semi.three())
    model.compile("sgd", run_eagerly=True)
    data = {"image": semi.images(), "label": semi.LABELS}
    small, broken = semi.groups() / 255, semi.groups()
    broken[3, 1, 5, 5] = np.nan
    with pytest.warns(UserWarning, match="go from 0 to 1. Pixels are expected in 0..255"):
        model.fit({**data, "unlabeled": small}, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match="Image 3 of the first batch holds NaN"):
        model.fit({**data, "unlabeled": broken}, batch_size=8, verbose=0)
    with pytest.raises(Exception, match="Image 3 of the first batch holds NaN"):
        model.fit(tf.data.Dataset.from_tensors({**data, "unlabeled": broken}), verbose=0)


def test_all_views_must_fit_the_encoder():
    model = semi.make("S4L", task="exemplar", copies=2)
    views = [semi.images(), semi.images()[:, :9], semi.groups(), semi.groups()]
    with pytest.raises(ValueError, match="View 1 of labeled images must fit the encoder"):
        model({"views": views, "label": semi.LABELS}, training=True)


def test_data_without_unlabeled_images_is_refused():
    model = semi.make("FixMatch", augment=semi.three())
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="needs the column 'unlabeled'"):
        model.fit({"image": semi.images(), "label": semi.LABELS}, verbose=0)


@pytest.mark.parametrize("options", [{"classes": 1}, {"momentum": 1.0}, {"weight": -1}, {"threshold": -0.1}])
def test_arguments_out_of_their_bounds_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        keras_ssl.FixMatch(cases.small_encoder(), **{"classes": 3, **options})
