r"""GraphCL: Graph Contrastive Learning with Augmentations (You, Chen, Sui, Chen, Wang, Shen, 2020).

https://arxiv.org/abs/2010.13902

Objective:
    \mathcal{L} = \frac{1}{N} \sum_{n=1}^{N} \left( -\frac{z_n \cdot z'_n}{\tau} + \log \sum_{n' \ne n} \exp(z_n \cdot
    z'_{n'} / \tau) \right)
    where $z$ and $z'$ are the unit embeddings of the two views of the $N$ graphs of the batch.

Flow:
    view 1 -> encoder -> projector -> contrast
    view 2 -> encoder

Take it when the class of a graph does not depend on a few of its nodes or edges, as with many molecules and social
    networks.

Leave it when one atom or bond decides: then views of one graph are of two classes. InfoGraph changes nothing.
"""

import keras

from keras_ssl import checks, heads
from keras_ssl.losses import cross_view
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class GraphCL(Method):
    """Two views of a graph attract each other and repel the other views of other graphs.

    The positive is not in the denominator, the negatives of a first view are the second views of the other graphs, and
    the first views alone look for their partners, as in the authors' code; `symmetric` adds the other direction. Each
    view goes through the encoder by itself, with its own batch statistics.

    Args:
        encoder: `keras.Model` from graphs to features `(batch, dim)` (f); `keras_ssl.encoders.gin`.
        augment: layer from graphs to two views; `keras_ssl.augment.graph_cl`.
        hidden: int, units of the projector's hidden layer; None for the size of the features, as in the paper.
        dim: int, size of the embedding; None for the size of the features, as in the paper.
        temperature: float > 0 (tau; 0.2 for small graphs, 0.1 for molecules of ZINC).
        symmetric: whether the second views look for the first ones too.

    Example:

    >>> encoder = keras_ssl.encoders.gin(nodes=28, edges=66, labels=7)
    >>> model = keras_ssl.GraphCL(encoder, keras_ssl.augment.graph_cl(("nodes", "subgraph"), fill=-1))
    >>> model.compile(optimizer=keras.optimizers.Adam(0.01))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(optional=True),
        "dim": checks.ints(optional=True),
        "temperature": checks.numbers(above=0),
        "symmetric": checks.flag(),
    }

    def __init__(
        self, encoder, augment=None, *, hidden=None, dim=None, temperature=0.2, symmetric=False, **kwargs
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.temperature, self.symmetric = hidden, dim, temperature, symmetric
        features = encoder.output_shape[-1]
        projector = heads.mlp(
            features, hidden or features, dim or features, batch_norm=False, output_bias=True, name="projector"
        )
        self.projection = heads.attach(encoder, projector, name="projection")

    def objective(self, views):
        first, second = (self.projection(view, training=True) for view in views)  # (batch, dim) each
        return cross_view(first, second, self.temperature, self.symmetric)
