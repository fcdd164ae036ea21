"""Cross-channel encoder: of the lightness, which tells the colors. The optimizer is Colorization's."""

import keras_ssl
from keras_ssl import optimizers
from keras_ssl.recipes.pretext.colorization import short_adam
from keras_ssl.recipes.pretext.colorization import views as views


def paper(run):
    made = views(run)
    return keras_ssl.CrossChannelEncoder(run.encoder(channels=1), made), adam(run)


def minutes(run):
    made = views(run)
    return keras_ssl.CrossChannelEncoder(run.encoder(channels=1), made, width=64), short_adam(run)


def adam(run):
    return optimizers.Adam(run.schedule(3e-5, warmup=0), weight_decay=1e-3, beta_2=0.99)
