"""Colorization. ImageNet, AlexNet: 31.5 % (fourth convolution). The encoder sees the lightness alone.

Optimizer and stride are those of the authors' AlexNet for features, whose batch is 80; their larger network, which is
made for colorings, has a beta_2 of 0.99, a batch of 40 and a stride of 4. Biases and batch normalization have no weight
decay. Crops are of any size, as with other methods; theirs have 180 of 256 pixels. Their rate falls in stairs.
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
    return method(run, stride=4 if run.small else 8), adam(run)


def minutes(run):
    return method(run, width=64), short_adam(run)


def method(run, **options):
    made = views(run)
    prior = augment.color_prior(run.in_order())
    return keras_ssl.Colorization(run.encoder(channels=1), made, prior=prior, **options)


def adam(run):
    return optimizers.Adam(run.schedule(3e-5, warmup=0), weight_decay=1e-3, exclude_vectors=True)


def short_adam(run, rate=1e-3):
    return optimizers.Adam(run.schedule(rate, warmup=1 / 15), beta_2=0.99)
