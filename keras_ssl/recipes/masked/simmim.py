"""SimMIM. ImageNet, ViT-B, 800 epochs with a batch of 2,048: 83.8 % after fine-tuning."""

import keras_ssl
from keras_ssl import augment
from keras_ssl.recipes.run import VITS

ENCODERS = VITS


def views(run):
    return run.views(augment.simmim, count=1)


def paper(run):
    return method(run, drop_path=0.1), run.adamw(5e-5, weight_decay=0.05, global_clipnorm=5.0)


def minutes(run):
    return method(run), run.short_adamw(0.05, global_clipnorm=5.0)


def method(run, **vit):
    # Squares of 32 of 192 pixels, or as near to it as patches allow.
    unit = run.fit(run.shape[0] / (4 if run.small else 6))
    unit = next(side for side in range(unit, 0, -run.patch) if run.shape[0] % side == 0)
    return keras_ssl.SimMIM(run.mean_vit(initializer="truncated_normal", **vit), views(run), unit=unit)
