r"""QuickThoughts: An efficient framework for learning sentence representations (Logeswaran, Lee, 2018).

https://arxiv.org/abs/1803.02893

Objective:
    \mathcal{L} = -\frac{1}{2N} \sum_{i=1}^{N} \left( \log \frac{\exp(f(s_i) \cdot g(s_i'))}{\sum_j \exp(f(s_i) \cdot
    g(s_j'))} + \log \frac{\exp(f(s_i') \cdot g(s_i))}{\sum_j \exp(f(s_i') \cdot g(s_j))} \right)
    where $s_i'$ is the sentence that follows $s_i$, $j$ runs over the batch, and $f$ and $g$ are two encoders.

Flow:
    sentence -> encoder f -> choice
    next sentence -> encoder g -> choice

Take it when there is running text and vectors of sentences are wanted, for topics or for the nearest sentences.

Leave it when sentences have no order, such as captions or definitions: SimCLR with views of texts needs none.
"""

import keras
from keras import ops

from keras_ssl import distribute, heads, inputs
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class QuickThoughts(Method):
    """A sentence finds the next one, and the next one finds it, among those of the batch, by the dot product.

    Two encoders without common weights: one of the sentence that looks, one of those looked at. The features are those
    of both side by side, as in the paper. Here a batch is pairs of neighbors from anywhere in the text; the authors
    take it out of one place, so that the other sentences are of the same topic, and leave out the sentence itself. Here
    it is among those to choose from where the pairs before and behind it are in one batch.

    Args:
        encoder: `keras.Model` from texts to features `(batch, dim)` (f).
        augment: layer from texts to two views, a sentence and the next one; `keras_ssl.augment.SplitSegments`.
        other: `keras.Model` like `encoder`, of its own weights (g).

    Example:

    >>> make = lambda: keras_ssl.encoders.text_transformer(261, 64, 32, 2, 4, pooling="mean", causal=False)
    >>> model = keras_ssl.QuickThoughts(make(), keras_ssl.augment.SplitSegments(), other=make())
    >>> model.compile(optimizer=keras.optimizers.Adam(5e-4))
    """

    terms = ("accuracy",)
    view_counts = (2, 2)
    least_batch = 2

    def __init__(self, encoder, augment=None, *, other, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        if not isinstance(other, keras.Model) or other.output_shape != encoder.output_shape or other is encoder:
            raise ValueError(
                "other must be a keras.Model like the encoder, with features of the same size and weights of its own. "
                f"Received: other={other}"
            )
        self.other = other
        if not inputs.input_names(encoder) or inputs.input_names(encoder) != inputs.input_names(other):
            raise ValueError(
                "encoder and other must take the same dict of columns: text_transformer with pooling='mean', say. "
                f"Received: {inputs.input_names(encoder)} and {inputs.input_names(other)}"
            )
        taken, data = heads.inputs_like(encoder), heads.inputs_like(other)
        renamed = keras.Model(data, other(data), name=f"{encoder.name}_of_neighbors")  # both may have one name
        self.both = keras.Model(taken, ops.concatenate([encoder(taken), renamed(taken)], axis=-1), name="both")

    @property
    def evaluated_encoder(self):
        """Both encoders, side by side."""
        return self.both

    def objective(self, views):
        first, second = views
        forth, hits = choice(self.encoder(first, training=True), self.other(second, training=True))
        back, back_hits = choice(self.encoder(second, training=True), self.other(first, training=True))
        return {"loss": (forth + back) / 2, "accuracy": (hits + back_hits) / 2}


def choice(looking, found):
    """The cross-entropy of each row's choice among the rows of all replicas, and how often it is right."""
    looking, found = precise(looking), distribute.gather(precise(found))
    rows = ops.shape(looking)[0]
    own = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    logits = ops.matmul(looking, ops.transpose(found))  # (batch, total)
    loss = ops.mean(ops.sparse_categorical_crossentropy(own, logits, from_logits=True))
    return loss, ops.mean(ops.cast(ops.cast(ops.argmax(logits, axis=-1), "int32") == own, "float32"))
