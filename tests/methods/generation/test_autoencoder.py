"""Autoencoder: 10.1126/science.1127647; and the decoder that all of its family have."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from tests import cases
from tests.reference import generation as reference

CASE = cases.Case({"width": 4}, views=cases.one_crop)


def small(name="Autoencoder", **options):
    keras.utils.set_random_seed(0)
    return getattr(keras_ssl, name)(cases.small_encoder(), **{"width": 4} | options)


def images(count=4):
    return cases.images(count).astype("float32")


def test_the_loss_is_the_mean_squared_error_and_its_gradient_too():
    model, x = small(), images()
    prediction = model.decoder(model.encoder(x, training=True), training=True)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        model.decoder = lambda code, training: prediction
        loss = model({"views": (x,)}, training=True)["loss"]
    assert float(loss) == pytest.approx(reference.squared_error(prediction, x), rel=1e-5)
    slope = 2 * (np.float64(prediction) - reference.standard(x)) / x.size
    np.testing.assert_allclose(tape.gradient(loss, prediction), slope, rtol=1e-4, atol=1e-8)


def test_all_of_the_image_passes_through_the_code():
    """Two images with one code come back the same."""
    model, x = small(), images()
    found = np.asarray(model.reconstructed(x))
    again = np.asarray(model.reconstructed(np.roll(x, (1, 1), axis=(1, 2))))
    assert np.abs(found - again).max() > 0.01
    model.encoder = keras.Model(model.encoder.input, 0 * model.encoder.output + 1)
    np.testing.assert_allclose(model.reconstructed(x), np.asarray(model.reconstructed(x[::-1])), atol=1e-4)


def test_pictures_are_images():
    model, x = small(), images().astype("uint8")
    columns = model.pictures(x)
    np.testing.assert_array_equal(columns["image"], x)
    assert columns["reconstruction"].shape == x.shape
    assert 0 <= columns["reconstruction"].min() and columns["reconstruction"].max() <= 255


def test_it_learns_to_reconstruct_better_than_the_mean_image():
    model, x = small(), images(32)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    model.fit({"views": (x,)}, batch_size=32, epochs=60, verbose=0)
    error = np.mean((np.asarray(model.reconstructed(x)) - x) ** 2)
    assert error < 0.8 * np.mean((x - x.mean(axis=0)) ** 2)


def test_images_of_any_size_are_refused():
    with pytest.raises(ValueError, match="input_shape=\\(height, width, channels\\)"):
        keras_ssl.Autoencoder(cases.any_size_encoder())


# The decoder


@pytest.mark.parametrize(
    "size, start, widths",
    [
        ((32, 32), (4, 4), [256, 128, 64, 32]),
        ((12, 12), (3, 3), [128, 64, 32]),
        ((28, 20), (7, 5), [128, 64, 32]),
        ((5, 7), (5, 7), [32]),
        ((50, 33), (7, 5), [256, 128, 64, 32]),
    ],
)
def test_a_decoder_doubles_the_sides_and_halves_the_channels(size, start, widths):
    decoder = encoders.conv_decoder((6,), size, outputs=2)
    assert decoder.output_shape == (None, *size, 2)
    assert decoder.get_layer("map").output.shape[1:] == (*start, widths[0])
    found = [layer.output.shape[-1] for layer in decoder.layers if layer.name.startswith("relu")]
    assert found == widths


def test_a_decoder_of_a_map_begins_with_the_map():
    decoder = encoders.conv_decoder((2, 3, 5), (8, 12), width=4, batch_norm=False)
    assert [layer.name for layer in decoder.layers] == ["features", "up1", "relu1", "up2", "relu2", "pixels"]
    assert decoder.output_shape == (None, 8, 12, 3)


def test_a_decoder_of_a_map_that_does_not_fit_resizes_at_the_end():
    for size, ups in (((9, 9), 3), ((8, 12), 2), ((2, 2), 0)):
        decoder = encoders.conv_decoder((2, 3, 5), size, width=4)
        assert decoder.output_shape == (None, *size, 3)
        assert sum(layer.name.startswith("up") for layer in decoder.layers) == ups


def test_no_two_kernels_of_a_decoder_start_alike():
    draw = keras.initializers.RandomNormal(stddev=0.02)
    decoder = encoders.conv_decoder((2, 2, 4), (8, 8), width=4, initializer=draw)
    first, second = (decoder.get_layer(f"up{i}").kernel.numpy() for i in (1, 2))
    assert first.std() == pytest.approx(0.02, rel=0.1)
    assert not np.array_equal(first[..., :4, :], second[..., :4, :])


# The map of an encoder


def test_the_map_is_what_the_encoder_pools():
    x = images()
    for encoder, rows in ((cases.small_encoder(), 3), (encoders.resnet18((12, 12, 3), width=4), 2)):
        found = encoders.feature_map(encoder)
        assert found.output_shape[1:3] == (rows, rows)
        np.testing.assert_allclose(np.mean(found(x), axis=(1, 2)), encoder(x), atol=1e-5)


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_the_map_of_a_transformer_is_its_patches(pooling):
    encoder = cases.small_vit((12, 12, 3), pooling=pooling)
    found = encoders.feature_map(encoder)
    assert found.output_shape == (None, 3, 3, 16)
    stages = encoders.vit_stages(encoder)
    tokens = np.asarray(stages.blocks(stages.positions(stages.patches(images()))))
    np.testing.assert_allclose(np.asarray(found(images())).reshape(4, 9, 16), tokens[:, -9:], atol=1e-5)


def test_the_map_of_a_backbone_that_is_a_layer():
    backbone = encoders.resnet18((12, 12, 3), width=4, pooling=None)
    for encoder in (encoders.pool(backbone), encoders.pool(encoders.resnet18((12, 12, 3), width=4))):
        assert encoders.feature_map(encoder).output_shape == (None, 2, 2, 32)


def test_an_encoder_without_a_map_is_refused():
    flat = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="pooled from a map"):
        encoders.feature_map(flat)
