"""LocalMIM, arXiv 2303.05251: histograms of gradients, cells of several sizes, decoders at several depths."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, losses
from keras_ssl.methods.masked import local_mim
from tests import cases
from tests.methods.masked.test_mae import images, ramps, randomize, some_masks
from tests.reference import reconstruction as reference

CASE = cases.Case(
    {"taps": (1, 2), "scales": (2, 1 / 3), "width": 16, "heads": 2},
    encoder=cases.vit_of_one_size, views=cases.masked_patches,
)

SCALES = (4, 2, 1, 0.5)


def vit(size=16, **options):
    return encoders.vit((size, size, 3), **({"patch": 4, "width": 8, "depth": 8, "heads": 2} | options))


def make(encoder=None, **options):
    model = keras_ssl.LocalMIM(encoder or vit(), **({"width": 8, "heads": 2} | options))
    randomize(model)
    model.compile(optimizer=keras.optimizers.Adam(5e-3), run_eagerly=True)
    return model


def fix_masks(model, batch=3):
    masks = some_masks(model, batch)
    model.mask.call = lambda images, seeds, **options: masks
    return masks.numpy()


@pytest.mark.parametrize("bins", [9, 18])
def test_histograms_are_the_loops(bins):
    pixels = images(2, 12)[..., :2]
    found = local_mim.histograms_of_gradients(pixels, (2, 4, 6), bins)
    for cell, histograms in zip((2, 4, 6), found):
        expected = [reference.histogram_of_gradients(image, cell, bins) for image in pixels]
        np.testing.assert_allclose(histograms, expected, atol=1e-4)


def test_the_papers_sizes():
    pixels = np.zeros((1, 224, 224, 3), "uint8")
    found = local_mim.histograms_of_gradients(pixels, (4, 8, 16, 32))
    assert [x.shape for x in found] == [(1, side**2, 27) for side in (56, 28, 14, 7)]
    model = keras_ssl.LocalMIM(encoders.vit((224, 224, 3), width=8, depth=12, heads=2))
    assert model.terms == ("block2", "block4", "block10", "block12") and model.cells == [4, 8, 16, 32]
    shapes = [head.output_shape for head in model.heads_of_taps]
    assert shapes == [(None, side**2, 27) for side in (56, 28, 14, 7)]


@pytest.mark.parametrize("turn, part", [(0, 4), (1, 0), (2, 4), (3, 0)])
def test_a_ramp_has_one_direction_at_any_contrast(turn, part):
    ramp = np.rot90(np.tile(np.arange(16) * 10, (16, 1)), turn)[None, 2:-2, 2:-2, None]
    for contrast in (1, 0.1):
        (found,) = local_mim.histograms_of_gradients(ramp * contrast, (4,))
        inside = found[0, 4]  # the cell in the middle
        np.testing.assert_allclose(inside, np.arange(9) == part, atol=1e-6)


def test_rounding_errors_have_no_direction():
    flat = 100 + np.random.default_rng(0).normal(size=(2, 8, 8, 3)) * 1e-4
    np.testing.assert_array_equal(local_mim.histograms_of_gradients(flat, (4,))[0], 0)


@pytest.mark.parametrize("scale", SCALES)
def test_masks_of_cells_are_repeated_or_averaged(scale):
    masks = np.random.default_rng(0).uniform(size=(3, 4, 6)) < 0.6
    found = local_mim.rescaled_mask(tf.constant(masks), scale)
    np.testing.assert_allclose(found, [reference.parts_hidden(mask, scale) for mask in masks])


@pytest.mark.parametrize("bins", [9, None])
def test_the_loss_is_the_sum_of_its_taps(bins):
    model = make(bins=bins)
    masks, pixels = fix_masks(model), images(3, 16)
    found = {name: float(value) for name, value in model({"views": [pixels]}, training=True).items()}
    standard = np.asarray(losses.standard_pixels(pixels))
    predictions = model.predictions(tf.constant(pixels), tf.constant(masks))
    total = 0.0
    for name, prediction, scale in zip(("block2", "block4", "block6", "block8"), predictions, SCALES):
        cell = int(4 / scale)
        if bins:
            target = np.array([reference.histogram_of_gradients(image, cell, bins) for image in pixels])
        else:
            target = reference.patches(standard, cell, normalize=True)
        mask = np.array([reference.parts_hidden(mask, scale).ravel() for mask in masks])
        expected = reference.masked_error(prediction.numpy(), target, mask)
        assert found[name] == pytest.approx(expected, rel=1e-3)
        total += expected
    assert found["loss"] == pytest.approx(total, rel=1e-3)


def test_gradients_are_local():
    model = make()
    blocks = model.stages.blocks
    with tf.GradientTape(persistent=True) as tape:
        outputs = model({"views": [images(3, 16)]}, training=True)
    for tap in (2, 4, 6, 8):
        for i in range(1, 9):
            slope = tape.gradient(outputs[f"block{tap}"], blocks.get_layer(f"block{i}_output").kernel)
            assert (slope is not None and np.abs(slope).max() > 0) == (i <= tap)
    own = [set(map(id, decoder.trainable_variables)) for decoder in model.decoders]
    assert not set.intersection(*own) and len(set.union(*own)) == sum(map(len, own))


def test_hidden_pixels_do_not_matter():
    model = make()
    masks, pixels = fix_masks(model), images(3, 16)
    hidden = masks.repeat(4, axis=1).repeat(4, axis=2)[..., None]
    other = np.where(hidden, images(3, 16, seed=9), pixels)
    for first, second in zip(*(model.predictions(tf.constant(x), tf.constant(masks)) for x in (pixels, other))):
        np.testing.assert_array_equal(first, second)


def test_every_tap_learns():
    model = keras_ssl.LocalMIM(vit(12, depth=2, width=16), taps=(1, 2), scales=(2, 1), width=16, heads=2)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    found = [model.train_on_batch({"views": [ramps(32)]}, return_dict=True) for _ in range(30)]
    for term in ("block1", "block2"):
        assert found[-1][term] < 0.5 * found[0][term]


def test_reconstructions_of_pixels():
    model = make(bins=None, scales=(4, 2, 2, 1))
    pixels = images(3, 16)
    masks, found = model.reconstruct(pixels)
    hidden = masks.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_array_equal(found[~hidden], pixels[~hidden])
    assert (found[hidden] != pixels[hidden]).mean() > 0.9
    model.predictions = lambda images, masks, training: model.targets(images)
    np.testing.assert_allclose(model.reconstruct(pixels)[1], pixels, atol=1e-2)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="make no image"):
        make().reconstruct(images(3, 16))
    encoder = vit()
    for options, message in (
        ({"taps": (2, 4)}, "taps must be"),
        ({"taps": (4, 2, 6, 8)}, "taps must be"),
        ({"taps": (0, 2, 6, 8)}, "taps must be"),
        ({"scales": (4, 2, 1)}, "scales must be as many"),
        ({"scales": (3, 2, 1, 0.5)}, "scales must be 1, 2"),
        ({"scales": (8, 2, 1, 0.5)}, "scales must be 1, 2"),
        ({"scales": (4, 2, 1, 1 / 3)}, "scales must be 1, 2"),
    ):
        with pytest.raises(ValueError, match=message):
            make(encoder, **options)
