"""VIbCReg. CIFAR-10, ResNet-18, 1,000 epochs, by others: 91.2 %.

The paper trains on series; images of any size take the recipe of those others.
"""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.vicreg, augment.vicreg_cifar)


def paper(run):
    return keras_ssl.VIbCReg(run.encoder(), views(run)), run.lars(0.3, weight_decay=1e-4, trust=0.02)


def minutes(run):
    return keras_ssl.VIbCReg(run.encoder(), views(run), hidden=512, dim=512, groups=16), run.short_sgd(0.02)
