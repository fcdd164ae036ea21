"""Clipping on several replicas: the gradients are summed first, then clipped, then applied, as one replica does it."""

import contextlib

import keras
import numpy as np
import pytest

import keras_ssl

RECIPES = {
    "global_clipnorm": lambda: keras.optimizers.SGD(1.0, global_clipnorm=0.05),
    "clipnorm": lambda: keras.optimizers.SGD(1.0, clipnorm=0.02),
    "clipvalue": lambda: keras.optimizers.SGD(1.0, clipvalue=0.003),
    "adamw": lambda: keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.1, global_clipnorm=0.05, epsilon=1e-3),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0, global_clipnorm=0.05), 16.0),
}


def encoder():
    images = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras_ssl.heads.batch_normalization()(x)))


def trained(optimizer, strategy=None):
    """The weights before and after two steps."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        views = keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(6), 2)
        model = keras_ssl.SimCLR(encoder(), views, hidden=8, dim=4, temperature=0.5)
        model.compile(optimizer())
    before = [weight.numpy() for weight in model.trainable_variables]
    images = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 3), "uint8")
    model.fit(keras_ssl.data.arrays(images, 8, seed=1), verbose=0)
    return before, [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.parametrize("name", RECIPES)
def test_two_replicas_clip_as_one(name, two_replicas):
    before, one = trained(RECIPES[name])
    for start, first, second in zip(before, one, trained(RECIPES[name], two_replicas)[1]):
        moved = np.abs(first - start).max()
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-3 * moved + 2e-5)


def test_a_step_is_as_long_as_the_bound(two_replicas):
    before, after = trained(lambda: keras.optimizers.SGD(1.0, global_clipnorm=0.01), two_replicas)
    length = np.sqrt(sum(np.square(end - start).sum() for start, end in zip(before, after)))
    assert 0.01 < length <= 0.02 + 1e-6  # two steps
