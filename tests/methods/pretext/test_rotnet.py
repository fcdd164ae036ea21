"""RotNet: arXiv 1803.07728."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import augment, losses, recipes
from keras_ssl.recipes.pretext import rotnet as recipe
from tests import cases
from tests.reference import pretext as reference

CASE = cases.Case({}, views=cases.one_crop)
EIGHT = tuple(range(0, 360, 45))


def images(count=4, size=cases.SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype("float32")


def rotnet(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.RotNet(cases.any_size_encoder(), **options)


# The loss


def test_the_classification_is_the_loop():
    draw = np.random.default_rng(0)
    logits, labels = draw.normal(size=(3, 4, 5)), draw.integers(0, 5, (3, 4))
    with tf.GradientTape() as tape:
        x = tf.constant(logits)
        tape.watch(x)
        loss, accuracy = losses.classification(x, labels)
    value, gradient = reference.classification(logits.reshape(12, 5), labels.ravel())
    assert loss.dtype == tf.float64 and float(loss) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(np.reshape(tape.gradient(loss, x), (12, 5)), gradient, atol=1e-12)
    assert float(accuracy) == pytest.approx((logits.argmax(axis=-1) == labels).mean())


def test_the_classification_is_float32_inside():
    loss, accuracy = losses.classification(tf.constant([[300.0, 0.0], [0.0, 300.0]], tf.float16), [0, 0])
    assert loss.dtype == accuracy.dtype == tf.float32 and float(loss) == 150.0 and float(accuracy) == 0.5


@pytest.mark.parametrize("degrees", [(0, 90, 180, 270), (0, 180), (90, 270), (270, 90, 0)])
def test_the_loss_is_that_of_all_rotations(degrees):
    model, x = rotnet(degrees=degrees), images()
    turned = np.concatenate([np.rot90(x, angle // 90, axes=(1, 2)) for angle in degrees])  # counter-clockwise
    labels = np.repeat(np.arange(len(degrees)), len(x))
    logits = np.asarray(model.classifier(turned, training=True))
    outputs = model.objective([x])
    assert float(outputs["loss"]) == pytest.approx(reference.classification(logits, labels)[0], rel=1e-5)
    assert float(outputs["accuracy"]) == pytest.approx((logits.argmax(axis=1) == labels).mean())
    assert model.chance == 1 / len(degrees)


def test_all_rotations_of_an_image_are_in_one_batch(monkeypatch):
    model, seen = rotnet(), []
    inner = model.classifier
    monkeypatch.setattr(model, "classifier", lambda x, training: seen.append(x.shape) or inner(x, training=training))
    model.objective([images()])
    assert seen == [(16, cases.SIZE, cases.SIZE, 3)]


# What the paper says of rotations


def test_a_quarter_turn_four_times_is_nothing():
    model, x = rotnet(degrees=(90, 180)), images()
    turned = x
    for _ in range(4):
        turned = np.asarray(model.rotations(turned))[: len(x)]
    np.testing.assert_array_equal(turned, x)


def test_a_mirror_after_the_rotation_would_make_90_of_270():
    x = images()
    mirrored = rotnet().rotations(x[:, :, ::-1])
    np.testing.assert_array_equal(mirrored[12:16], np.asarray(rotnet().rotations(x))[4:8, :, ::-1])


def test_no_corner_tells_the_eight_angles():
    model = rotnet(degrees=EIGHT)
    white = np.full((2, 16, 16, 3), 255, "float32")
    found = np.asarray(model.rotations(white))
    assert found.shape == (16, 10, 10, 3)
    np.testing.assert_allclose(found, 255, rtol=1e-6)
    assert model.chance == 1 / 8 and np.isfinite(model({"views": (white,)}, training=True)["loss"])


def test_what_looks_alike_from_all_sides_stays_at_chance():
    y, x = np.indices((12, 12)) - 5.5
    discs = np.stack([255.0 * (x**2 + y**2 < r**2) for r in (2, 3, 4, 5)])[..., None].repeat(3, axis=-1)
    model = rotnet()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    for _ in range(3):
        found = model.train_on_batch({"views": (discs.astype("float32"),)}, return_dict=True)
    assert found["accuracy"] == 0.25 and found["loss"] >= np.log(4) - 1e-6


def test_it_learns_which_side_is_up():
    light = np.linspace(255, 0, cases.SIZE)[None, :, None, None]
    model = rotnet()
    model.compile(keras.optimizers.Adam(0.01))
    for step in range(25):
        x = np.clip(0.7 * light + 0.3 * images(seed=step), 0, 255).astype("float32")
        found = model.train_on_batch({"views": (x,)}, return_dict=True)
        model.reset_metrics()
    assert found["accuracy"] > 0.9


# Bad input and the recipe


@pytest.mark.parametrize("degrees", [(0,), (0, 360), (0, 30), 90, (), "0"])
def test_other_angles_are_refused(degrees):
    with pytest.raises(ValueError, match="degrees must be"):
        rotnet(degrees=degrees)


def test_views_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="crop them. Received: 12 x 10 pixels"):
        rotnet()({"views": (images()[:, :, :10],)}, training=True)
    assert np.isfinite(rotnet(degrees=(0, 180))({"views": (images()[:, :, :10],)}, training=True)["loss"])


def test_small_images_are_padded_and_mirrored_before_they_are_turned():
    (view,) = recipe.views(recipes.Run((32, 32, 3), 64, 32, 2, 1, "resnet18")).each()
    assert isinstance(view, augment.RandomCrop)
    assert (view.size, view.padding, view.flip) == (32, 4, 0.5)
