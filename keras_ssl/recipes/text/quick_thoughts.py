"""QuickThoughts. Two bidirectional GRUs of 1,200 units on 46 million sentences of books (its authors' code).

Here the two encoders are transformers. A sample is a pair of neighbors, with `"segment_ids"`.
"""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.inputs import TOKENS
from keras_ssl.recipes.text.causal_lm import ENCODERS, encoder

KIND = TOKENS
__all__ = ["ENCODERS", "KIND", "minutes", "paper", "views"]


def views(run):
    return augment.SplitSegments()


def paper(run, sizes=(512, 4, 8)):
    one, other = (encoder(run, False, *sizes) for _ in range(2))
    return keras_ssl.QuickThoughts(one, views(run), other=other), optimizers.Adam(5e-4)


def minutes(run):
    return paper(run, (128, 2, 4))[0], run.short_adamw(0.01)
