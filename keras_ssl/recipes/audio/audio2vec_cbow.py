"""Audio2VecCBoW. AudioSet, slices of 975 ms: 71 % on the words of Speech Commands, 97 % of music against speech.

They are of logistic regression on frozen features of a network of 125,000 weights. The batch and the rate, which stays
as it is, are the field's usual ones. Spectrograms are standardized, band by band. Slices have 96 frames, or as many as
let five of them into a shorter sound.
"""

import numpy as np

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import AUDIO

KIND = AUDIO
ENCODERS = ("audio2vec",)


def fitted(run):
    """Log-mel bands, standardized by up to 1,024 of the sounds to train on, so that their errors count alike."""
    front = encoders.LogMel(run.rate)
    if run.in_order is None:
        return front
    sounds = run.in_order()
    columns = sounds if isinstance(sounds, dict) else {"audio": sounds}
    count = len(columns["audio"])
    rows = np.unique(np.linspace(0, count - 1, min(count, 1024)).astype(int))
    parts = np.array_split(rows, -(-len(rows) // 64))
    return front.fitted([{name: np.asarray(values[part]) for name, values in columns.items()} for part in parts])


def views(run):
    return augment.AudioCrop(run.shape[0])


def paper(run, method="Audio2VecCBoW"):
    front = fitted(run)
    within = (run.shape[0] - front.frame) // front.step + 1  # frames of a whole sound
    frames = min(96, (within - 4 * 2) // 5)
    model = getattr(keras_ssl, method)(
        encoders.audio2vec(front=front, masked=run.has("audio_mask")), views(run), spectrogram=front, frames=frames
    )
    return model, optimizers.Adam(1e-3)


def minutes(run, method="Audio2VecCBoW"):
    model, _ = paper(run, method)
    return model, optimizers.Adam(run.schedule(2e-3, warmup=1 / 15))
