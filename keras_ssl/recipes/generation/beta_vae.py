"""Beta-VAE. The paper trains on drawn shapes with Adagrad, on faces and chairs with Adam and a rate of 1e-4."""

import keras_ssl
from keras_ssl.recipes.generation.autoencoder import adam, short_adam
from keras_ssl.recipes.generation.autoencoder import views as views


def paper(run):
    return keras_ssl.BetaVAE(run.encoder(), views(run)), adam(1e-4)


def minutes(run):
    return keras_ssl.BetaVAE(run.encoder(), views(run)), short_adam(run)
