"""NextSentence. A part of BERT, without numbers of its own; its rates are those of BERTPretraining.

A sample is a pair of texts, with `"segment_ids"` and `"is_next"`: see `keras_ssl.data.sentence_pairs`.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import TOKENS

KIND = TOKENS
ENCODERS = ("text_transformer",)
BASE, SMALL = (768, 12, 12), (128, 2, 4)


def encoder(run, sizes, dropout=0.1):
    width, depth, heads = sizes
    options = {"pooling": "first", "causal": False, "segments": 2, "bert": True, "dropout": dropout}
    return encoders.text_transformer(run.vocabulary, run.shape[0], run.width or width, depth, heads, **options)


def views(run):
    return augment.Unchanged()


def optimizer(run):
    rate = run.schedule(1e-4, warmup=min(10_000 / run.steps, 0.01))
    exclude = ("bias", "norm", "token_bias")
    return optimizers.AdamW(rate, weight_decay=0.01, epsilon=1e-6, exclude=exclude, global_clipnorm=1.0)


def paper(run):
    return keras_ssl.NextSentence(encoder(run, BASE), views(run)), optimizer(run)


def minutes(run):
    return keras_ssl.NextSentence(encoder(run, SMALL, dropout=0.0), views(run)), run.short_adamw(0.01)
