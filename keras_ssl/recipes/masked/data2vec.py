"""data2vec. ImageNet, batch 2,048: ViT-B 84.2 % after fine-tuning (800 epochs), ViT-L 86.6 %.

The momentum is that of the authors' ViT-B, and hardly moves in runs of few thousand steps.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.views(augment.data2vec, count=1)


def paper(run):
    optimizer = run.adamw(2.5e-4, weight_decay=0.05, start=1.25e-7, final=1e-5, global_clipnorm=3.0)
    return method(run, drop_path=0.25), optimizer


def minutes(run):
    momenta = {"start_momentum": 0.97, "momentum": 0.999, "ramp_steps": run.steps}
    return method(run, target_blocks=3, **momenta), run.short_adamw(0.05, global_clipnorm=3.0)


def method(run, drop_path=0.0, **settings):
    encoder = run.mean_vit(initializer="truncated_normal", drop_path=drop_path)
    return keras_ssl.Data2Vec(encoder, views(run), **settings)
