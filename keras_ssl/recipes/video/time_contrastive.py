"""TimeContrastive, of one camera. Batches are one sequence of 36 frames, embeddings have 32 numbers.

These are the defaults of the authors' code. Its setting for the videos of pouring is another: two cameras, another loss
(n-pairs), 32 frames, a rate of 1e-4 and dropout. The paper trains convolutions on the frozen first blocks of an
Inception trained on ImageNet; this trains a ResNet from the start. The rate stays as it is.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import VIDEO
from keras_ssl.recipes.run import RESNETS

KIND = VIDEO
ENCODERS = RESNETS


def views(run):
    return augment.time_contrastive(run.shape[1:3], min(36, run.shape[0]))


def method(run, **options):
    frames = min(36, run.shape[0])
    near = min(6, max(1, frames // 6))
    stem = "cifar" if min(run.shape[1:3]) <= 64 else "imagenet"
    width = {"width": run.width or 16} if run.quick or run.width else {}
    images = getattr(encoders, run.name)(run.shape[1:], stem=stem, **width)
    encoder = encoders.over_time(encoders.tcn(images, **options))
    return keras_ssl.TimeContrastive(encoder, views(run), near=near, far=2 * near)


def paper(run):
    return method(run), optimizers.Adam(1e-3, weight_decay=1e-6, exclude_vectors=True)


def minutes(run):
    return method(run, filters=(64,), hidden=256), optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
