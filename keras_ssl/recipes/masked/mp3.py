"""MP3. ImageNet, ViT-B. A quarter of the patches is the context."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.views(augment.mae, count=1)


def paper(run):
    return method(run, ratio=0.75), run.adamw(1.5e-4, weight_decay=0.05)


def minutes(run):
    return method(run, ratio=0.5), run.short_adamw(0.05)


def method(run, ratio):
    return keras_ssl.MP3(run.mean_vit(positions=None, class_token=False), views(run), ratio=ratio)
