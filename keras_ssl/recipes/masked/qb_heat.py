"""QB-Heat. ImageNet; the sizes of its decoder and its rates are not the paper's."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.masked import mae
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.views(augment.mae, count=1)


def paper(run):
    return keras_ssl.QBHeat(run.mean_vit(), views(run), normalize=True), mae.optimizer(run)


def minutes(run):
    model = keras_ssl.QBHeat(run.mean_vit(), views(run), width=128, depth=2, heads=4, normalize=True)
    return model, run.short_adamw(0.05, beta_2=0.95)
