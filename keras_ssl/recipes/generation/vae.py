"""VAE. The paper trains on digits and faces, with Adagrad and batches of 100; here it is Adam."""

import keras_ssl
from keras_ssl.recipes.generation.autoencoder import adam, short_adam
from keras_ssl.recipes.generation.autoencoder import views as views


def paper(run):
    return keras_ssl.VAE(run.encoder(), views(run)), adam()


def minutes(run):
    return keras_ssl.VAE(run.encoder(), views(run)), short_adam(run)
