"""MaskFeat: arXiv 2112.09133."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, losses
from tests import cases


def large_crop():
    return keras_ssl.augment.mask_feat(cases.SIZE)


CASE = cases.Case({}, encoder=cases.vit_of_one_size, views=large_crop)

SIZE, PATCH = 16, 4


def vit(**options):
    options = {"width": 16, "depth": 2, "heads": 2, "positions": "learned"} | options
    return encoders.vit((SIZE, SIZE, 3), PATCH, **options)


def make(**options):
    encoder = options.pop("encoder", None) or vit()
    model = keras_ssl.MaskFeat(encoder, **options)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def pixels(count=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3)).astype("float64")


def fix_masks(model, count=3):
    masks = model.mask(np.zeros((count, 1)), np.stack([np.arange(count), np.zeros(count)], 1)).numpy()
    model.mask = lambda images, seeds, **options: masks
    return masks


def hog(image, patch, cells, bins):
    """Of one image, pixel by pixel: `(patches, cells * cells * channels * bins)`."""
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)], mode="reflect")
    height, width, channels = image.shape
    side, grid = patch // cells, (height // patch, width // patch)
    window = np.array([[np.exp(-((i - (patch - 1) / 2) ** 2 + (j - (patch - 1) / 2) ** 2) / (2 * (patch / 2) ** 2))
                        for j in range(patch)] for i in range(patch)])  # fmt: skip
    window /= window.sum()
    found = np.zeros((*grid, cells, cells, channels, bins))
    sobel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    for i, j, c in np.ndindex(*image.shape):
        around = padded[i : i + 3, j : j + 3, c]
        across, down = np.sum(sobel * around), np.sum(sobel.T * around)
        length = np.hypot(across, down) * window[i % patch, j % patch]
        part = int(np.floor(np.arctan2(across, down) / np.pi * bins)) % bins
        found[i // patch, j // patch, i % patch // side, j % patch // side, c, part] += length
    norm = np.sqrt(np.sum(found**2, axis=-1, keepdims=True))
    return (found / np.where(norm > 0, norm, 1)).reshape(grid[0] * grid[1], -1)


# The target


@pytest.mark.parametrize("cells, bins", [(2, 9), (1, 7), (4, 5)])
def test_targets_are_the_loop(cells, bins):
    model, x = make(cells=cells, bins=bins), pixels(2)
    found = model.targets(x)
    assert found.shape == (2, 16, cells**2 * 3 * bins)
    for image, target in zip(x, found):
        np.testing.assert_allclose(target, hog(image, PATCH, cells, bins), atol=1e-3)


def test_targets_do_not_see_the_contrast_of_a_channel():
    model, x = make(), pixels()
    np.testing.assert_allclose(model.targets(x * [0.2, 0.5, 1.0] + [9, 3, 0]), model.targets(x), atol=1e-4)


def test_a_ramp_fills_one_direction():
    ramp = np.zeros((1, SIZE, SIZE, 3)) + 10.0 * np.arange(SIZE)[:, None]
    found = make().targets(ramp).numpy().reshape(4, 4, 2, 2, 3, 9)
    inner = found[1:3, 1:3]
    assert np.all(inner.max(axis=-1) > 0.999) and np.all((inner > 1e-6).sum(axis=-1) == 1)
    assert len(set(inner.argmax(axis=-1).ravel())) == 1


def test_the_window_weighs_the_middle_of_a_patch():
    x = pixels(1)
    (plain,), (weighted,) = (losses.histograms_of_gradients(x, (PATCH,), window=w) for w in (None, PATCH))
    assert np.abs(plain - weighted).max() > 1e-3
    for window in (1, None):  # of one pixel it is equal everywhere
        np.testing.assert_allclose(losses.histograms_of_gradients(x, (PATCH,), window=window)[0], plain, atol=1e-6)


def test_a_patch_of_the_paper_has_108_numbers():
    model = keras_ssl.MaskFeat(encoders.vit((32, 32, 3), 16, width=8, depth=1, heads=1))
    assert model.head.units == 108 and model.mask.masked == 2


# The loss


@pytest.mark.parametrize("options", [{}, {"class_token": False, "pooling": "mean"}])
def test_the_loss_is_the_papers(options):
    model, x = make(encoder=vit(**options)), pixels()
    masks = fix_masks(model)
    guess = np.float64(model.predictions(x.astype("float32"), masks))
    target = np.stack([hog(image, PATCH, 2, 9) for image in x])
    expected = np.mean(np.mean((guess - target) ** 2, axis=-1)[masks.reshape(3, 16)])
    assert float(model({"views": [x.astype("float32")]}, training=True)["loss"]) == pytest.approx(expected, rel=1e-3)


def test_blocks_are_hidden_as_many_as_asked_for():
    model = keras_ssl.MaskFeat(encoders.vit((224, 224, 3), 16, width=8, depth=1, heads=1))
    masks = model.mask(np.zeros((20, 1)), np.stack([np.arange(20), np.zeros(20)], 1)).numpy()
    assert (masks.sum(axis=(1, 2)) == 78).all() and len(np.unique(masks, axis=0)) == 20
    alone = masks & ~np.roll(masks, 1, 1) & ~np.roll(masks, -1, 1) & ~np.roll(masks, 1, 2) & ~np.roll(masks, -1, 2)
    assert alone.sum() < 5  # blocks


def test_hidden_pixels_have_no_influence():
    model, x = make(), pixels().astype("float32")
    masks = fix_masks(model)
    hidden = masks.repeat(PATCH, 1).repeat(PATCH, 2)[..., None]
    noise = np.where(hidden, pixels(seed=1), x).astype("float32")
    np.testing.assert_array_equal(model.predictions(x, masks), model.predictions(noise, masks))
    seen = np.where(hidden, x, pixels(seed=1)).astype("float32")
    assert np.abs(model.predictions(x, masks) - model.predictions(seen, masks)).max() > 1e-5


def test_predictions_of_visible_patches_get_no_gradient():
    model, x = make(), pixels().astype("float32")
    masks = fix_masks(model).reshape(3, 16)
    guess = tf.Variable(np.random.default_rng(1).normal(size=(3, 16, 108)).astype("float32"))
    model.predictions = lambda images, masks: tf.convert_to_tensor(guess)
    with tf.GradientTape() as tape:
        loss = model.objective([x])
    slope = np.abs(tape.gradient(loss, guess))
    assert (slope[~masks] == 0).all() and (slope[masks] > 0).mean() > 0.99


@pytest.mark.parametrize("options, message", [
    ({"cells": 3}, "cells must divide the encoder's patch of 4 pixels. Received: cells=3"),
    ({"ratio": 1.0}, "ratio must be a float above 0 and below 1"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
