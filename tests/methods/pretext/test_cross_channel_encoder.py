"""Cross-channel encoder: arXiv 1611.09842."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.augment import ab_bins
from keras_ssl.augment.image.gamut import lab, rgb_of_lab
from tests import cases
from tests.reference import colors as reference


def of_colors():
    return cases.small_encoder(channels=2)


CASE = cases.Case({"width": 4}, encoder=of_colors, views=cases.one_crop)


def small(channels=2, **options):
    keras.utils.set_random_seed(0)
    return keras_ssl.CrossChannelEncoder(cases.small_encoder(channels=channels), **{"width": 4} | options)


def images(count=4):
    return cases.images(count).astype("float32")


def planes(x):
    found = lab(x.reshape(-1, 3)).reshape(*x.shape)
    return found[..., :1], found[..., 1:]


def loss_of(model, x):
    return float(model({"views": (x,)}, training=True)["loss"])


def test_from_the_lightness_it_tells_colors():
    model, x = small(1), images()
    lightness, colors = planes(x)
    logits = model.told(2.55 * lightness, training=True)
    assert logits.shape == (4, 3, 3, 313)
    expected = reference.cross_entropy(logits, colors[:, ::4, ::4], ab_bins(), np.ones(313), 10, 5.0)
    assert loss_of(model, x) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("bins", [100, 7])
def test_from_the_colors_it_tells_the_step_of_the_lightness(bins):
    model, x = small(2, lightness_bins=bins), images()
    x[0], x[1] = 0, 255  # the first and the last step
    lightness, colors = planes(x)
    logits = np.float64(model.told(colors + 128, training=True))
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    target = np.minimum((lightness[:, ::4, ::4, 0] * bins / 100).astype(int), bins - 1)
    assert set(np.ravel(target[:2])) == {0, bins - 1}
    expected = -np.mean(np.take_along_axis(log_p, target[..., None], axis=-1))
    assert loss_of(model, x) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("channels, range", [(1, 110), (2, 100)])
def test_values_are_told_by_the_squared_error(channels, range):
    model, x = small(channels, target="values"), images()
    lightness, colors = planes(x)
    seen, other = (2.55 * lightness, colors) if channels == 1 else (colors + 128, lightness)
    expected = np.mean((np.float64(model.told(seen, training=True)) - other[:, ::4, ::4] / range) ** 2)
    assert loss_of(model, x) == pytest.approx(expected, rel=1e-4)


def plain_planes():
    """Lightness and colors of images of one color each, all of which are in the gamut."""
    draw, ones = np.random.default_rng(0), np.ones((4, 12, 12, 1))
    return draw.uniform(40, 70, (4, 1, 1, 1)) * ones, draw.uniform(-15, 15, (4, 1, 1, 2)) * ones


@pytest.mark.parametrize("channels", [1, 2])
def test_it_does_not_see_what_it_tells(channels):
    model, (lightness, colors) = small(channels), plain_planes()

    def features(*parts):
        return model.predict(np.asarray(rgb_of_lab(np.concatenate(parts, axis=-1))), verbose=0)

    whole, others = features(lightness, colors), [features(lightness[::-1], colors), features(lightness, colors[::-1])]
    told, seen = others if channels == 2 else others[::-1]
    np.testing.assert_allclose(told, whole, atol=1e-3)
    assert np.abs(seen - whole).max() > 0.02


def test_the_target_has_no_gradient_and_the_pixels_have_one_through_the_encoder_only():
    model, x = small(2), tf.constant(images())
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = model({"views": (x,)}, training=True)["loss"]
    slope = tape.gradient(loss, x).numpy()
    assert np.abs(slope).max() > 0
    for layer in model.network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(0 * layer.kernel)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = model({"views": (x,)}, training=True)["loss"]
    assert not np.any(tape.gradient(loss, x))
