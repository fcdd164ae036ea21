"""Cross-channel encoder: of the lightness, which tells the colors. The optimizer is Colorization's.

As many places are told as in the authors' network: 12 x 12 of 180 pixels.
"""

import keras_ssl
from keras_ssl.recipes.pretext.colorization import adam, short_adam
from keras_ssl.recipes.pretext.colorization import views as views


def paper(run):
    made = views(run)
    return keras_ssl.CrossChannelEncoder(run.encoder(channels=1), made, stride=stride(run)), adam(run)


def minutes(run):
    made = views(run)
    return keras_ssl.CrossChannelEncoder(run.encoder(channels=1), made, width=64), short_adam(run)


def stride(run):
    return 4 if run.small else 16
