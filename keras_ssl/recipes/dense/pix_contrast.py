"""PixContrast. ImageNet, 100 epochs: 58.1 AP of detection on PASCAL VOC. The settings are PixPro's."""

import keras_ssl
from keras_ssl.recipes.dense.pix_pro import optimizer, views
from keras_ssl.recipes.run import IDENTITY

SHORT = {"hidden": 256, "dim": 128, "momentum": 0.97}


def paper(run):
    return keras_ssl.PixContrast(run.encoder(resnet=IDENTITY), views(run), steps=run.steps), optimizer(run)


def minutes(run):
    return keras_ssl.PixContrast(run.encoder(), views(run), steps=run.steps, **SHORT), run.short_sgd(0.1)
