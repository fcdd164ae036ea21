"""AMDIM. ImageNet at 128 pixels, a network of 626 million weights, 150 epochs: 68.1 %. CIFAR-10: 91.3 %.

The authors' network is `keras_ssl.encoders.amdim_net`. A ResNet has its maps after its third and fourth stage, and pads
them. The rate falls in two steps in the authors' code.
"""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import RESNETS

ENCODERS = RESNETS
BLOCKS = {"resnet18": (2, 2), "resnet34": (6, 3), "resnet50": (6, 3), "resnet101": (23, 3), "resnet152": (36, 3)}


def views(run):
    """Two draws of one flip: of small images shifted ones, most often, in a mirrored margin; of others crops."""
    side = run.shape[0]
    if run.small:
        place = augment.Sometimes(augment.RandomCrop(side, padding=4, reflect=True), p=0.8)
    else:
        place = augment.RandomResizedCrop(side, scale=(0.3, 1.0), ratio=(0.7, 1.4))
    if run.gray:
        return augment.Views(augment.View([place, augment.ColorJitter(0.4, 0.4, p=0.8)]), 2)
    colors = [augment.ColorJitter(0.4, 0.4, 0.4, 0.2 if run.small else 0.1, p=0.8), augment.Grayscale(0.25)]
    return augment.View([augment.RandomFlip(0.5), augment.Views(augment.View([place, *colors]), 2)])


def maps(run):
    third, fourth = BLOCKS[run.name]
    return {"large": f"stage3_block{third}_relu", "small": f"stage4_block{fourth}_relu"}


def paper(run):
    rate = run.schedule(2e-4, warmup=min(500 / run.steps, 0.1))
    optimizer = optimizers.Adam(rate, weight_decay=1e-5, beta_1=0.8, epsilon=1e-8)
    return keras_ssl.AMDIM(run.encoder(), views(run), **maps(run)), optimizer


def minutes(run):
    model = keras_ssl.AMDIM(run.encoder(), views(run), **maps(run))
    return model, optimizers.Adam(run.schedule(1e-3, warmup=1 / 15), weight_decay=1e-5)
