"""Denoising autoencoder. The paper trains on digits, layer by layer, with a part of the numbers hidden that it chooses.

Here all layers learn at once, with Adam.
"""

import keras_ssl
from keras_ssl.recipes.generation.autoencoder import adam, short_adam
from keras_ssl.recipes.generation.autoencoder import views as views


def paper(run):
    return keras_ssl.DenoisingAutoencoder(run.encoder(), views(run)), adam()


def minutes(run):
    return keras_ssl.DenoisingAutoencoder(run.encoder(), views(run)), short_adam(run)
