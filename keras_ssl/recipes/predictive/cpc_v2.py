"""CPCv2. ImageNet, ResNet-50, 200 epochs: 63.8 %; ResNet-161 71.5 %.

The authors' patches have 80 of 260 pixels, every 36, and are changed each by itself, with the operations of
AutoAugment, elastic deformations and a loss of colors; here without the deformations. Small images have the grid of a
port to CIFAR-10: 5 x 5 patches of 10 pixels, every 5.
"""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.predictive import cpc
from keras_ssl.recipes.run import RESNETS

ENCODERS = RESNETS
OPERATIONS = ("shear_x", "shear_y", "rotate", "contrast", "brightness", "color", "sharpness")


def grid(run):
    if run.small:
        return cpc.grid(run, rows=5)
    stride = round(run.shape[0] * 36 / 260)
    return {"grid": 6, "patch": run.shape[0] - 5 * stride, "stride": stride}


def views(run):
    if run.gray:
        changed = [augment.ColorJitter(0.4, 0.4, p=0.8)]
    else:
        changed = [
            augment.RandAugment(2, 5, operations=OPERATIONS), augment.RandomFlip(0.5), augment.Grayscale(0.25),
            augment.ChannelDrop(keep=1, fill=128.0, p=0.5),
        ]  # fmt: skip
    layers = [*cpc.cropped(run, grid(run)), augment.PerPatch(augment.View(changed))]
    return augment.Views(augment.View(layers), 1)


def paper(run):
    optimizer = optimizers.Adam(4e-4, beta_1=0.8, epsilon=1e-8)
    return keras_ssl.CPCv2(cpc.network(run), views(run), **grid(run)), optimizer


def minutes(run):
    sizes = grid(run) | {"hidden": 64, "depth": 3}
    return keras_ssl.CPCv2(cpc.network(run), views(run), **sizes), optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
