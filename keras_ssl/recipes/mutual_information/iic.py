"""IIC. STL-10, ResNet-34, 2,000 rounds: 61.0 % of the images in the cluster of their class; CIFAR-10 61.7 %.

A round of the authors is a pass for each head: two passes over STL-10, three over CIFAR-10, 4,000 and 6,000 epochs of
`fit` in all. The networks see slopes, of one crop and of five changed ones, or three for small images. Rates are for
any batch; the authors' are of 140 images and 700 pairs, or 220 and 660. A data set of another number of classes needs
its own number of clusters. Gray images are not flipped; the authors rotate digits by up to 25 degrees, which is left
out. They score whole images cut to the crop's share in the middle, which here is up to the caller. Slopes are of the
mean of the colors, theirs of the luma.
"""

import keras_ssl
from keras_ssl import augment, optimizers


def share(run):
    """The crop's side as a part of the image's."""
    return 20 / 32 if run.small else 64 / 96


def views(run, changed=None):
    side, part = run.shape[0], share(run) ** 2
    changed = changed or (3 if run.small else 5)
    crop = augment.RandomResizedCrop(side, scale=(part, part), ratio=(1.0, 1.0))
    if run.gray:
        layers = [crop, augment.ColorJitter(0.4, 0.4, p=1.0)]
    else:
        layers = [crop, augment.RandomFlip(0.5), augment.ColorJitter(0.4, 0.4, 0.4, 0.125, p=1.0)]
    return augment.Views([augment.View([crop]), *[augment.View(layers)] * changed])


def paper(run):
    passes = (1, 2) if run.small else (1, 1)
    model = keras_ssl.IIC(run.encoder(slopes=True), views(run), phase=run.steps_per_epoch, passes=passes)
    return model, optimizers.Adam(1e-4)


def minutes(run):
    model = keras_ssl.IIC(run.encoder(slopes=True), views(run, changed=1))
    return model, optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
