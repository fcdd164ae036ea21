"""BERTPretraining. 12 layers of width 768 on 3,300 million words, a million steps of 256 pairs: 79.6 on GLUE.

A sample is a pair of texts, with `"segment_ids"` and `"is_next"`: see `keras_ssl.data.sentence_pairs`, whose special
tokens are taken. The rate falls along half a cosine, the paper's by a straight line.
"""

import keras_ssl
from keras_ssl import augment
from keras_ssl.inputs import TOKENS
from keras_ssl.recipes.text.next_sentence import BASE, ENCODERS, SMALL, encoder, optimizer

KIND = TOKENS
SPECIAL = {"mask_id": 4, "special": (0, 1, 2, 3, 4)}  # of the vocabularies of keras_ssl.data
__all__ = ["ENCODERS", "KIND", "minutes", "paper", "views"]


def views(run):
    return augment.Unchanged()


def paper(run):
    return keras_ssl.BERTPretraining(encoder(run, BASE), views(run), **SPECIAL), optimizer(run)


def minutes(run):
    encoded = encoder(run, SMALL, dropout=0.0)
    return keras_ssl.BERTPretraining(encoded, views(run), **SPECIAL), run.short_adamw(0.01)
