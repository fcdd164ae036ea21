"""W-MSE. CIFAR-10, ResNet-18, 1,000 epochs with a batch of 512: 91.6 %. ImageNet, four views, 100 epochs: 69.4 %."""

import keras_ssl
from keras_ssl import augment, optimizers


def views(run):
    return run.views(augment.w_mse)


def paper(run):
    cifar = run.shape[0] <= 32
    sizes = {} if cifar else {"dim": 128, "sub_batch": 256, "repeats": 4}  # as for Tiny ImageNet and STL-10
    model = keras_ssl.WMSE(run.encoder(), views(run), **sizes)
    rate = run.schedule(3e-3 if cifar else 2e-3, warmup=min(500 / run.steps, 0.1))
    return model, optimizers.Adam(rate, weight_decay=1e-6)


def minutes(run):
    model = keras_ssl.WMSE(run.encoder(), views(run), hidden=512, dim=32, sub_batch=64)
    return model, optimizers.Adam(run.schedule(3e-3, warmup=1 / 15))
