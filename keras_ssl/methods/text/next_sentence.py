r"""NextSentence: Pre-training of Deep Bidirectional Transformers for Language Understanding (Devlin et al., 2018).

https://arxiv.org/abs/1810.04805

Objective:
    \mathcal{L} = -\log p(y \mid c), \quad p = \operatorname{softmax}(W \tanh(V h_c))
    where $h_c$ is what the encoder makes of the first token of a pair of texts, and $y$ says whether the second text
    follows the first one or is of another document.

Flow:
    pair of texts -> encoder -> first token -> pooler -> cross-entropy
    whether they are neighbors -> cross-entropy

Take it when it is the order of sentences that should be known, or as a part of BERTPretraining.

Leave it when features of single texts are wanted: alone it learns the topic and little more; take BERTPretraining.
"""

import keras
from keras import ops

from keras_ssl import inputs
from keras_ssl.encoders.text import is_causal, text_tokens
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class NextSentence(Method):
    """Of two texts it is told whether the second one follows the first: BERT's second task alone.

    The pairs are made before the training, half of them of two documents: `keras_ssl.data.sentence_pairs`.

    Args:
        encoder: `keras_ssl.encoders.text_transformer` with `bert=True`, `causal=False`, `segments=2` and the pooling
            `"first"`, from pairs of texts to features `(batch, width)`.
        augment: layer from texts to one view; `keras_ssl.augment.Unchanged`.

    Example:

    >>> documents = [["a dog barks", "it is late"], ["two birds sing", "the sun rises"]] * 8
    >>> columns, vocabulary, _ = keras_ssl.data.sentence_pairs(documents, length=16, ends=True, negatives=0.5)
    >>> pairs = keras_ssl.data.arrays(columns, 8)
    >>> sizes = {"vocabulary": len(vocabulary), "length": 16, "width": 32, "depth": 2, "heads": 4}
    >>> kind = {"pooling": "first", "causal": False, "segments": 2, "bert": True}
    >>> encoder = keras_ssl.encoders.text_transformer(**sizes, **kind)
    >>> model = keras_ssl.NextSentence(encoder, keras_ssl.augment.Unchanged())
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-4, weight_decay=0.01))
    """

    terms = ("next_accuracy",)
    needs = ("is_next",)
    view_counts = (1, 1)

    def __init__(self, encoder, augment=None, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.tokens = text_tokens(encoder)
        if is_causal(encoder) or "segment_ids" not in inputs.input_names(encoder):
            raise ValueError(
                f"{type(self).__name__} needs an encoder whose first token sees both texts and tells them apart: "
                f"text_transformer(causal=False, segments=2). Received: encoder={encoder}"
            )
        width = encoder.output_shape[-1]
        layers = [keras.layers.Dense(width, activation="tanh", kernel_initializer=start(), name="pooler")]
        layers += [keras.layers.Dense(2, kernel_initializer=start(), name="next")]
        self.next_head = keras.Sequential([keras.Input((width,)), *layers], name="next_head")

    def limits(self):
        return {"is_next": 2}

    def objective(self, views, is_next):
        return self.next_sentence(self.tokens(views[0], training=True)[0], is_next)

    def next_sentence(self, tokens, is_next):
        """The loss of the pairs, and the part of them that is told right."""
        logits = precise(self.next_head(tokens[:, 0], training=True))
        is_next = ops.cast(is_next, "int32")
        loss = ops.mean(ops.sparse_categorical_crossentropy(is_next, logits, from_logits=True))
        right = ops.cast(ops.argmax(logits, axis=-1), "int32") == is_next
        return {"loss": loss, "next_accuracy": ops.mean(ops.cast(right, "float32"))}


def start():
    """The starting weights of BERT."""
    return keras.initializers.TruncatedNormal(stddev=0.02)
