"""LeJEPA. ImageNet, ViT-H/14: 79 %. Imagenette, ViT-S/8, 800 epochs of the authors' minimal example: 90.7 %.

The score on ImageNet is of the class tokens of the last two blocks, side by side, after layer normalization; that on
Imagenette of a linear layer of 512 units, which the example trains on the class token, before the projector. Here there
is no such layer: the features are the class token. Small images take that example, with views of half the jitter and
no blur. The rates are for any batch.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import RESNETS, VITS

ENCODERS = VITS + RESNETS
VIT = {"positions": "learned"}
PAPER = VIT | {"initializer": "truncated_normal", "drop_path": 0.1}
LARGE = partial(augment.lejepa, count=2, scale=(0.3, 1.0), jitter=(0.4, 0.4, 0.2, 0.1))
SMALL = partial(augment.lejepa, strength=0.5, blur_p=0.0)
SIZES = {"hidden": 512, "dim": 64, "slices": 256}  # in minutes


def views(run, large=LARGE):
    count = 2 if run.quick else 4
    return run.views(partial(SMALL, count=count), count=count) if run.small else run.multi_crop(large, None, count=6)


def decay(run):
    return 5e-2 if run.transformer else 5e-4


def paper(run):
    small = {"dim": 16, "regularizer_weight": 0.02, "slices": 256} if run.small else {}
    model = keras_ssl.LeJEPA(run.encoder(any_size=True, vit=PAPER), views(run), **small)
    peak, final = (2e-3, 1e-3) if run.small else (5e-4, 5e-7)
    rate = run.schedule(peak, min(1 / run.epochs, 0.1), start=peak / 100, final=final)
    return model, optimizers.AdamW(rate, weight_decay=decay(run))


def minutes(run):
    return keras_ssl.LeJEPA(run.encoder(any_size=True, vit=VIT), views(run), **SIZES), short_adamw(run)


def short_adamw(run, **options):
    rate = run.schedule(1e-3 if run.transformer else 3e-3, warmup=2 / 15)
    return optimizers.AdamW(rate, weight_decay=decay(run), **options)
