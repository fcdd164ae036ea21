"""MMCR. ImageNet, 100 epochs with a batch of 2,048, two views and a momentum encoder. CIFAR-10: 40 views, no such twin.

On CIFAR-10 the authors have 32 images in a batch, a constant rate and a ResNet-50; the rate is for any batch.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import IDENTITY

SMALL = {"hidden": 512, "dim": 128, "depth": 2, "momentum": None}


def views(run):
    count = 2 if run.quick or not run.small else 40
    return run.views(augment.byol, partial(augment.moco_cifar, count=count), count=count)


def paper(run):
    if run.small:
        return keras_ssl.MMCR(run.encoder(), views(run), **SMALL), optimizers.Adam(1e-3, weight_decay=1e-6)
    model = keras_ssl.MMCR(run.encoder(resnet=IDENTITY), views(run))
    return model, run.lars(0.6, weight_decay=1e-6, final=6e-4)


def minutes(run):
    return keras_ssl.MMCR(run.encoder(), views(run), **SMALL), optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
