"""SupCon. ImageNet, with labels: 78.7 %. CIFAR-10, ResNet-50, 1,000 epochs: 96.0 %."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.supcon, augment.supcon_cifar)


def paper(run):
    return keras_ssl.SupCon(run.encoder(), views(run)), run.sgd(0.125, weight_decay=1e-4)


def minutes(run):
    return keras_ssl.SupCon(run.encoder(), views(run), temperature=0.1), run.short_sgd(0.2)
