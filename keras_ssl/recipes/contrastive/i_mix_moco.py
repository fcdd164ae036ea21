"""i-Mix over MoCo v2. CIFAR-10, ResNet-50, up to 4,000 epochs, and ImageNet, 800 epochs with CutMix.

Ahead of MoCo v2 in the paper.
"""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.moco_v2, augment.moco_cifar if run.quick else augment.imix)


def paper(run):
    queue = {"queue_size": 4096} if run.small else {}
    model = method(run, cutmix=not run.small, hidden=2048, **queue)
    return model, run.sgd(0.125 if run.small else 0.015, weight_decay=1e-4)


def minutes(run):
    return method(run, hidden=128, **run.queue()), run.short_sgd(0.06)


def method(run, **options):
    return keras_ssl.IMixMoCo(run.encoder(resnet=run.groups()), views(run), **options)
