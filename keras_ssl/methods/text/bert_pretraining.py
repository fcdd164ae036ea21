r"""BERTPretraining: BERT: Pre-training of Deep Bidirectional Transformers (Devlin, Chang, Lee, Toutanova, 2018).

https://arxiv.org/abs/1810.04805

Objective:
    \mathcal{L} = -\operatorname{mean}_{t \in M} \log p(x_t \mid \tilde{x}) - \log p(y \mid \tilde{x})
    where $\tilde{x}$ is a pair of texts some tokens of which, those in $M$, are hidden or changed, and $y$ says whether
    the second text follows the first one.

Flow:
    pair of texts -> masking -> encoder -> tokens -> table of tokens -> cross-entropy
    hidden tokens -> cross-entropy
    encoder -> first token -> next sentence
    whether they are neighbors -> next sentence

Take it when texts are to be classified after fine-tuning, and there are millions of tokens to learn from.

Leave it when there is little text or time: one token in seven teaches at each step.
"""

import math

import keras
from keras import ops

from keras_ssl import augment as layers
from keras_ssl import checks
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import masked_mean, token_cross_entropy
from keras_ssl.losses.vectors import precise
from keras_ssl.methods.text.next_sentence import NextSentence, start


@keras.saving.register_keras_serializable("keras_ssl")
class BERTPretraining(NextSentence):
    """Hidden tokens of a pair of texts are told, and whether the second text follows the first.

    Of the tokens that are not special 15 % are chosen, on average and up to rounding, others at each step: 80 % of them
    become [MASK], 10 % any token, and 10 % stay. BERT's authors choose them once, before the training, and their texts
    are runs of sentences that fill the length, where `keras_ssl.data.sentence_pairs` has single ones. The scores of the
    tokens are dot products with the encoder's own table, after a layer of their own.

    Args:
        encoder: `keras_ssl.encoders.text_transformer` with `bert=True`, `causal=False`, `segments=2` and the pooling
            `"first"`, from pairs of texts to features `(batch, width)`.
        augment: layer from texts to one view; `keras_ssl.augment.Unchanged`.
        mask_id: int, the token [MASK].
        special: ints, the tokens that are never chosen, nor put in place of others.
        ratio: float in (0, 1), the part of the tokens that is chosen (0.15).

    Example:

    >>> documents = [["a dog barks", "it is late"], ["two birds sing", "the sun rises"]] * 8
    >>> columns, vocabulary, _ = keras_ssl.data.sentence_pairs(documents, length=16, ends=True, negatives=0.5)
    >>> pairs = keras_ssl.data.arrays(columns, 8)
    >>> sizes = {"vocabulary": len(vocabulary), "length": 16, "width": 32, "depth": 2, "heads": 4}
    >>> kind = {"pooling": "first", "causal": False, "segments": 2, "bert": True}
    >>> encoder = keras_ssl.encoders.text_transformer(**sizes, **kind)
    >>> model = keras_ssl.BERTPretraining(encoder, keras_ssl.augment.Unchanged(), mask_id=4, special=(0, 1, 2, 3, 4))
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-4, weight_decay=0.01))
    """

    terms = ("masked_loss", "masked_accuracy", "next_accuracy")

    bounds = {
        "mask_id": checks.ints(least=0),
        "ratio": checks.numbers(above=0, below=1),
    }

    def __init__(self, encoder, augment=None, *, mask_id, special, ratio=0.15, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.mask_id, self.special, self.ratio = mask_id, checks.int_list("special", special), ratio
        embedding, width = encoder.get_layer("embedding"), encoder.output_shape[-1]
        if max(mask_id, *self.special, 0) >= embedding.vocabulary:
            raise ValueError(
                f"mask_id and special must be tokens that the encoder knows, from 0 to {embedding.vocabulary - 1}. "
                f"Received: mask_id={mask_id}, special={self.special}"
            )
        self.masking = layers.MaskTokens(
            mask_id, ratio, random=0.1, keep=0.1, vocabulary=embedding.vocabulary, label=True, special=self.special
        )
        self.most = min(math.ceil(ratio * embedding.length), embedding.length)
        transform = [keras.layers.Dense(width, activation="gelu", kernel_initializer=start(), name="dense")]
        transform += [keras.layers.LayerNormalization(epsilon=1e-12, name="norm")]
        self.token_head = keras.Sequential([keras.Input((None, width)), *transform], name="token_head")
        self.token_bias = self.add_weight((embedding.vocabulary,), "zeros", autocast=False, name="token_bias")
        self.draws = keras.random.SeedGenerator()

    def objective(self, views, is_next):
        tokens = ops.cast(views[0]["token_ids"], "int32")
        seeds = local_seeds(self.draws, ops.shape(tokens)[0])
        drawn = self.masking.draw(seeds, (tokens.shape[1],))
        sample, hidden = self.masking.transform({**views[0], "token_ids": tokens}, **drawn)
        found, _ = self.tokens(sample, training=True)
        places, valid = layers.masked_indices(hidden, self.most)
        logits = self.scores(layers.select(found, places))  # (batch, most, vocabulary)
        chosen = layers.select(tokens, places)
        masked = token_cross_entropy(logits, chosen, valid)
        right = ops.cast(ops.cast(ops.argmax(logits, axis=-1), "int32") == chosen, "float32")
        accuracy = masked_mean(right, valid)
        pairs = self.next_sentence(found, is_next)
        terms = {"masked_loss": masked, "masked_accuracy": accuracy, "next_accuracy": pairs["next_accuracy"]}
        return {"loss": masked + pairs["loss"], **terms}

    def scores(self, features):
        """The logits of tokens, by the encoder's own table."""
        table = ops.convert_to_tensor(self.encoder.get_layer("embedding").tokens)
        return ops.matmul(precise(self.token_head(features)), ops.transpose(precise(table))) + self.token_bias
