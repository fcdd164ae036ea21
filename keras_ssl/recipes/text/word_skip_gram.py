"""WordSkipGram. Analogies after 1 billion words of news, 300 dimensions, 5 to 15 drawn words: about 60 % (its paper).

The authors' rate, 0.025 falling to 0 by a straight line, is that of single pairs of words; here a step is a batch of
texts, and the optimizer Adam.
"""

import numpy as np

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import TOKENS

KIND = TOKENS
ENCODERS = ("word_vectors",)
WITHOUT = "it needs the counts of the words, which the samples of a run alone do not tell"


def counts(run):
    """How often each token is there, where the run knows its samples; otherwise all are taken for equally frequent."""
    if run.in_order is None:
        return [1] * run.vocabulary
    data = run.in_order()
    batches = data if hasattr(data, "element_spec") else [data]
    return sum(np.bincount(real_tokens(batch), minlength=run.vocabulary) for batch in batches).tolist()


def real_tokens(batch):
    """The tokens of a batch without its padding, in one row."""
    if not isinstance(batch, dict):
        return np.ravel(batch)
    tokens = np.asarray(batch["token_ids"])
    return tokens[np.asarray(batch["padding_mask"])] if "padding_mask" in batch else tokens.ravel()


def views(run):
    return augment.SubsampleTokens(counts(run), threshold=1e-3)


def minutes(run, method="WordSkipGram", threshold=1e-3):
    encoder, found = encoders.word_vectors(run.vocabulary, run.width or 100), counts(run)
    model = getattr(keras_ssl, method)(encoder, augment.SubsampleTokens(found, threshold), counts=found)
    return model, optimizers.Adam(run.schedule(5e-3, warmup=0.0))
