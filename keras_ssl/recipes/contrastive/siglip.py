"""SigLIP: for minutes only, with captions that name the class, so that it learns from labels as SupCon does."""

import keras_ssl
from keras_ssl import encoders
from keras_ssl.recipes.contrastive import clip

WITHOUT = "it learns from captions"
views = clip.views


def minutes(run):
    text_encoder = encoders.text_transformer(vocabulary=258, length=24, width=64, depth=2, heads=4)
    model = keras_ssl.SigLIP(run.encoder(), views(run), text_encoder=text_encoder, dim=64, bias=-2.71)
    return model, run.short_adamw(0.1, beta_2=0.95, global_clipnorm=1.0)
