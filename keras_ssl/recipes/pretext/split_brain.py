"""Split-brain autoencoder. ImageNet, AlexNet in two halves: 35.4 % (third convolution).

Both halves are half as wide as the encoder that was asked for. The optimizer is Colorization's. As many places are
told as in the authors' network: 12 x 12 of 180 pixels.
"""

import dataclasses

import keras_ssl
from keras_ssl.recipes.pretext.colorization import adam, short_adam
from keras_ssl.recipes.pretext.colorization import views as views
from keras_ssl.recipes.pretext.cross_channel_encoder import stride
from keras_ssl.recipes.run import RESNETS

ENCODERS = RESNETS


def paper(run):
    made = views(run)
    return keras_ssl.SplitBrain(halves(run), made, stride=stride(run)), adam(run)


def minutes(run):
    made = views(run)
    return keras_ssl.SplitBrain(halves(run), made, width=64), short_adam(run)


def halves(run):
    half = dataclasses.replace(run, width=(run.width or 64) // 2)
    return [half.encoder(channels=channels) for channels in (1, 2)]
