"""VICRegL. ImageNet, 300 epochs, alpha 0.9: 71.2 %, and 54.0 mIoU on PASCAL VOC with a linear layer; 0.75: 70.4, 55.9.

A shorter run has a higher rate. Sizes for small images are those of VICReg.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY

SHORT = {"hidden": 512, "dim": 512, "local_hidden": 128, "local_dim": 128}


def views(run):
    return augment.Located(run.views(augment.byol, augment.byol_cifar))


def paper(run):
    dim = 2048 if run.small else 8192
    model = keras_ssl.VICRegL(run.encoder(resnet=IDENTITY), views(run), hidden=dim, dim=dim)
    rate = 0.2 if run.epochs > 150 else 0.3
    return model, run.lars(rate, weight_decay=1e-6, final=rate / 1000)


def minutes(run):
    return keras_ssl.VICRegL(run.encoder(), views(run), **SHORT), run.short_sgd(0.02)
