"""CausalLM. GPT, 12 layers of width 768 on 800 million words of books: perplexity 18.4; fine-tuned, 72.8 on GLUE.

The numbers are GPT's; `run.vocabulary` is the number of tokens. The blocks are those of `text_transformer`, normalized
before each part, as in GPT-2. Dropout acts after the embedding and in each branch, not on the attention.
"""

import keras_ssl
from keras_ssl import augment, encoders, optimizers
from keras_ssl.inputs import TOKENS

KIND = TOKENS
ENCODERS = ("text_transformer",)


def encoder(run, causal, width, depth, heads, dropout=0.0):
    return encoders.text_transformer(
        run.vocabulary, run.shape[0], run.width or width, depth, heads, pooling="mean", causal=causal, dropout=dropout
    )


def views(run):
    return augment.Unchanged()


def paper(run):
    model = keras_ssl.CausalLM(encoder(run, True, 768, 12, 12, dropout=0.1), views(run))
    rate = run.schedule(2.5e-4, warmup=min(2000 / run.steps, 0.1))
    return model, optimizers.AdamW(rate, weight_decay=0.01)


def minutes(run):
    return keras_ssl.CausalLM(encoder(run, True, 128, 2, 4), views(run)), run.short_adamw(0.01)
