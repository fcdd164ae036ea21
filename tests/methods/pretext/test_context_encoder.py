"""Context encoder: arXiv 1604.07379."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import ChannelwiseDense
from keras_ssl.methods.pretext.context_encoder import without
from tests import cases
from tests.reference.generation import MEAN, standard

CASE = cases.Case({"region": "random", "width": 4}, views=cases.one_crop)


def small(name="ContextEncoder", **options):
    keras.utils.set_random_seed(0)
    return getattr(keras_ssl, name)(cases.small_encoder(), **{"width": 4, "band": 1} | options)


def images(count=4):
    return cases.images(count).astype("float32")


def masks_of(model, x):
    state = model.draws.state.numpy()
    masks = np.asarray(model.mask(x, local_seeds(model.draws, len(x)), training=True))
    model.draws.state.assign(state)
    return masks


# The layer across the places


def test_a_channelwise_layer_has_so_many_weights_as_the_paper_says():
    assert ChannelwiseDense((6, 6, 256)).count_params() == 256 * 36**2 == 331_776


def test_a_channelwise_layer_is_a_dense_layer_for_each_channel():
    layer = ChannelwiseDense((2, 3, 4))
    x = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype("float32")
    kernel = layer.kernel.numpy()
    expected = np.stack([x[..., c].reshape(5, 6) @ kernel[c] for c in range(4)], axis=-1).reshape(5, 2, 3, 4)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_a_channelwise_layer_has_no_path_between_channels_and_all_paths_within():
    layer, x = ChannelwiseDense((2, 2, 3)), tf.Variable(np.ones((1, 2, 2, 3), "float32"))
    with tf.GradientTape() as tape:
        found = layer(x)[0, 0, 1, 2]
    slope = tape.gradient(found, x).numpy()[0]
    assert not np.any(slope[..., :2]) and np.abs(slope[..., 2]).min() > 0


def test_a_channelwise_layer_is_saved():
    layer = ChannelwiseDense((2, 2, 3), name="across")
    assert ChannelwiseDense.from_config(layer.get_config()).get_config() == layer.get_config()
    assert layer.kernel.numpy().std() == pytest.approx(0.5, rel=0.25)  # a variance of 1 / places


# The region


def test_hidden_pixels_have_the_mean_color_and_are_not_seen():
    for region in ("center", "random"):
        model, x = small(region=region), images()
        masks = masks_of(model, x)
        seen = np.asarray(without(x, masks))
        np.testing.assert_allclose(seen[masks], np.tile(255 * np.array(MEAN), (masks.sum(), 1)), rtol=1e-5)
        np.testing.assert_array_equal(seen[~masks], x[~masks])
        other = np.where(masks[..., None], 255 - x, x)
        first, second = (np.asarray(model.painted(batch, masks)) for batch in (x, other))
        np.testing.assert_array_equal(first, second)


def test_the_middle_is_half_the_image_and_a_band_of_it_is_visible():
    model, x = small(band=1), images()
    masks = masks_of(model, x)
    hidden = np.zeros((12, 12), bool)
    hidden[4:8, 4:8] = True
    assert (masks == hidden).all()
    assert model.painted(x, masks).shape == (4, 6, 6, 3)
    np.testing.assert_array_equal(model.compared(x), x[:, 3:9, 3:9])


def test_the_papers_band_is_of_four_pixels():
    keras.utils.set_random_seed(0)
    model = keras_ssl.ContextEncoder(keras_ssl.encoders.resnet18((128, 128, 3), width=2, stem="cifar"), width=2)
    assert model.border == 4 and model.mask.masked == 56**2 and model.painter.output_shape == (None, 64, 64, 3)


def test_random_regions_differ_and_have_the_papers_area():
    model, x = small(region="random"), images(32)
    areas = masks_of(model, x).mean(axis=(1, 2))
    assert 0.19 < areas.min() < 0.23 and 0.26 < areas.max() <= 0.3
    assert len(np.unique(masks_of(model, x), axis=0)) == 32


# The loss


def weights_of_center(band_weight):
    weights = np.full((6, 6), band_weight)
    weights[1:5, 1:5] = 1
    return weights


@pytest.mark.parametrize("band_weight", [10.0, 0.0])
def test_the_loss_in_the_middle_is_the_papers_and_so_is_its_gradient(band_weight):
    model, x = small(band_weight=band_weight), images()
    masks = masks_of(model, x)
    prediction = tf.constant(np.random.default_rng(0).normal(size=(4, 6, 6, 3)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        loss = model.error(prediction, x, masks)
    difference = prediction.numpy() - standard(x[:, 3:9, 3:9])
    weights = weights_of_center(band_weight)[None, :, :, None]
    assert float(loss) == pytest.approx(np.mean(weights * difference**2), rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, prediction), 2 * weights * difference / 432, rtol=1e-4, atol=1e-7)


def test_the_loss_of_random_regions_is_theirs_alone():
    model, x = small(region="random"), images()
    masks = masks_of(model, x)
    prediction = tf.constant(np.random.default_rng(0).normal(size=(4, 12, 12, 3)), "float32")
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        loss = model.error(prediction, x, masks)
    difference = (prediction.numpy() - standard(x)) * masks[..., None]
    assert float(loss) == pytest.approx(np.sum(difference**2) / (3 * masks.sum()), rel=1e-5)
    slope = tape.gradient(loss, prediction).numpy()
    np.testing.assert_allclose(slope, 2 * difference / (3 * masks.sum()), rtol=1e-4, atol=1e-7)


def test_the_loss_of_a_step_is_that_of_what_was_painted():
    model, x = small(), images()
    masks = masks_of(model, x)
    expected = float(model.error(model.painted(x, masks, training=True), x, masks))
    assert float(model({"views": (x,)}, training=True)["loss"]) == pytest.approx(expected, rel=1e-5)


def test_inpainting_leaves_what_is_visible():
    for region in ("center", "random"):
        model, x = small(region=region), images().astype("uint8")
        masks, visible, whole = model.inpaint(x)
        np.testing.assert_array_equal(whole[~masks], x[~masks])
        np.testing.assert_array_equal(visible[~masks], x[~masks])
        assert np.abs(whole[masks] - x[masks]).max() > 0 and 0 <= whole.min() and whole.max() <= 255
        assert list(model.pictures(x)) == ["image", "visible", "inpainted"]


def test_it_learns_to_fill_the_middle_better_than_with_the_mean_of_the_rest():
    """Images of a left and a right half, each of one color."""
    x = np.random.default_rng(0).uniform(0, 255, (64, 1, 2, 3)).repeat(12, axis=1).repeat(6, axis=2)
    model = small(width=16)
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    model.fit({"views": (x.astype("float32"),)}, batch_size=16, epochs=45, verbose=0)
    masks, _, whole = model.inpaint(x)
    mean = np.stack([image[~hidden].mean(axis=0) for image, hidden in zip(x, masks)])
    errors = [np.mean((found[masks] - x[masks]) ** 2) for found in (mean[:, None, None] + 0 * x, whole)]
    assert 10 * np.log10(errors[0] / errors[1]) > 4  # dB


def test_a_band_that_hides_nothing_is_refused():
    with pytest.raises(ValueError, match="band must leave a part of the middle hidden"):
        small(band=3)
