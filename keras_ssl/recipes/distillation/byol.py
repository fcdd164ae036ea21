"""BYOL. ImageNet, 1,000 epochs: 74.3 %, 300 epochs: 72.5 %. A shorter run has a higher rate, a faster target.

Rates for small images are those that others found on CIFAR-10: ResNet-18, 1,000 epochs: 92.6 %.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY

SHORT = {"hidden": 512, "dim": 128, "momentum": 0.97}


def views(run):
    return run.views(augment.byol, augment.byol_cifar)


def paper(run):
    encoder = run.encoder(resnet=IDENTITY)
    return keras_ssl.BYOL(encoder, views(run), steps=run.steps, momentum=momentum(run)), optimizer(run)


def minutes(run):
    return keras_ssl.BYOL(run.encoder(), views(run), steps=run.steps, **SHORT), run.short_sgd(0.2)


def momentum(run):
    slow = run.epochs > 600 and not run.small
    return 0.996 if slow else 0.99 if run.epochs >= 60 else 0.97


def optimizer(run):
    if run.small:
        return run.lars(1.0, weight_decay=1e-5)
    rate = 0.2 if run.epochs > 600 else 0.3 if run.epochs > 150 else 0.45
    return run.lars(rate, weight_decay=1.5e-6 if run.epochs > 600 else 1e-6)
