"""AAE. The paper trains on digits and faces, with SGD and dense networks; here it is Adam."""

import keras_ssl
from keras_ssl import optimizers
from keras_ssl.recipes.generation.autoencoder import views as views


def paper(run):
    return keras_ssl.AAE(run.encoder(), views(run)), players(1e-3)


def minutes(run):
    return keras_ssl.AAE(run.encoder(), views(run), hidden=256), players(run.schedule(1e-3, warmup=1 / 15))


def players(rate):
    return {name: optimizers.Adam(rate, beta_1=0.5) for name in ("autoencoder", "discriminator")}
