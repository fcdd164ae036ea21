"""The accuracy of classifiers, and of those that methods train."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl import eval
from tests import cases, semi


def fixed(offset=0.0):
    """A classifier of images whose class is the channel with the largest sum, of those that lead to numbers."""
    images = keras.Input((8, 8, 3))
    return keras.Model(images, keras.layers.Lambda(lambda x: ops.mean(x, axis=(1, 2)) + offset)(images))


def test_the_accuracy_is_the_share_of_right_ones():
    images = np.zeros((6, 8, 8, 3), "uint8")
    images[np.arange(6), :, :, [0, 1, 2, 0, 1, 2]] = 200
    found = eval.accuracy(fixed(), (images, np.array([0, 1, 2, 1, 1, 0])), batch_size=4)
    assert (float(found), found.n, found.top5, found.name) == (pytest.approx(4 / 6), 6, None, "accuracy")
    data = keras_ssl.data.arrays(images, 4, labels=[0, 1, 2, 1, 1, 0], shuffle=False)
    assert float(eval.accuracy(fixed(), data)) == float(found)
    with pytest.raises(ValueError, match="The test set has no labels"):
        eval.accuracy(fixed(), images)
    with pytest.raises(ValueError, match="has diverged"):
        eval.accuracy(fixed(np.nan), (images, np.zeros(6, int)))


def test_the_callback_takes_the_classifier_that_is_evaluated():
    model = semi.make("FixMatch", augment=semi.three(), momentum=0.5)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    test = semi.images(20, seed=5), np.arange(20) % 3
    callback = eval.Accuracy(test)
    data = {"image": semi.images(), "label": semi.LABELS, **semi.columns(8)}
    history = model.fit(data, batch_size=8, epochs=2, callbacks=[callback], verbose=0).history
    expected = model.average.predict(test[0], verbose=0).argmax(axis=1) == test[1]
    assert history["test_accuracy"][-1] == pytest.approx(expected.mean()) and callback.score.n == 20


def test_what_has_no_classifier_is_said_at_once():
    model = keras_ssl.SimCLR(cases.small_encoder(), cases.pair())
    model.compile("sgd", run_eagerly=True)
    callback = eval.Accuracy((semi.images(), np.zeros(8, int)))
    with pytest.raises(ValueError, match="SimCLR trains no classifier"):
        model.fit(semi.images(), callbacks=[callback], verbose=0)
    for options, message in (({"every": 0}, "every must be"), ({"batch_size": 0}, "batch_size must be")):
        with pytest.raises(ValueError, match=message):
            eval.Accuracy((semi.images(), np.zeros(8, int)), **options)
    with pytest.raises(ValueError, match="The test set has no labels"):
        eval.Accuracy(semi.images())
