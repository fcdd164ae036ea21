"""SimCLR. ImageNet, 1,000 epochs: 69.3 %. CIFAR-10, ResNet-18, 1,000 epochs: about 91 %."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY


def views(run):
    return run.views(augment.simclr, augment.simclr_cifar)


def paper(run):
    model = keras_ssl.SimCLR(run.encoder(resnet=IDENTITY), views(run), temperature=0.5 if run.small else 0.1)
    return model, run.lars(1.0 if run.small else 0.3, weight_decay=1e-4 if run.small else 1e-6)


def minutes(run):
    # 0.5, the paper's temperature for CIFAR-10, is for 1,000 epochs; a lower one learns faster.
    return keras_ssl.SimCLR(run.encoder(), views(run), temperature=0.2), run.short_sgd(0.2)
