"""EMP-SSL. CIFAR-10, ResNet-18, 20 patches: 80.6 % after one epoch of 30, 93.1 % after all, by the authors' features.

These are the hidden layer after the encoder, averaged over the patches of an image: `EMPSSL.patch_features`. The paper
has small images and ImageNet-100; all take its recipe for CIFAR-10, which has no warm-up.
"""

from functools import partial

import keras_ssl
from keras_ssl import augment


def views(run):
    count = 4 if run.quick else 20
    return run.views(partial(augment.emp_ssl, count=count), count=count)


def paper(run):
    model = keras_ssl.EMPSSL(run.encoder(), views(run))
    options = {"trust": 5e-3, "nesterov": True, "clipped": True}
    return model, run.lars(0.3 * 256 / 100, weight_decay=1e-4, warmup=0, **options)


def minutes(run):
    return keras_ssl.EMPSSL(run.encoder(), views(run), hidden=512, dim=256), run.short_sgd(0.02)
