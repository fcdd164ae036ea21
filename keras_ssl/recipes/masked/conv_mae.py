"""ConvMAE. ImageNet, 1,600 epochs: 85.0 % after fine-tuning. Its rate is that of MAE."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.masked import mae
from keras_ssl.recipes.run import PYRAMIDS

ENCODERS = PYRAMIDS


def views(run):
    return run.views(augment.mae, count=1)


def paper(run):
    return keras_ssl.ConvMAE(run.pyramid(), views(run), **mae.decoder(run)), mae.optimizer(run)


def minutes(run):
    return keras_ssl.ConvMAE(run.pyramid(), views(run), **mae.SHORT), run.short_adamw(0.05, beta_2=0.95)
