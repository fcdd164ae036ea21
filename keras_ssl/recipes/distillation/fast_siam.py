"""FastSiam. CIFAR-10, ResNet-18, 200 epochs with a batch of 128, by others: k-NN 90.6 %, best of their table.

It has the recipe of SimSiam, with four views, and for small images the rate of that run: 0.06 for a batch of 128, four
times SimSiam's.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.distillation.simsiam import SIZES
from keras_ssl.recipes.run import IDENTITY


def views(run):
    return run.views(partial(augment.simsiam, count=4), partial(augment.simsiam_cifar, count=4), count=4)


def paper(run):
    model = keras_ssl.FastSiam(run.encoder(resnet=IDENTITY), views(run), depth=2 if run.small else 3)
    rate, decay = (0.12, 5e-4) if run.small else (0.05, 1e-4)
    return model, run.sgd(rate, weight_decay=decay, warmup=0, constant="predictor")


def minutes(run):
    return keras_ssl.FastSiam(run.encoder(), views(run), **SIZES), run.short_sgd(0.06)
