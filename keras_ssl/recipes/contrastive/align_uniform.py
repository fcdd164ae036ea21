"""Alignment and uniformity. STL-10 at 64 pixels, a small AlexNet, 200 epochs with a batch of 768: 83.2 %."""

from functools import partial

import keras_ssl
from keras_ssl import augment


def views(run):
    if run.quick:
        return run.views(augment.moco_v2, augment.cifar)
    return run.views(partial(augment.moco_v1, scale=(0.08, 1.0)))


def paper(run):
    return keras_ssl.AlignUniform(run.encoder(), views(run)), run.sgd(0.12, weight_decay=1e-4, warmup=0)


def minutes(run):
    return keras_ssl.AlignUniform(run.encoder(), views(run)), run.short_sgd(0.2)
