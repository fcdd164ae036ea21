"""FlatNCE. ImageNet, 100 epochs with a batch of 512, and CIFAR-10; the paper shows it ahead of SimCLR."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.simclr, augment.simclr_cifar)


def paper(run):
    return keras_ssl.FlatNCE(run.encoder(), views(run), temperature=0.1), run.lars(0.3, weight_decay=1e-6)


def minutes(run):
    return keras_ssl.FlatNCE(run.encoder(), views(run), temperature=0.2), run.short_sgd(0.2)
