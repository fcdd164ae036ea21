"""MoCo v1. ImageNet, 200 epochs: 60.6 %."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.moco_v1)


def paper(run):
    return method(run), run.sgd(0.03, weight_decay=1e-4, warmup=0)


def minutes(run):
    return method(run), run.short_sgd(0.06)


def method(run):
    return keras_ssl.MoCoV1(run.encoder(resnet=run.groups()), views(run), **run.queue())
