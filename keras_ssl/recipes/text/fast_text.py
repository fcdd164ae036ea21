"""FastText. The rank correlation with people on rare words of English after Wikipedia: 0.47 (its paper).

A run does not know its words, only their numbers: here words have no parts, unless the encoder is made with `words`.
The rest is as with WordSkipGram, with the threshold of the authors' code.
"""

from keras_ssl import augment
from keras_ssl.inputs import TOKENS
from keras_ssl.recipes.text import word_skip_gram
from keras_ssl.recipes.text.word_skip_gram import ENCODERS, counts

KIND = TOKENS
WITHOUT = "it needs the letters of the words and their counts, which the samples of a run alone do not tell"
__all__ = ["ENCODERS", "KIND", "WITHOUT", "minutes", "views"]


def views(run):
    return augment.SubsampleTokens(counts(run), threshold=1e-4)


def minutes(run):
    return word_skip_gram.minutes(run, "FastText", threshold=1e-4)
