"""CVRL. Kinetics-400, 200 epochs: 63.8 % top-1 of a linear classifier, and 66.1 % after 800.

The paper's network is a ResNet-50 with time in its last two stages; this is R3D-18. The loss is the sum over both
clips, to which the rate belongs: 0.32 for a batch of 1,024. Rate and warm-up are those of the authors' code for
Kinetics-600.
"""

import keras_ssl
from keras_ssl import augment, encoders
from keras_ssl.inputs import VIDEO

KIND = VIDEO
ENCODERS = ("r3d18",)


def frames(run):
    """The frames of a clip and their stride: 16 and 2, or 1, or fewer, so that two clips fit one after the other."""
    there = run.shape[0]
    if there >= 2 * (15 * 2 + 1):
        return 16, 2
    return min(16, max(min(2, there), there // 2)), 1


def views(run):
    length, stride = frames(run)
    size = run.shape[1:3]
    if min(size) <= 64:
        return augment.cvrl(size, length, stride, blur_p=(0.0, 0.0))
    return augment.cvrl(size, length, stride)


def encoder(run):
    return encoders.r3d18((frames(run)[0], *run.shape[1:]), width=run.width or (16 if run.quick else 64))


def optimizer(run):
    return run.sgd(0.08, 1e-6, warmup=0.025, exclude_vectors=True)


def paper(run):
    return keras_ssl.CVRL(encoder(run), views(run)), optimizer(run)


def minutes(run):
    return keras_ssl.CVRL(encoder(run), views(run), hidden=256, hidden_layers=2), run.short_sgd(0.1)
