"""VISReg. ImageNet, 400 epochs: ViT-B/16 75.7 %, ViT-L/14 77.0 %.

Small images take the recipe for Imagenette, with views of half the jitter and no blur. The rates are for any batch.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import RESNETS, VITS

ENCODERS = VITS + RESNETS
VIT = {"positions": "learned"}
PAPER = VIT | {"initializer": "truncated_normal", "drop_path": 0.1}
LARGE = partial(augment.lejepa, count=4, scale=(0.3, 1.0), jitter=(0.4, 0.4, 0.2, 0.1))
SMALL = partial(augment.lejepa, strength=0.5, blur_p=0.0)


def views(run):
    count = 2 if run.quick else 4
    return run.views(partial(SMALL, count=count), count=count) if run.small else run.multi_crop(LARGE, None, count=6)


def paper(run):
    settings = {"dim": 128, "regularizer_weight": 0.6} if run.small else {"activation": "gelu"}
    model = keras_ssl.VISReg(run.encoder(any_size=True, vit=PAPER), views(run), **settings)
    peak, warmup = (1e-3, 1) if run.small else (9e-4, 5)
    rate = run.schedule(peak, min(warmup / run.epochs, 0.1), start=peak / 1000, final=peak / 1000)
    return model, optimizers.AdamW(rate, weight_decay=5e-2, global_clipnorm=1.0)


def minutes(run):
    settings = {"hidden": 512, "dim": 64, "slices": 256, "regularizer_weight": 0.6}
    model = keras_ssl.VISReg(run.encoder(any_size=True, vit=VIT), views(run), **settings)
    rate, decay = (1e-3, 5e-2) if run.transformer else (3e-3, 5e-4)
    return model, optimizers.AdamW(run.schedule(rate, warmup=2 / 15), weight_decay=decay, global_clipnorm=1.0)
