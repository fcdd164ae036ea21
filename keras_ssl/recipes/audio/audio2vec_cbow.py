"""Audio2VecCBoW. AudioSet, slices of 975 ms: 71 % on the words of Speech Commands, 97 % of music against speech.

They are of logistic regression on frozen features of a network of 125,000 weights. The batch and the rate, which stays
as it is, are the field's usual ones. Slices have 96 frames, or as many as let five of them into a shorter sound.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import AUDIO

KIND = AUDIO
ENCODERS = ("audio2vec",)


def views(run):
    return augment.AudioCrop(run.shape[0])


def paper(run, method="Audio2VecCBoW"):
    front = encoders.LogMel(run.rate)
    within = (run.shape[0] - front.frame) // front.step + 1  # frames of a whole sound
    frames = min(96, (within - 4 * 2) // 5)
    model = getattr(keras_ssl, method)(
        encoders.audio2vec(front=front), views(run), spectrogram=front, frames=frames
    )
    return model, optimizers.Adam(1e-3)


def minutes(run, method="Audio2VecCBoW"):
    model, _ = paper(run, method)
    return model, optimizers.Adam(run.schedule(2e-3, warmup=1 / 15))
