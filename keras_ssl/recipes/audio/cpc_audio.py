"""CPCAudio. LibriSpeech, 100 hours, 300,000 steps: 64.6 % of 41 phones and 97.4 % of 251 speakers.

They are of linear classifiers on the context. The paper's batch is 64 sounds of 20,480 samples at 16 kHz, eight on each
of eight GPUs. The rate stays as it is. For minutes the network is narrow and normalizes its channels, as the one of
Rivière et al. (2002.02848) does.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import AUDIO

KIND = AUDIO
ENCODERS = ("cpc_audio",)


def views(run):
    return augment.AudioCrop(run.shape[0])


def paper(run):
    encoder = encoders.cpc_audio(masked=run.has("audio_mask"))
    return keras_ssl.CPCAudio(encoder, views(run)), optimizers.Adam(2e-4)


def minutes(run):
    encoder = encoders.cpc_audio(filters=(64,) * 5, context=64, norm="layer", masked=run.has("audio_mask"))
    return keras_ssl.CPCAudio(encoder, views(run), negatives=32), optimizers.Adam(run.schedule(2e-3, warmup=1 / 15))
