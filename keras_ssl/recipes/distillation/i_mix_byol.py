"""i-Mix over BYOL. CIFAR-10, ResNet-50, up to 4,000 epochs; ahead of BYOL in the paper. Its rates are those of BYOL."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.distillation import byol


def views(run):
    return run.views(augment.byol, augment.byol_cifar)


def paper(run):
    options = {"cutmix": not run.small, "steps": run.steps, "momentum": byol.momentum(run)}
    return keras_ssl.IMixBYOL(run.encoder(), views(run), **options), byol.optimizer(run)


def minutes(run):
    return keras_ssl.IMixBYOL(run.encoder(), views(run), steps=run.steps, **byol.SHORT), run.short_sgd(0.2)
