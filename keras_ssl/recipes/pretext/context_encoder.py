"""Context encoder. ImageNet, AlexNet, 100,000 steps: 56.5 % mAP in the classification of VOC 2007, after fine-tuning.

Features are trained with random regions and the squared error. How the authors optimize them, with SGD, is not
published; here it is Adam, with the rate of their inpainting.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment, optimizers

VIEW = partial(augment.mae, scale=(0.4, 1.0))


def views(run):
    return run.views(VIEW, count=1)


def paper(run):
    model = keras_ssl.ContextEncoder(run.encoder(), views(run), region="random")
    return model, optimizers.Adam(2e-3, beta_1=0.5)


def minutes(run):
    model = keras_ssl.ContextEncoder(run.encoder(), views(run), region="random", width=32)
    return model, optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
