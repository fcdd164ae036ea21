"""Context encoder with an adversary. The paper's inpainting: crops of 128 pixels, the middle of which is removed."""

import keras_ssl
from keras_ssl import optimizers
from keras_ssl.recipes.pretext.context_encoder import views as views

RATES = {"generator": 2e-3, "discriminator": 2e-4}


def paper(run):
    return keras_ssl.AdversarialContextEncoder(run.encoder(), views(run)), players()


def minutes(run):
    model = keras_ssl.AdversarialContextEncoder(run.encoder(), views(run), width=32, discriminator_width=16)
    return model, players()


def players():
    return {name: optimizers.Adam(rate, beta_1=0.5) for name, rate in RATES.items()}
