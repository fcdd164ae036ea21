"""TemporalGap. AudioSet, slices of 975 ms: 67 % on the words of Speech Commands, 95 % of music against speech.

They are of logistic regression on frozen features of a network of 125,000 weights. The batch and the rate, which stays
as it is, are the field's usual ones. Slices are 975 ms long, or a third of a shorter sound.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import AUDIO

KIND = AUDIO
ENCODERS = ("audio2vec",)


def views(run):
    return augment.AudioCrop(run.shape[0])


def encoder(run):
    return encoders.audio2vec(front=encoders.LogMel(run.rate), masked=run.has("audio_mask"))


def paper(run):
    length = min(round(0.975 * run.rate), run.shape[0] // 3)
    return keras_ssl.TemporalGap(encoder(run), views(run), length=length), optimizers.Adam(1e-3)


def minutes(run):
    model, _ = paper(run)
    return model, optimizers.Adam(run.schedule(2e-3, warmup=1 / 15))
