"""VINCE. R2V2, 200 epochs of 5,000 steps: 40.0 % on ImageNet, 49.5 % on SUN scenes, 36.2 % on Kinetics.

They are of a linear classifier on a ResNet-18. A batch is 64 videos of four frames each; the rate is that for 256
frames, rises over the first 500 steps, and falls along half a cosine, where the paper lowers it in stairs.
"""

import keras_ssl
from keras_ssl import augment, encoders
from keras_ssl.inputs import VIDEO
from keras_ssl.recipes.run import RESNETS

KIND = VIDEO
ENCODERS = RESNETS
FRAMES = 4


def views(run):
    return augment.vince(run.shape[1:3], FRAMES)


def method(run, **options):
    groups = 8 if run.batch * FRAMES % 8 == 0 else 1
    stem = "cifar" if min(run.shape[1:3]) <= 64 else "imagenet"
    width = {"width": run.width or 16} if run.quick or run.width else {}
    images = getattr(encoders, run.name)(run.shape[1:], stem=stem, batch_norm_groups=groups, **width)
    return keras_ssl.VINCE(encoders.over_time(images), views(run), **options)


def paper(run):
    return method(run), run.sgd(0.03 * FRAMES, 1e-4, warmup=min(500 / run.steps, 0.1))


def minutes(run):
    size = max(FRAMES * run.batch, min(4096, FRAMES * run.count // 2))
    return method(run, queue_size=size, momentum=0.99, temperature=0.1), run.short_sgd(0.06 * FRAMES)
