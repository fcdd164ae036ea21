"""CLIP: for minutes only, with captions that name the class, so that it learns from labels as SupCon does."""

import keras_ssl
from keras_ssl import augment, encoders

WITHOUT = "it learns from captions"


def views(run):
    return augment.Views(augment.RandomResizedCrop(run.shape[0], (0.5, 1.0), flip=0.5), 1)


def minutes(run):
    text_encoder = encoders.text_transformer(vocabulary=258, length=24, width=64, depth=2, heads=4)
    model = keras_ssl.CLIP(run.encoder(), views(run), text_encoder=text_encoder, dim=64)
    return model, run.short_adamw(0.1, beta_2=0.98)
