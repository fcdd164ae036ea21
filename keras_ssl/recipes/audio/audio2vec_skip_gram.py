"""Audio2VecSkipGram. AudioSet, slices of 975 ms: 69 % on the words of Speech Commands, 97 % of music against speech.

They are of logistic regression on frozen features of a network of 125,000 weights. All else is as with `Audio2VecCBoW`.
"""

from keras_ssl.inputs import AUDIO
from keras_ssl.recipes.audio import audio2vec_cbow
from keras_ssl.recipes.audio.audio2vec_cbow import views  # noqa: F401

KIND = AUDIO
ENCODERS = ("audio2vec",)


def paper(run):
    return audio2vec_cbow.paper(run, "Audio2VecSkipGram")


def minutes(run):
    return audio2vec_cbow.minutes(run, "Audio2VecSkipGram")
