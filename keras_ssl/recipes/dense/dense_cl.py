"""DenseCL. ImageNet, 200 epochs: 69.4 mIoU on PASCAL VOC, fine-tuned, and 58.7 AP of detection."""

import keras_ssl
from keras_ssl import augment


def views(run):
    return run.views(augment.moco_v2, augment.moco_cifar)


def paper(run):
    model = keras_ssl.DenseCL(run.encoder(resnet=run.groups()), views(run), **run.queue())
    return model, run.sgd(0.03, weight_decay=5e-4 if run.small else 1e-4, warmup=0)


def minutes(run):
    model = keras_ssl.DenseCL(run.encoder(resnet=run.groups()), views(run), hidden=128, **run.queue())
    return model, run.short_sgd(0.06)
