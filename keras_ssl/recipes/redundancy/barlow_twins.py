"""Barlow Twins. ImageNet, 1,000 epochs: 73.2 %. Sizes for small images are those that others found on CIFAR-10."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY


def views(run):
    return run.views(augment.barlow_twins, augment.byol_cifar)


def paper(run):
    dim = 2048 if run.small else 8192
    model = keras_ssl.BarlowTwins(run.encoder(resnet=IDENTITY), views(run), hidden=dim, dim=dim)
    if run.small:
        return model, run.lars(0.3, weight_decay=1e-4)
    return model, run.lars(0.2, weight_decay=1e-6, final=2e-4, excluded_rate=0.0048 / 0.2)


def minutes(run):
    # A narrower embedding than the paper's: with 128 images per batch the correlations of 2,048 are noise.
    return keras_ssl.BarlowTwins(run.encoder(), views(run), hidden=512, dim=512), run.short_sgd(0.05)
