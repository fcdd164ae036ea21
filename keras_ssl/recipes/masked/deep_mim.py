"""DeepMIM. ImageNet, ViT-B, 1,600 epochs: 84.2 % after fine-tuning. Its rate is that of MAE."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.masked import mae
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.views(augment.mae, count=1)


def paper(run):
    return keras_ssl.DeepMIM(run.mean_vit(), views(run)), mae.optimizer(run)


def minutes(run):
    model = keras_ssl.DeepMIM(run.mean_vit(), views(run), width=64, depth=1, heads=4)
    return model, run.short_adamw(0.05, beta_2=0.95)
