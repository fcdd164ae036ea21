r"""InfoGraph: Unsupervised and Semi-supervised Graph-Level Representation Learning (Sun et al., 2019).

https://arxiv.org/abs/1908.01000

Objective:
    \mathcal{L} = \operatorname{mean}_{u \in G} \log \left( 1 + e^{-h_u \cdot g_G} \right) + \operatorname{mean}_{u
    \notin G} \log \left( 1 + e^{h_u \cdot g_G} \right) - 2 \log 2
    where $h_u$ are the nodes of all graphs of the batch and $g_G$ its graphs, each after a network of its own.

Flow:
    graph -> encoder -> nodes -> local network -> information
    encoder -> sum -> global network -> information

Take it when no change of a graph is known that leaves its class alone: it needs no views.

Leave it when the graphs of the data share most of their nodes' surroundings: a node then does not tell its graph.
"""

import keras
from keras import layers

from keras_ssl.encoders import gin_nodes
from keras_ssl.losses import part_information
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class InfoGraph(Method):
    """The nodes of a graph are told from those of other graphs, by the graph as a whole.

    A node is what all layers of the encoder make of it, side by side, and so is the graph, their sum. Padding has no
    part in it, and all nodes of the batch count alike: larger graphs count more. The paper's further loss, which
    draws the features to a uniform distribution, is off in the authors' settings and left out here.

    Args:
        encoder: `keras_ssl.encoders.gin` with a pooling, from graphs to features `(batch, depth * width)`.
        augment: layer from graphs to one view; `keras_ssl.augment.Unchanged`.

    Example:

    >>> encoder = keras_ssl.encoders.gin(nodes=28, edges=66, labels=7)
    >>> model = keras_ssl.InfoGraph(encoder, keras_ssl.augment.Unchanged())
    >>> model.compile(optimizer=keras.optimizers.Adam(0.001))
    """

    view_counts = (1, 1)
    least_batch = 2

    def __init__(self, encoder, augment=None, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.nodes = gin_nodes(encoder)
        self.local_network = network(encoder.output_shape[-1], name="local_network")
        self.global_network = network(encoder.output_shape[-1], name="global_network")

    def objective(self, views):
        nodes, graphs = self.nodes(views[0], training=True)  # (batch, nodes, dim), (batch, dim)
        parts, wholes = self.local_network(nodes, training=True), self.global_network(graphs, training=True)
        return part_information(parts, views[0]["nodes_mask"], wholes)


def network(dim, name):
    """Three layers with ReLU, beside a linear one."""
    given = x = keras.Input((None, dim) if name == "local_network" else (dim,))
    for _ in range(3):
        x = layers.Dense(dim, activation="relu")(x)
    return keras.Model(given, layers.Add()([x, layers.Dense(dim)(given)]), name=name)
