"""BEiT: for minutes only, with a tokenizer that is trained on the way, for as many steps as BEiT itself."""

import keras_ssl
from keras_ssl import augment, optimizers
from keras_ssl.recipes.run import VITS

ENCODERS = VITS
WITHOUT = "it guesses the tokens of a tokenizer, which has to be trained before"


def views(run):
    return augment.beit(run.shape[0], run.shape[0])


def minutes(run):
    made = tokenizer(run)
    run.train_before(made)
    return method(run, made)


def method(run, tokenizer):
    encoder = run.mean_vit(initializer="truncated_normal")
    model = keras_ssl.BEiT(encoder, views(run), tokenizer=tokenizer)
    return model, run.short_adamw(0.05, global_clipnorm=3.0)


def tokenizer(run):
    """Codes of one patch each. A slower average would leave codes behind in a run this short."""
    made = keras_ssl.VQTokenizer(
        augment.mae(run.shape[0]), stride=run.patch, vocabulary=256, width=48, decay=0.9
    )  # fmt: skip
    made.compile(optimizer=optimizers.Adam(run.schedule(1e-3, warmup=0.025)))
    return made
