"""FroSSL. ImageNet-100, 400 epochs; CIFAR-10, ResNet-18, 1,000 epochs: the recipe is the same.

ImageNet has the views of VICReg and twice the weight of the invariance; other images have those of SimCLR.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import CLIPPED


def views(run):
    small = augment.simclr_cifar if run.quick else augment.simclr
    return run.views(augment.vicreg, small)


def paper(run):
    weight = 1.0 if run.small else 2.0
    model = keras_ssl.FroSSL(run.encoder(), views(run), invariance_weight=weight)
    return model, run.lars(0.3, weight_decay=1e-4, **CLIPPED)


def minutes(run):
    return keras_ssl.FroSSL(run.encoder(), views(run), hidden=512, dim=512), run.short_sgd(0.05)
