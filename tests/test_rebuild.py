"""Encoders that cannot be made again from their config are refused, in one sentence that names the layer."""

import random

import keras
import numpy as np
import pytest
from keras import layers

import keras_ssl
from keras_ssl import encoders
from keras_ssl.rebuild import check_rebuildable


def around(*middle):
    images = x = keras.Input((8, 8, 3))
    for layer in (*middle, layers.GlobalAveragePooling2D()):
        x = layer(x)
    return keras.Model(images, x, name="mine")


class Unregistered(layers.Layer):
    def call(self, x):
        return 2 * x


class Wrapped(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(3, 3)

    def call(self, x):
        return self.convolution(x)


@keras.saving.register_keras_serializable("keras_ssl_tests")
class Registered(layers.Layer):
    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("keras_ssl_tests")
class Forgetful(Registered):
    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)

    def get_config(self):
        return super().get_config()


def own_activation(x):
    return x + 1


@pytest.mark.parametrize("make, words", [
    (lambda: around(layers.Lambda(lambda x: x / 255)), "'mine' holds the layer 'lambda.*of class Lambda.*Rescaling"),
    (lambda: around(layers.Lambda(own_activation)), "of class Lambda"),
    (lambda: around(Unregistered()), "of class Unregistered.*register_keras_serializable"),
    (lambda: around(Wrapped()), "of class Wrapped.*register_keras_serializable"),
    (lambda: around(Forgetful(3)), "of class Forgetful.*get_config"),
    (lambda: around(layers.Conv2D(3, 3, activation=lambda x: x)), "of class Conv2D.*Register its function"),
    (lambda: around(layers.Conv2D(3, 3, activation=own_activation)), "of class Conv2D.*Register its function"),
    (lambda: around(around_map()), "of class Unregistered"),
])  # fmt: skip
def test_what_cannot_be_made_again_is_refused(make, words):
    encoder = make()
    with pytest.raises(ValueError, match=words):
        check_rebuildable(encoder)


def around_map():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, Unregistered()(inputs))


def test_what_can_be_made_again_passes_and_nothing_moves():
    state, before = random.getstate(), np.random.get_state()[1].copy()
    for encoder in (
        around(Registered(), layers.Conv2D(3, 3, activation="gelu"), layers.Dropout(0.1)),
        around(layers.Lambda(keras.activations.relu)),
        encoders.vit((8, 8, 3), patch=4, width=8, depth=1, heads=2, drop_path=0.1),
        encoders.resnet18((16, 16, 3), batch_norm_groups=2),
        keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten()]),
    ):
        state = random.getstate()
        check_rebuildable(encoder)
        assert random.getstate() == state
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", ["SimCLR", "BYOL"])
def test_methods_say_so_when_they_are_made(name):
    make = getattr(keras_ssl, name)
    for layer in (layers.Lambda(lambda x: x / 255), Wrapped()):
        with pytest.raises(ValueError, match="The encoder 'mine' holds the layer"):
            make(around(layer), None, hidden=8, dim=4)
    called = Wrapped()
    called(np.zeros((2, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match="is of a class of its own, so the size"):
        make(called, None, hidden=8, dim=4)
