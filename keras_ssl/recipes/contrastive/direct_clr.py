"""DirectCLR. ImageNet, 100 epochs with a batch of 4,096: 62.7 %; SimCLR there 66.5 %, without a projector 51.5 %.

The loss sees 360 of 2,048 features, and as large a part of those of other encoders.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import IDENTITY, RESNETS

ENCODERS = RESNETS


def views(run):
    return run.views(augment.simclr, augment.simclr_cifar)


def paper(run):
    model = keras_ssl.DirectCLR(run.encoder(resnet=IDENTITY), views(run), dim=seen(run))
    return model, run.lars(0.3, weight_decay=1e-6, final=3e-4)


def minutes(run):
    return keras_ssl.DirectCLR(run.encoder(), views(run), dim=seen(run), temperature=0.2), run.short_sgd(0.2)


def seen(run):
    features = (run.width or 64) * (8 if run.name in ("resnet18", "resnet34") else 32)
    return max(1, round(features * 360 / 2048))
