"""RotNet. CIFAR-10, a network in network, 200 epochs: 89.06 % of a classifier on its second block.

The score is of three layers that are trained on all labels. ImageNet, linear, ResNet-50: 55.4 % (of a wide RevNet) in
"Revisiting Self-Supervised Visual Representation Learning", arXiv 1901.09005, whose rates are those of large images
here, without its changes of colors; the paper trains an AlexNet with smaller ones (38.7 % on its third layer). Small
images take the rates of the paper's code for CIFAR-10.
"""

import keras_ssl
from keras_ssl import augment


def views(run):
    size = run.shape[0]
    flip = 0.0 if run.gray else 0.5
    if run.small:
        return augment.Views([augment.RandomCrop(size, padding=size // 8, flip=flip)])
    return augment.Views([augment.RandomResizedCrop(size, scale=(0.08, 1.0), flip=flip)])


def paper(run):
    model = keras_ssl.RotNet(run.encoder(), views(run))
    if run.small:
        return model, run.sgd(0.2, weight_decay=5e-4, warmup=0, nesterov=True)
    return model, run.sgd(0.1, weight_decay=1e-4, warmup=min(5 / run.epochs, 0.15))


def minutes(run):
    return keras_ssl.RotNet(run.encoder(), views(run)), run.short_sgd(0.1)
