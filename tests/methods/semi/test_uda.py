"""UDA: arXiv 1904.12848."""

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases, semi
from tests.methods.semi.test_fixmatch import batch, logits_of
from tests.reference import semi as reference

CASE = semi.case(semi.three, threshold=0.3, annealing="log", steps=4, momentum=0.9)


@pytest.mark.parametrize("threshold, temperature", [(0.0, 1.0), (0.4, 0.4), (0.45, 2.0), (1.1, 0.4)])
def test_the_loss_is_the_loop(threshold, temperature):
    prediction, target = np.random.default_rng(0).normal(size=(2, 40, 5))
    with tf.GradientTape() as tape:
        x, y = tf.constant(prediction), tf.constant(target)
        tape.watch([x, y])
        loss, share = losses.confident_divergence(x, y, threshold, temperature)
    expected = reference.confident_divergence(prediction, target, threshold, temperature)
    np.testing.assert_allclose([float(loss), float(share)], expected, rtol=1e-6, atol=1e-9)
    slopes = tape.gradient(loss, [x, y])
    assert slopes[1] is None
    moved = prediction.copy()
    moved[3, 2] += 1e-5
    change = reference.confident_divergence(moved, target, threshold, temperature)[0] - expected[0]
    assert float(slopes[0][3, 2]) == pytest.approx(change / 1e-5, abs=1e-5)


def test_without_a_temperature_it_is_the_loss_of_fixmatch():
    prediction, target = np.random.default_rng(0).normal(size=(2, 40, 5)) * 3
    found = losses.confident_divergence(prediction, target, 0.6, 1e-4)
    np.testing.assert_allclose(found, losses.confident_cross_entropy(prediction, target, 0.6), rtol=1e-5)
    logits = semi.images(1)[0].reshape(-1, 3) / 60
    assert float(losses.confident_divergence(logits, logits, 0.0, 1.0)[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "schedule, first, last", [("linear", 0, 1), ("exp", np.exp(-5), 1), ("log", 0, 1 - np.exp(-5))]
)
def test_the_bound_of_the_labels_grows(schedule, first, last):
    bound = lambda step: float(losses.annealed_threshold(step, 100, 10, schedule))  # noqa: E731
    assert bound(0) == pytest.approx(first * 0.9 + 0.1, abs=1e-6)
    assert bound(100) == bound(200) == pytest.approx(last * 0.9 + 0.1, abs=1e-6)
    found = [bound(step) for step in range(0, 101, 10)]
    assert found == sorted(found)
    middle = {"linear": 0.5, "exp": np.exp(-2.5), "log": 1 - np.exp(-2.5)}[schedule]
    assert bound(50) == pytest.approx(middle * 0.9 + 0.1, rel=1e-5)


def test_labels_that_are_known_well_do_not_count():
    """The mean is over those that count, and over one at least."""
    model = semi.make("UDA", annealing="linear", steps=10)
    model.step.assign(1)  # a bound of 0.1 * 2 / 3 + 1 / 3 = 0.4
    labeled = logits_of(model, batch()["views"])[0]
    labels = np.where(semi.LABELS < 0, 0, semi.LABELS)
    own = semi.softmax(labeled)[np.arange(8), labels]
    counts = (own <= 0.4) & (semi.LABELS >= 0)
    assert 0 < counts.sum() < 7
    found = model(batch(), training=True)
    assert float(found["supervised"]) == pytest.approx(-np.log(own[counts]).mean(), rel=1e-5)
    assert float(found["counted"]) == pytest.approx(counts.sum() / (semi.LABELS >= 0).sum())
    assert float(found["loss"]) == pytest.approx(float(found["supervised"] + found["unsupervised"]), rel=1e-6)
    model.classifier.layers[0].bias.assign([50.0, -50.0, -50.0])
    assert float(model(batch(np.zeros(8, int)), training=True)["supervised"]) == 0


def test_the_objective_is_that_of_the_paper():
    model = semi.make("UDA", threshold=0.4, weight=0.7, entropy_weight=0.3)
    labeled, weak, strong = logits_of(model, batch()["views"])
    found = model(batch(), training=True)
    unsupervised, share = reference.confident_divergence(strong, weak, 0.4, 0.4)
    p = semi.softmax(weak)
    expected = semi.cross_entropy(labeled, semi.LABELS) + 0.7 * unsupervised - 0.3 * (p * np.log(p)).sum(1).mean()
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5) and float(found["share"]) == pytest.approx(share)
    assert float(found["counted"]) == 1 and 0 < share < 1


def test_annealing_needs_the_length_of_the_run():
    for options in ({"annealing": "log"}, {"steps": 5}):
        with pytest.raises(ValueError, match="steps is the length of the run for annealing"):
            keras_ssl.UDA(cases.small_encoder(), classes=3, **options)
