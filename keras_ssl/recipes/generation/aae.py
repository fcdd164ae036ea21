"""AAE. The paper trains on digits and faces, with SGD and dense networks; here it is Adam."""

import keras_ssl
from keras_ssl import optimizers
from keras_ssl.recipes.generation.autoencoder import views as views


def paper(run):
    players = {name: optimizers.Adam(1e-3, beta_1=0.5) for name in keras_ssl.AAE.players}
    return keras_ssl.AAE(run.encoder(), views(run)), players


def minutes(run):
    model = keras_ssl.AAE(run.encoder(), views(run), hidden=256)
    return model, {name: optimizers.Adam(run.schedule(1e-3, warmup=1 / 15), beta_1=0.5) for name in model.players}
