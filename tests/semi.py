"""Semi: small labeled and unlabeled images, and views of both, for the tests of semi-supervised methods."""

import keras
import numpy as np

import keras_ssl
from keras_ssl import augment
from tests import cases

RATIO = 2
LABELS = np.array([0, 1, 2, -1, 0, 1, 2, 0])


def columns(count):
    """Unlabeled images beside each labeled one."""
    return {"unlabeled": cases.images(count * RATIO).reshape(count, RATIO, cases.SIZE, cases.SIZE, 3)}


def crop():
    return augment.RandomResizedCrop(cases.SIZE, (0.3, 1.0), flip=0.5)


def views(labeled=1, unlabeled=1):
    return augment.SemiViews([crop()] * labeled, [crop()] * unlabeled)


def two():
    return views(1, 1)


def three():
    return views(1, 2)


def case(make=two, **arguments):
    return cases.Case({"classes": 3, **arguments}, views=make, columns=columns)


def images(count=8, seed=0):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, cases.SIZE, cases.SIZE, 3)).astype("float32")


def groups(count=8, seed=1):
    """Unlabeled images `(count, RATIO, ...)`."""
    return images(count * RATIO, seed).reshape(count, RATIO, cases.SIZE, cases.SIZE, 3)


def make(name, **options):
    keras.utils.set_random_seed(0)
    return getattr(keras_ssl, name)(cases.small_encoder(), **{"classes": 3, **options})


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    """The mean over what has a label."""
    known = labels >= 0
    return -np.log(softmax(logits)[known, labels[known]]).mean()


def moving_statistics(model):
    return [v.numpy() for v in model.weights if v.path.endswith(("moving_mean", "moving_variance"))]
