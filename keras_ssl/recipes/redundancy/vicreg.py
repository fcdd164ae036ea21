"""VICReg. ImageNet, 1,000 epochs: 73.2 %. Sizes for small images are those that others found on CIFAR-10."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY


def views(run):
    return run.views(augment.vicreg, augment.vicreg_cifar)


def paper(run):
    dim = 2048 if run.small else 8192
    model = keras_ssl.VICReg(run.encoder(resnet=IDENTITY), views(run), hidden=dim, dim=dim)
    if run.small:
        return model, run.lars(0.3, weight_decay=1e-4)
    return model, run.lars(0.2, weight_decay=1e-6, final=2e-4)


def minutes(run):
    return keras_ssl.VICReg(run.encoder(), views(run), hidden=512, dim=512), run.short_sgd(0.02)
