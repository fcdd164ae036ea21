"""NNSiam. Numbers are not published; the recipe is that of others for CIFAR-10, 1,000 epochs."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.distillation.simsiam import SIZES


def views(run):
    return run.views(augment.byol, augment.byol_cifar)


def paper(run):
    return keras_ssl.NNSiam(run.encoder(), views(run)), run.sgd(0.5, weight_decay=1e-5, constant="predictor")


def minutes(run):
    # The queue holds the last 16 steps, as with NNCLR.
    sizes = SIZES | {"queue_size": run.short_queue(16 * run.batch)}
    return keras_ssl.NNSiam(run.encoder(), views(run), **sizes), run.short_sgd(0.06)
