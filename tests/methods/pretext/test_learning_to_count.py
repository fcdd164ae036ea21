"""LearningToCount: arXiv 1708.06734."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import augment
from keras_ssl.methods.pretext.learning_to_count import count_loss
from tests import cases
from tests.reference import pretext as reference

CASE = cases.Case(
    {"hidden": 8, "dim": 6}, encoder=cases.padded_encoder,
    views=lambda: augment.counting(cases.SIZE, grayscale_p=0.0),
)  # fmt: skip


def plain_encoder():
    """Without batch normalization, as the paper's."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def counting(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.LearningToCount(plain_encoder(), **{"hidden": 16, "dim": 8} | options)


def views(count=4, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (count, 12, 12, 3)).astype("float32") * draw.uniform(0.1, 1, (count, 1, 1, 1))
    return quartered(x.astype("float32"))


def quartered(x):
    half = x.shape[1] // 2
    parts = np.stack([x[:, i : i + half, j : j + half] for i in (0, half) for j in (0, half)], axis=1)
    return x.reshape(-1, half, 2, half, 2, 3).mean(axis=(2, 4)), parts


# The loss


@pytest.mark.parametrize("margin", [10.0, 2.0])
def test_the_loss_is_the_loop(margin):
    draw = np.random.default_rng(0)
    given = [draw.uniform(0, scale, (5, 3)) for scale in (1.0, 1.5, 2.0)]
    with tf.GradientTape() as tape:
        x = [tf.constant(part) for part in given]
        tape.watch(x)
        found = count_loss(*x, margin)
    assert float(found["loss"]) == pytest.approx(reference.count_loss(*given, margin), rel=1e-9)
    assert float(found["loss"]) == pytest.approx(float(found["difference"] + found["hinge"]))
    for number, slope in enumerate(tape.gradient(found["loss"], x)):
        one = lambda part: reference.count_loss(*given[:number], part, *given[number + 1 :], margin)  # noqa: E731, B023
        np.testing.assert_allclose(slope, reference.gradient(one, given[number]), atol=1e-6)


def test_the_other_image_is_the_next_and_all_four_quarters_are_added():
    model, (whole, parts) = counting(), views()
    counts = np.asarray(model.counter(whole))
    total = sum(np.asarray(model.counter(parts[:, j])) for j in range(4))
    expected = reference.count_loss(counts, total, np.roll(counts, -1, axis=0), 10.0)
    outputs = model.objective([whole, parts])
    assert float(outputs["loss"]) == pytest.approx(expected, rel=1e-5)
    own, foreign = (((x - total) ** 2).sum(axis=1) for x in (counts, np.roll(counts, -1, axis=0)))
    assert float(outputs["accuracy"]) == np.mean(own < foreign)
    assert float(outputs["norm"]) == pytest.approx(np.linalg.norm(counts, axis=1).mean(), rel=1e-5)


# What the paper says


def test_counting_nothing_costs_the_margin():
    model = counting(margin=7.0)
    model.counter.layers[-1].set_weights([0 * weight for weight in model.counter.layers[-1].get_weights()])
    found = model.objective(list(views()))
    assert (float(found["loss"]), float(found["hinge"]), float(found["norm"])) == (7.0, 7.0, 0.0)
    assert float(found["accuracy"]) == 0.0


def test_counts_are_never_negative():
    found = np.asarray(counting().counter(views()[0]))
    assert found.min() == 0 and found.max() > 0


def test_without_the_hinge_nothing_is_counted():
    """A margin of next to nothing: the counts shrink. With the paper's they do not."""
    norms = {}
    for margin in (1e-9, 10.0):
        model = counting(margin=margin)
        model.compile(keras.optimizers.Adam(0.01))
        for step in range(60):
            found = model.train_on_batch({"views": views(8, seed=step)}, return_dict=True)
            model.reset_metrics()
        norms[margin] = found["norm"]
    assert norms[1e-9] < 0.05 * norms[10.0]


def test_it_counts_bright_spots():
    """Images of 0 to 16 spots: the norm follows their number."""
    draw = np.random.default_rng(0)

    def spots(count):
        numbers = draw.integers(0, 17, count)
        bright = np.stack([draw.permutation(np.arange(16) < number) for number in numbers]).reshape(-1, 4, 4)
        x = np.zeros((count, 16, 16, 3), "float32")
        for i, j in np.ndindex(2, 2):
            x[:, 1 + i :: 4, 1 + j :: 4] = 255 * bright[..., None]
        return x, numbers

    model = counting()
    model.compile(keras.optimizers.Adam(0.01))
    for _ in range(100):
        found = model.train_on_batch({"views": quartered(spots(32)[0])}, return_dict=True)
        model.reset_metrics()
    x, numbers = spots(200)
    norms = np.linalg.norm(model.counter(quartered(x)[0]), axis=1)
    ranks = [np.argsort(np.argsort(values)) for values in (norms, numbers)]
    assert np.corrcoef(ranks)[0, 1] > 0.5 and found["accuracy"] > 0.6


# Bad input


def test_parts_of_another_size_are_refused():
    whole, parts = views()
    for wrong in (parts[:, :, :5], parts[:, 0]):
        with pytest.raises(ValueError, match="takes images and their parts .* of the same size.*Received: shapes"):
            counting()({"views": (whole, wrong)}, training=True)
