"""SimCLR v2. ImageNet, 800 epochs: 71.7 %, with selective kernels 74.6 %. The rate goes with the root of the batch."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY, RESNETS

SELECTIVE = RESNETS[2:]  # the networks that the paper gives selective kernels


def views(run):
    return run.views(augment.simclr_v2, augment.simclr_cifar)


def paper(run):
    encoder = run.encoder(resnet=IDENTITY | ({"selective_kernel": True} if run.name in SELECTIVE else {}))
    model = keras_ssl.SimCLRv2(encoder, views(run), temperature=0.5 if run.small else 0.1)
    return model, run.lars(1.6, weight_decay=1e-4, rule="sqrt", warmup=0.05)


def minutes(run):
    return keras_ssl.SimCLRv2(run.encoder(), views(run), temperature=0.2), run.short_sgd(0.2)
