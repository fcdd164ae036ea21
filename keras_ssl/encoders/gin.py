"""GIN: How Powerful are Graph Neural Networks? (Xu et al., 2018), https://arxiv.org/abs/1810.00826.

As an encoder of whole graphs, with the sizes of InfoGraph (https://arxiv.org/abs/1908.01000) and GraphCL
(https://arxiv.org/abs/2010.13902): the nodes of every layer are summed, and the sums stand side by side.
"""

import keras
from keras import layers, ops

from keras_ssl import inputs as kinds
from keras_ssl.checks import check_flags, check_ints, choice
from keras_ssl.encoders.masked import MaskedBatchNormalization, masked_pool


def gin(nodes=None, edges=None, *, features=None, labels=None, width=32, depth=3, norm=True, pooling="sum",
        synchronized=False, name="gin"):
    """A network over graphs: every node adds up its neighbors and itself, `depth` times.

    `h_i = BN(ReLU(MLP(h_i + sum of h_j over the edges from j to i)))`, MLP: Dense - ReLU - Dense; the epsilon of the
    paper is 0. Graphs of a batch are padded to one number of nodes and of edges: nothing that is padded counts, and the
    features of a graph are those of the graph alone.

    The model takes a dict: `"nodes"`, float `(batch, nodes, features)` or int labels `(batch, nodes)`; `"edges"`, int
    `(batch, edges, 2)`, from and to, as numbers of nodes inside the graph, each edge of an undirected graph in both
    directions; `"nodes_mask"` and `"edges_mask"`, bool, True where real.

    Args:
        nodes: int, number of nodes to which graphs are padded, or None: any.
        edges: int, number of edges to which graphs are padded, or None: any.
        features: int, numbers of a node; or None with `labels`.
        labels: int, number of different labels of nodes, which are ints from 0; or None with `features`.
        width: int, numbers of a node in each layer (32).
        depth: int, number of layers (3).
        norm: whether layers are batch-normalized, with the statistics of the real nodes.
        pooling: `"sum"`, `"avg"` or `"max"` over the nodes, or None for the nodes of the last layer.
        synchronized: whether batch statistics are shared between replicas (TensorFlow only).
        name: str, name of the model.

    Returns:
        a functional `keras.Model` to features `(batch, depth * width)`, or to nodes `(batch, nodes, width)`.

    Raises:
        ValueError: an argument is out of its range, or not exactly one of `features` and `labels` is given.

    Example:
    ```python
    encoder = keras_ssl.encoders.gin(nodes=28, edges=66, labels=7)
    features = encoder({
        "nodes": np.zeros((2, 28), "int32"), "nodes_mask": np.ones((2, 28), bool),
        "edges": np.zeros((2, 66, 2), "int32"), "edges_mask": np.ones((2, 66), bool),
    })  # (2, 96)
    ```
    """
    check_ints(optional=True, nodes=nodes, edges=edges, features=features, labels=labels)
    check_ints(width=width, depth=depth)
    check_flags(norm=norm, synchronized=synchronized)
    choice("sum", "avg", "max", None)("pooling", pooling)
    if (features is None) == (labels is None):
        raise ValueError(
            "gin needs features, the numbers of a node, or labels, the number of different labels. "
            f"Received: features={features}, labels={labels}"
        )
    shape = (nodes,) if features is None else (nodes, features)
    inputs = {
        "nodes": keras.Input(shape, dtype="int32" if features is None else None, name="nodes"),
        "nodes_mask": keras.Input((nodes,), dtype="bool", name="nodes_mask"),
        "edges": keras.Input((edges, 2), dtype="int32", name="edges"),
        "edges_mask": keras.Input((edges,), dtype="bool", name="edges_mask"),
    }
    x, mask = inputs["nodes"], inputs["nodes_mask"]
    x = ops.one_hot(x, labels, dtype=keras.config.dtype_policy().compute_dtype) if features is None else x
    sums = []
    for i in range(depth):
        x = ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))
        x = x + NeighborSum(name=f"neighbors{i + 1}")(x, inputs["edges"], inputs["edges_mask"])
        x = layers.Dense(width, activation="relu", name=f"hidden{i + 1}")(x)
        x = layers.Dense(width, activation="relu", name=f"output{i + 1}")(x)
        if norm:
            options = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": synchronized, "name": f"norm{i + 1}"}
            x = MaskedBatchNormalization(**options)(x, mask=mask)
        if pooling:
            sums.append(masked_pool(x, mask, pooling))
    if not pooling:
        outputs = ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))
    else:
        outputs = ops.concatenate(sums, axis=-1) if depth > 1 else sums[0]
    return keras.Model(inputs, outputs, name=name)


def gin_nodes(encoder):
    """The nodes of a `gin` beside its graphs, for methods that compare a graph with its nodes.

    Args:
        encoder: `keras.Model` from `gin`, or a copy of one, or one loaded from a file, with any pooling but None.

    Returns:
        `keras.Model` of the same weights, from the dict that the encoder takes to two tensors: the nodes of all layers
        side by side, `(batch, nodes, depth * width)`, and what the encoder makes of them, `(batch, depth * width)`.
        The nodes of padding hold anything.

    Raises:
        ValueError: the model is no `gin`, or has no pooling.

    Example:
    ```python
    nodes, graphs = keras_ssl.encoders.gin_nodes(keras_ssl.encoders.gin(28, 66, labels=7))(columns)
    ```
    """
    taken, names = kinds.input_tensors(encoder), {layer.name for layer in getattr(encoder, "layers", ())}
    depth = sum(name.startswith("neighbors") for name in names)
    if not taken or not depth or "output1" not in names or len(encoder.output_shape) != 2:
        raise ValueError(
            "gin_nodes needs a gin of keras_ssl.encoders whose features are those of graphs: pooling='sum', 'avg' or "
            f"'max'. Received: encoder={encoder}"
        )
    last = "norm" if "norm1" in names else "output"
    nodes = [encoder.get_layer(f"{last}{i + 1}").output for i in range(depth)]
    nodes = ops.concatenate(nodes, axis=-1) if depth > 1 else nodes[0]
    return keras.Model(taken, (nodes, encoder.output), name=f"{encoder.name}_nodes")


@keras.saving.register_keras_serializable("keras_ssl")
class NeighborSum(layers.Layer):
    """For each node the sum of the nodes that an edge leads from to it.

    Call arguments:
        nodes: `(batch, nodes, width)`.
        edges: int `(batch, edges, 2)`, from and to, as numbers of nodes inside the graph.
        mask: bool `(batch, edges)`, True where an edge is real; what the others hold has no part.

    Returns:
        tensor like `nodes`.
    """

    def call(self, nodes, edges, mask):
        batch, count, width = ops.shape(nodes)
        edges = ops.where(ops.expand_dims(mask, -1), edges, ops.zeros_like(edges))
        edges = edges + ops.reshape(ops.arange(batch, dtype=edges.dtype) * count, (-1, 1, 1))  # b * nodes + i
        start, end = ops.reshape(edges[..., 0], (-1,)), ops.reshape(edges[..., 1], (-1,))
        messages = ops.take(ops.reshape(nodes, (-1, width)), start, axis=0)
        messages = ops.where(ops.reshape(mask, (-1, 1)), messages, ops.zeros_like(messages))
        return ops.reshape(ops.segment_sum(messages, end, batch * count), ops.shape(nodes))

    def compute_output_spec(self, nodes, edges, mask):
        return keras.KerasTensor(nodes.shape, self.compute_dtype)
