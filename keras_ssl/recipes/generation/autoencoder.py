"""Autoencoder. The paper trains on digits and faces, layer by layer; here all layers learn at once, with Adam.

As a baseline it has the encoder and the views of what it is compared with.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment, optimizers

VIEW = partial(augment.simmim, scale=(0.67, 1.0))


def views(run):
    return run.views(VIEW, count=1)


def paper(run):
    return keras_ssl.Autoencoder(run.encoder(), views(run)), adam()


def minutes(run):
    return keras_ssl.Autoencoder(run.encoder(), views(run)), short_adam(run)


def adam(rate=1e-3):
    return optimizers.Adam(rate)


def short_adam(run, rate=1e-3):
    return optimizers.Adam(run.schedule(rate, warmup=1 / 15))
