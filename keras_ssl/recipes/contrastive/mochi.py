"""MoCHi. ImageNet, 200 epochs: about what MoCo v2 has; the paper shows gains on ImageNet-100 and in detection."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.contrastive import moco_v2

FEW = {"hardest": 256, "mixtures": 64, "query_mixtures": 16}  # for a short queue


def views(run):
    return run.views(augment.moco_v2, augment.moco_cifar)


def paper(run):
    return method(run, hidden=2048, **(FEW if run.small else {})), moco_v2.optimizer(run)


def minutes(run):
    hardest = min(FEW["hardest"], run.queue()["queue_size"])
    return method(run, hidden=128, **FEW | {"hardest": hardest}), run.short_sgd(0.06)


def method(run, **options):
    warmup = max(1, round(run.epochs / 20)) * run.steps_per_epoch  # ten epochs of 200
    encoder = run.encoder(resnet=run.groups())
    return keras_ssl.MoCHi(encoder, views(run), warmup=warmup, **options, **run.queue())
