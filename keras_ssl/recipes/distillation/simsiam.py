"""SimSiam. ImageNet, 100 epochs: 68.1 %. CIFAR-10, ResNet-18, 800 epochs: 91.8 %; k-NN there follows it closely."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY

SIZES = {"hidden": 512, "dim": 512, "depth": 2, "predictor_hidden": 128}  # in minutes


def views(run):
    return run.views(augment.simsiam, augment.simsiam_cifar)


def paper(run):
    model = keras_ssl.SimSiam(run.encoder(resnet=IDENTITY), views(run), depth=2 if run.small else 3)
    rate, decay = (0.03, 5e-4) if run.small else (0.05, 1e-4)
    return model, run.sgd(rate, weight_decay=decay, warmup=0, constant="predictor")


def minutes(run):
    return keras_ssl.SimSiam(run.encoder(), views(run), **SIZES), run.short_sgd(0.06)
