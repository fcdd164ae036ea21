"""LeJEPA. ImageNet, ViT-H/14: 79 %. Imagenette, ViT-S/8, 800 epochs of the authors' minimal example: 90.7 %.

Small images take that example, with views of half the jitter and no blur. The rates are for any batch.
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


def views(run):
    count = 2 if run.quick else 4
    return run.views(partial(SMALL, count=count), count=count) if run.small else run.multi_crop(LARGE, None, count=6)


def paper(run):
    small = {"dim": 16, "regularizer_weight": 0.02, "slices": 256} if run.small else {}
    model = keras_ssl.LeJEPA(run.encoder(any_size=True, vit=PAPER), views(run), **small)
    rates = {"peak": 2e-3, "start": 2e-5, "final": 1e-3, "warmup": min(1 / run.epochs, 0.1)}
    rate = run.schedule(**rates if run.small else {"peak": 5e-4, "final": 5e-7})
    return model, optimizers.AdamW(rate, weight_decay=5e-2 if run.transformer else 5e-4)


def minutes(run):
    sizes = {"hidden": 512, "dim": 64, "slices": 256}
    model = keras_ssl.LeJEPA(run.encoder(any_size=True, vit=VIT), views(run), **sizes)
    rate, decay = (1e-3, 5e-2) if run.transformer else (3e-3, 5e-4)
    return model, optimizers.AdamW(run.schedule(rate, warmup=2 / 15), weight_decay=decay)
