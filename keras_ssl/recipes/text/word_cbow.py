"""WordCBOW. Analogies after 783 million words of news, three times, 300 dimensions: 36 % (its paper).

The rest is as with WordSkipGram.
"""

from keras_ssl.inputs import TOKENS
from keras_ssl.recipes.text import word_skip_gram
from keras_ssl.recipes.text.word_skip_gram import ENCODERS, WITHOUT, views

KIND = TOKENS
__all__ = ["ENCODERS", "KIND", "WITHOUT", "minutes", "views"]


def minutes(run):
    return word_skip_gram.minutes(run, "WordCBOW")
