r"""CausalLM: Improving Language Understanding by Generative Pre-Training (Radford et al., 2018).

https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

Objective:
    \mathcal{L} = -\operatorname{mean}_{t} \log p(x_{t+1} \mid x_1, \dots, x_t), \quad p = \operatorname{softmax}(E
    h_t)
    where $h_t$ is what the encoder makes of token $t$ of a text, $E$ its table of tokens, and $t$ runs over all tokens
    of the batch but the last one of each text.

Flow:
    tokens -> encoder -> tokens' features -> table of tokens -> cross-entropy
    next tokens -> cross-entropy

Take it when text is to be written, or its likelihood is wanted, or there is much of it: every token teaches.

Leave it when features of short texts are all that is wanted, with little training: a token knows its past alone.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute
from keras_ssl.encoders.text import is_causal, text_tokens
from keras_ssl.losses import token_cross_entropy
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class CausalLM(Method):
    """Each token of a text predicts the next one, from itself and those before it.

    The scores are dot products with the encoder's own table of tokens, as in GPT, or those of a layer of its own. All
    tokens of the batch count alike, padding does not count, and `perplexity`, the exponential of the loss of a batch,
    is logged. The features of a text are those of the encoder: the mean of its tokens.

    Args:
        encoder: `keras_ssl.encoders.text_transformer` with `causal=True` and the pooling `"mean"`, from texts to
            features `(batch, width)`.
        augment: layer from texts to one view; `keras_ssl.augment.Unchanged`.
        tied: whether the scores come from the encoder's table of tokens, as in the paper; otherwise from a layer of
            their own.

    Example:

    >>> encoder = keras_ssl.encoders.text_transformer(261, 32, width=64, depth=2, heads=4, pooling="mean")
    >>> model = keras_ssl.CausalLM(encoder, keras_ssl.augment.Unchanged())
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.01))
    """

    terms = ("perplexity",)
    view_counts = (1, 1)

    bounds = {"tied": checks.flag()}

    def __init__(self, encoder, augment=None, *, tied=True, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.tied = tied
        self.tokens = text_tokens(encoder)
        if not is_causal(encoder):
            raise ValueError(
                "CausalLM needs an encoder whose tokens see none behind them: text_transformer(causal=True). Received: "
                f"encoder={encoder}, which would see what it has to predict"
            )
        vocabulary = encoder.get_layer("embedding").vocabulary
        self.head = None if tied else keras.layers.Dense(vocabulary, use_bias=False, name="head")
        if self.head is not None:
            self.head.build((None, None, encoder.output_shape[-1]))

    def objective(self, views):
        tokens, mask = views[0]["token_ids"], ops.cast(views[0]["padding_mask"], "bool")
        logits = self.scores(views[0], training=True)
        loss = token_cross_entropy(logits[:, :-1], tokens[:, 1:], ops.logical_and(mask[:, :-1], mask[:, 1:]))
        whole = distribute.total(loss) / distribute.replicas()  # of the global batch: replicas have unequal numbers
        return {"loss": loss, "perplexity": ops.exp(whole)}

    def scores(self, texts, training=False):
        """The logits of each token's next one.

        Args:
            texts: dict of `"token_ids"` and `"padding_mask"`.
            training: whether dropout acts.

        Returns:
            float32 `(batch, length, vocabulary)`.
        """
        features, _ = self.tokens(texts, training=training)
        if self.head is not None:
            return precise(self.head(features))
        table = ops.convert_to_tensor(self.encoder.get_layer("embedding").tokens)
        return ops.matmul(precise(features), ops.transpose(precise(table)))
