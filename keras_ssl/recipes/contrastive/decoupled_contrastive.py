"""Decoupled contrastive learning. ImageNet, 200 epochs with a batch of 256: 68.2 %."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.simclr, augment.simclr_cifar)


def paper(run):
    model = keras_ssl.DecoupledContrastive(run.encoder(), views(run), temperature=0.1)
    return model, run.sgd(0.03, weight_decay=1e-4)


def minutes(run):
    return keras_ssl.DecoupledContrastive(run.encoder(), views(run), temperature=0.2), run.short_sgd(0.2)
