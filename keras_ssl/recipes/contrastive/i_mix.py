"""i-Mix. CIFAR-10, ResNet-50, up to 4,000 epochs; the paper shows it ahead of the same contrast without mixing."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.moco_v2, augment.moco_cifar if run.quick else augment.imix)


def paper(run):
    model = keras_ssl.IMix(run.encoder(), views(run), cutmix=not run.small)
    return model, run.sgd(0.125, weight_decay=1e-4)


def minutes(run):
    return keras_ssl.IMix(run.encoder(), views(run), temperature=0.2), run.short_sgd(0.2)
