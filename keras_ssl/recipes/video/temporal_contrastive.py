"""TemporalContrastive. UCF101 and HMDB51 after fine-tuning. No numbers of its training are public: those here are ours.

Eight clips of eight frames, of which five are the first context; for shorter samples, clips of fewer frames.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import VIDEO

KIND = VIDEO
ENCODERS = ("r3d18",)
PAST, STEPS = 5, 3


def length(run):
    """The frames of a clip."""
    return max(1, min(8, run.shape[0] // (PAST + STEPS)))


def views(run):
    return augment.temporal_contrastive(run.shape[1:3], length(run) * (PAST + STEPS))


def method(run, **options):
    clip = length(run)
    width = run.width or (16 if run.quick else 64)
    encoder = encoders.r3d18((clip, *run.shape[1:]), width=width, factorized=True)
    return keras_ssl.TemporalContrastive(encoder, views(run), length=clip, past=PAST, steps=STEPS, **options)


def paper(run):
    return method(run), optimizers.Adam(1e-3)


def minutes(run):
    return method(run, context=128), optimizers.Adam(run.schedule(1e-3, warmup=1 / 15))
