"""TiCo. ImageNet, 1,000 epochs with a batch of 4,096; the rates are those that others found with smaller ones.

ImageNet has LARS, small images have SGD.
"""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.byol, augment.byol_cifar)


def paper(run):
    model = keras_ssl.TiCo(run.encoder(), views(run), steps=run.steps)
    if run.small:
        return model, run.sgd(0.12, weight_decay=5e-4, warmup=0)
    return model, run.lars(0.3, weight_decay=1e-6)


def minutes(run):
    sizes = {"hidden": 512, "dim": 128, "momentum": 0.97, "steps": run.steps}
    return keras_ssl.TiCo(run.encoder(), views(run), **sizes), run.short_sgd(0.06)
