"""ReSSL. ImageNet, 200 epochs: 69.9 %, with five crops 74.7 %.

The recipe for small images is solo-learn's: CIFAR-10, ResNet-18, 1,000 epochs: 90.6 %.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.ressl, partial(augment.ressl, scale=(0.08, 1.0), jitter=(0.4, 0.4, 0.2, 0.1)))


def paper(run):
    if run.small:
        sizes = {"dim": 256, "queue_size": 65536, "momentum": 0.99, "steps": run.steps, "shuffle": False}
        return keras_ssl.ReSSL(run.encoder(), views(run), **sizes), run.sgd(0.05, weight_decay=1e-4)
    model = keras_ssl.ReSSL(run.encoder(resnet=run.groups()), views(run))
    return model, run.sgd(0.05, weight_decay=1e-4, warmup=min(5 / run.epochs, 0.1), exclude_vectors=True)


def minutes(run):
    sizes = {"hidden": 512, "dim": 128, "queue_size": run.short_queue(4096), "momentum": 0.99}
    return keras_ssl.ReSSL(run.encoder(resnet=run.groups()), views(run), **sizes), run.short_sgd(0.06)
