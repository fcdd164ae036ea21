"""VISReg. ImageNet, 400 epochs: ViT-B/16 75.7 %, ViT-L/14 77.0 %.

These scores are of the class tokens of the last four blocks; here the features are the class token of the last one.
Small images take the recipe for Imagenette, with views of half the jitter and no blur. The rates are for any batch. The
authors have transformers; ResNets take LeJEPA's decay.
"""

from functools import partial

import keras_ssl
from keras_ssl import optimizers
from keras_ssl.recipes.redundancy import lejepa

ENCODERS = lejepa.ENCODERS
LARGE = partial(lejepa.LARGE, count=4)


def views(run):
    return lejepa.views(run, LARGE)


def paper(run):
    settings = {"dim": 128, "regularizer_weight": 0.6} if run.small else {"activation": "gelu"}
    model = keras_ssl.VISReg(run.encoder(any_size=True, vit=lejepa.PAPER), views(run), **settings)
    peak, warmup = (1e-3, 1) if run.small else (9e-4, 5)
    rate = run.schedule(peak, min(warmup / run.epochs, 0.1), start=peak / 1000, final=peak / 1000)
    return model, optimizers.AdamW(rate, weight_decay=lejepa.decay(run), global_clipnorm=1.0)


def minutes(run):
    settings = lejepa.SIZES | {"regularizer_weight": 0.6}
    model = keras_ssl.VISReg(run.encoder(any_size=True, vit=lejepa.VIT), views(run), **settings)
    return model, lejepa.short_adamw(run, global_clipnorm=1.0)
