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
    encoder = run.encoder(resnet=IDENTITY)
    model = keras_ssl.DirectCLR(encoder, views(run), dim=seen(encoder))
    return model, run.lars(0.3, weight_decay=1e-6, final=3e-4)


def minutes(run):
    encoder = run.encoder()
    return keras_ssl.DirectCLR(encoder, views(run), dim=seen(encoder), temperature=0.2), run.short_sgd(0.2)


def seen(encoder):
    return max(1, round(encoder.output_shape[-1] * 360 / 2048))
