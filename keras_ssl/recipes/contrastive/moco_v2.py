"""MoCo v2. ImageNet, 200 epochs: 67.5 %, 800 epochs: 71.1 %.

CIFAR-10, ResNet-18, 800 epochs: k-NN 88.7 %, with a linear head.
"""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.moco_v2, augment.moco_cifar)


def paper(run):
    return method(run, 0 if run.small else 2048), optimizer(run)


def minutes(run):
    return method(run, 128), run.short_sgd(0.06)


def method(run, hidden):
    return keras_ssl.MoCoV2(run.encoder(resnet=run.groups()), views(run), hidden=hidden, **run.queue())


def optimizer(run):
    return run.sgd(0.03, weight_decay=5e-4 if run.small else 1e-4, warmup=0)
