"""Colorization. ImageNet, AlexNet: 31.5 % (fourth convolution). The encoder sees the lightness alone.

Crops are of any size, as with other methods; the paper takes 176 of 256 pixels. Its rate falls in stairs.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment, optimizers

VIEW = partial(augment.mae, scale=(0.4, 1.0))


def views(run):
    if run.gray:
        raise ValueError("Color is what is to be told: the method needs images with colors")
    return run.views(VIEW)


def paper(run):
    rate = run.schedule(3e-5, warmup=0)
    return method(run), optimizers.Adam(rate, weight_decay=1e-3, beta_2=0.99)


def minutes(run):
    return method(run, width=64), short_adam(run)


def method(run, **options):
    made = views(run)
    prior = augment.color_prior(run.in_order())
    return keras_ssl.Colorization(run.encoder(channels=1), made, prior=prior, **options)


def short_adam(run, rate=1e-3):
    return optimizers.Adam(run.schedule(rate, warmup=1 / 15), beta_2=0.99)
