"""DirectCLR: arXiv 2110.09348."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from tests import cases
from tests.methods.contrastive.test_simclr import view
from tests.reference import instances as reference

CASE = cases.Case({"dim": 10, "temperature": 0.5})


def residual(size=12):
    """The features are the sum of two branches, so that all of them learn from some of them."""
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(size, 3, strides=2, use_bias=False)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = x + keras.layers.Conv2D(size, 1, name="last")(keras.layers.ReLU()(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def test_the_loss_is_the_papers():
    model = keras_ssl.DirectCLR(residual(), dim=4)
    views = view(), view(seed=1)
    first, second = (np.float64(model.encoder(x, training=True))[:, :4] for x in views)
    expected = (reference.n_pair(first, second, 0.1) + reference.n_pair(second, first, 0.1)) / 2
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_the_other_features_get_no_gradient_but_their_weights_do():
    model = keras_ssl.DirectCLR(residual(), dim=4)
    encoder, found = model.encoder, []
    model.encoder = lambda x, training: found.append(encoder(x, training=training)) or found[-1]
    with tf.GradientTape() as tape:
        loss = model.objective((view(), view(seed=1)))
    slopes = tape.gradient(loss, [*found, *encoder.trainable_variables])
    for slope in slopes[:2]:
        assert np.abs(slope[:, 4:]).max() == 0 and np.abs(slope[:, :4]).min() > 0
    first, last, bias = map(np.asarray, slopes[2:])
    assert np.abs(last[..., 4:]).max() == 0 and np.abs(last[..., :4]).max() > 0  # the columns that the loss sees
    assert np.abs(first).max(axis=(0, 1, 2)).min() > 0  # through the residual connection


def test_negatives_are_of_the_other_view_alone():
    model = keras_ssl.DirectCLR(residual(), dim=12)
    eye = np.eye(10, 12, dtype="float32")
    model.encoder = lambda x, training: ops.convert_to_tensor(x)
    found = float(model.objective((eye[:5], eye[5:])))
    assert found == pytest.approx(np.log(5))  # of the other view alone
    assert float(model.objective((eye[:5], eye[:5]))) == pytest.approx(-10 + np.log(np.exp(10) + 4), abs=1e-5)


def test_as_many_features_as_there_are_are_all_of_them():
    model = keras_ssl.DirectCLR(residual(), dim=12)
    views = view(), view(seed=1)
    first, second = (np.float64(model.encoder(x, training=True)) for x in views)
    expected = (reference.n_pair(first, second, 0.1) + reference.n_pair(second, first, 0.1)) / 2
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_more_features_than_there_are_are_refused():
    with pytest.raises(ValueError, match="dim=13 and an encoder with 12"):
        keras_ssl.DirectCLR(residual(), dim=13)
