"""PixPro. ImageNet, 400 epochs: 60.2 AP of detection on PASCAL VOC; 100 epochs: 58.8.

Small images have the same settings, with views without blur.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY

SHORT = {"hidden": 256, "dim": 128, "momentum": 0.97}


def views(run):
    return augment.Located(run.views(augment.byol, augment.byol_cifar))


def paper(run):
    return keras_ssl.PixPro(run.encoder(resnet=IDENTITY), views(run), steps=run.steps), optimizer(run)


def minutes(run):
    return keras_ssl.PixPro(run.encoder(), views(run), steps=run.steps, **SHORT), run.short_sgd(0.1)


def optimizer(run):
    return run.lars(1.0, weight_decay=1e-5, warmup=min(5 / run.epochs, 0.1))
