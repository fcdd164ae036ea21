"""MAE. ImageNet, 1,600 epochs with a batch of 4,096: ViT-B 83.6 % after fine-tuning (linear 68.0 %), ViT-L 85.9 %."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import VITS

ENCODERS = VITS
SHORT = {"width": 64, "depth": 2, "heads": 4}  # the decoder's


def views(run):
    return run.views(augment.mae, count=1)


def paper(run):
    return keras_ssl.MAE(run.mean_vit(), views(run), **decoder(run)), optimizer(run)


def minutes(run):
    return keras_ssl.MAE(run.mean_vit(), views(run), **SHORT), run.short_adamw(0.05, beta_2=0.95)


def decoder(run):
    return {"width": 128, "depth": 4, "heads": 4} if run.small else {}


def optimizer(run, rate=1.5e-4):
    return run.adamw(rate, weight_decay=0.05, warmup=min(40 / run.epochs, 0.1), beta_2=0.95)
