"""BYOL's random target, the experiment that led to it: arXiv 2006.07733, section 3."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import keras_ssl


def encoder(dim=8):
    images = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    for filters, strides in ((8, 1), (16, 2), (32, 2)):
        x = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.Dense(dim)(keras.layers.GlobalAveragePooling2D()(x)))


def make(**compile):
    model = keras_ssl.BYOL(encoder(), hidden=64, dim=16, momentum=0.5, random_target=True)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), **compile)
    return model


def test_a_target_of_the_same_weights_is_refused():
    def seeded(kernel, other):
        images = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=kernel))(images)
        x = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.GlorotUniform(seed=other))(x)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x), name="seeded")

    options = {"hidden": 4, "dim": 3}
    with pytest.raises(ValueError, match="config of 'seeded' has the same: build it with initializers that have no"):
        keras_ssl.BYOL(seeded(0, 1), random_target=True, **options)
    keras_ssl.BYOL(seeded(0, 1), **options)
    model = keras_ssl.BYOL(seeded(0, None), random_target=True, **options)  # one of two is another
    assert np.abs(model.target.layers[1].weights[2] - model.encoder.weights[2]).max() > 0.01
    images = keras.Input((8, 8, 3))
    bare = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))  # nothing to draw but the head
    keras_ssl.BYOL(bare, random_target=True, **options)


def moving(path):
    return "moving" in path


def test_the_target_is_another_random_network_that_never_moves(tmp_path):
    model = make(run_eagerly=True)
    pairs = list(zip(model.target.weights, model.online.weights, strict=True))
    for target, online in pairs:
        assert target.shape == online.shape and target is not online
        differs = np.abs(target.numpy() - online.numpy()).max() > 0
        assert differs == (len(target.shape) > 1), target.path  # kernels; biases and normalization start equal
    start = [target.numpy() for target, _ in pairs]
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 8, 8, 3)).astype("float32")
    for _ in range(2):
        model.train_on_batch({"views": (images[0], images[1])})
    for (target, _), value in zip(pairs, start):
        assert moving(target.path) == (np.abs(target.numpy() - value).max() > 0), target.path
    model.save(tmp_path / "model.keras")
    for first, second in zip(model.get_weights(), keras_ssl.load(tmp_path / "model.keras").get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_predicting_a_random_network_teaches_more_than_it_knows():
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) * 255 / 16).repeat(3, axis=-1).astype("float32")
    train, test = (x[:1200], y[:1200]), (x[1200:], y[1200:])
    keras.utils.set_random_seed(0)
    model = make()
    before = float(keras_ssl.eval.linear(model.encoder, train, test))
    draw = np.random.default_rng(0)

    def shifted(images):
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        corners = draw.integers(0, 3, (len(images), 2))
        return np.stack([image[i : i + 8, j : j + 8] for image, (i, j) in zip(padded, corners)])

    losses = []
    for _ in range(120):
        images = train[0][draw.integers(0, 1200, 128)]
        losses.append(float(model.train_on_batch({"views": (shifted(images), shifted(images))})))
    after = float(keras_ssl.eval.linear(model.encoder, train, test))
    assert np.mean(losses[-10:]) < 0.8 * losses[0]
    assert after > before + 0.1  # 0.5 to 0.75 for other seeds
    assert before == pytest.approx(0.5, abs=0.2)
