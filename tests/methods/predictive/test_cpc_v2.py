"""CPCv2: arXiv 1905.09272. It is CPC with switches."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import encoders
from tests import cases
from tests.methods.predictive.test_cpc import GRID, PATCH, SIZES, encoder, patches, randomize


def changed_patches():
    layers = [keras_ssl.augment.PatchGrid(GRID, PATCH), keras_ssl.augment.PerPatch(keras_ssl.augment.RandomFlip())]
    return keras_ssl.augment.View(layers)


CASE = cases.Case(
    SIZES | {"steps": 1, "depth": 1, "directions": 2}, encoder=cases.padded_encoder, views=changed_patches
)


def loss(kind, view=None, **options):
    keras.utils.set_random_seed(0)
    model = kind(encoder(), **SIZES | options)
    randomize(model)
    return float(model({"views": (patches() if view is None else view,)}, training=True)["loss"])


def test_without_its_switches_it_is_cpc():
    assert loss(keras_ssl.CPCv2, directions=1) == loss(keras_ssl.CPC)
    assert loss(keras_ssl.CPCv2) == loss(keras_ssl.CPC, directions=4) != loss(keras_ssl.CPC)


def test_the_geometry_is_the_papers():
    model = keras_ssl.CPCv2(encoder(), hidden=2, depth=1)
    assert model.offsets == [3, 4, 5] and len(model.networks) == 4
    assert (model.grid - 1) * model.stride + model.patch == 260


@pytest.mark.parametrize("number, turn", [(1, lambda x: x[:, ::-1]), (2, lambda x: np.swapaxes(x, 1, 2))])
def test_a_direction_is_cpc_of_the_turned_grid(number, turn):
    model = keras_ssl.CPCv2(encoder(), **SIZES)
    plain = keras_ssl.CPC(encoder(), **SIZES)
    plain.encoder.set_weights(model.encoder.get_weights())
    view = patches()
    grid = view.reshape(3, GRID, GRID, PATCH, PATCH, 3)
    total = 0
    for direction, network in enumerate(model.networks):
        plain.networks[0].set_weights(network.get_weights())
        turned = {0: grid, 1: grid[:, ::-1], 2: np.swapaxes(grid, 1, 2), 3: np.swapaxes(grid, 1, 2)[:, ::-1]}[direction]
        total += float(plain({"views": (turned.reshape(view.shape),)}, training=True)["loss"])
        if direction == number:
            np.testing.assert_array_equal(turned, turn(grid))
    assert float(model({"views": (view,)}, training=True)["loss"]) == pytest.approx(total, rel=1e-5)


# Layer normalization


def test_layer_norm_takes_the_place_of_batch_norm():
    plain = encoders.resnet18((None, None, 3), width=4, stem="cifar")
    made = encoders.with_layer_norm(plain)
    kinds = [type(layer).__name__ for layer in made.layers]
    assert "BatchNormalization" not in kinds
    assert kinds.count("GroupNormalization") == [type(x).__name__ for x in plain.layers].count("BatchNormalization")
    assert len(made.get_weights()) == len(plain.trainable_variables) == len(made.trainable_variables)
    for old, new in zip(plain.trainable_variables, made.trainable_variables):
        np.testing.assert_array_equal(old, new)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("float32")
    together = made(images, training=True)
    np.testing.assert_allclose(made(images[1:2]), together[1:2], rtol=1e-4, atol=1e-5)  # and no other sample counts


def test_a_patch_is_normalized_by_itself():
    images = keras.Input((None, None, 3))
    x = keras.layers.BatchNormalization(epsilon=1e-9)(keras.layers.Conv2D(4, 2, use_bias=False)(images))
    made = encoders.with_layer_norm(keras.Model(images, x))
    pixels = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
    found = made(pixels)
    np.testing.assert_allclose(made(7 * pixels), found, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.mean(found, axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(found, axis=(1, 2, 3)), 1, atol=1e-4)


def test_models_of_their_own_call_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="with other normalization"):
        encoders.with_layer_norm(Own())
