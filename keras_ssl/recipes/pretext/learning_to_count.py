"""LearningToCount. ImageNet, linear, the third layer of an AlexNet: 34.3 %.

The sizes are the paper's. There is no code of the authors: rate, decay and batch are ours, and so is the ResNet with
its batch normalization.
"""

import keras_ssl
from keras_ssl import augment


def views(run, **options):
    options = ({"flip": 0.0, "grayscale_p": 0.0} if run.gray else {}) | options
    unit = 2 * run.patch if run.transformer else 2  # halves that its own patches fill
    return augment.counting(max(unit, run.shape[0] // unit * unit), **options)


def paper(run):
    model = keras_ssl.LearningToCount(run.encoder(any_size=True), views(run))
    return model, run.sgd(1e-3, weight_decay=5e-4)


def minutes(run):
    model = keras_ssl.LearningToCount(run.encoder(any_size=True), views(run), hidden=256, dim=128)
    return model, run.short_adamw(1e-4)
