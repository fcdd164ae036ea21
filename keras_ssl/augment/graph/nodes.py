"""Graphs: nodes and edges that are left out or added, hidden attributes, and parts of graphs.

A graph is a dict: `"nodes"`, float `(batch, nodes, features)` or int labels `(batch, nodes)`; `"edges"`, int32 `(batch,
edges, 2)`, the numbers of the nodes that an edge leads from and to, every undirected edge in both directions; and the
masks `"nodes_mask"` `(batch, nodes)` and `"edges_mask"` `(batch, edges)`, True where real. A node that is left out
keeps its place and loses its mask, so that nothing pools it, and its edges lose theirs.
"""

import math

import keras
from keras import ops

from keras_ssl import inputs
from keras_ssl.augment.layer import Augmentation, check_probability
from keras_ssl.augment.places import select, some
from keras_ssl.augment.random import choose, fold, scramble, shift, uniform
from keras_ssl.checks import check_flags, check_numbers


class GraphLayer(Augmentation):
    """Base of the layers of graphs: they always give a dict with both masks.

    Args:
        ratio: float from 0 to 1, the part that is changed or kept.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a ratio out of its range, and for a graph without edges where the layer needs them.
    """

    kind = inputs.GRAPH

    def __init__(self, ratio, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("ratio", ratio)
        self.ratio = ratio

    def transform(self, sample, seeds):
        if not isinstance(sample, dict):
            sample = {"nodes": sample}
        if "edges" not in sample:
            raise ValueError(f"{type(self).__name__} needs the column 'edges'. Received: a dict with {sorted(sample)}")
        nodes, edges = sample["nodes"], sample["edges"]
        flat = ops.reshape(nodes, (*ops.shape(nodes)[:2], -1))[:, :, 0]
        nodes_mask = sample.get("nodes_mask", ops.ones_like(flat, dtype="bool"))
        edges_mask = sample.get("edges_mask", ops.ones_like(edges[:, :, 0], dtype="bool"))
        edges = ops.where(edges_mask[:, :, None], edges, 0)  # what stands in padding may be no number of a node
        return self.alter(nodes, edges, nodes_mask, edges_mask, seeds)

    def alter(self, nodes, edges, nodes_mask, edges_mask, seeds):
        raise NotImplementedError(f"{type(self).__name__} must implement alter(nodes, edges, nodes_mask, ...).")

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}


@keras.saving.register_keras_serializable("keras_ssl")
class DropNodes(GraphLayer):
    """Nodes are left out, with their edges: GraphCL (You et al., 2020), arXiv:2010.13902.

    Of n real nodes `ratio * n` on average and up to rounding; at least one stays.

    Args:
        ratio: float from 0 to 1, the part of the nodes that is left out.
        seed, name: see `Augmentation`.

    Returns:
        dict with `"nodes"`, `"edges"`, `"nodes_mask"` and `"edges_mask"`; the nodes that are left out are 0.

    Raises:
        ValueError: see `GraphLayer`.

    Example:
        >>> import numpy as np
        >>> graph = {"nodes": np.ones((1, 4, 8)), "edges": np.array([[[0, 1], [1, 0]]])}
        >>> int(np.sum(DropNodes(0.5)(graph)["nodes_mask"]))
        2
    """

    def __init__(self, ratio=0.1, seed=None, name=None, **kwargs):
        super().__init__(ratio, seed=seed, name=name, **kwargs)

    def alter(self, nodes, edges, nodes_mask, edges_mask, seeds):
        draws = uniform(seeds, ops.shape(nodes)[1] + 1)
        return without(nodes, edges, nodes_mask & ~some(draws, nodes_mask, self.ratio, spare=1), edges_mask)


@keras.saving.register_keras_serializable("keras_ssl")
class PerturbEdges(GraphLayer):
    """Edges are left out, and as many new ones join nodes at random: GraphCL (You et al., 2020), arXiv:2010.13902.

    Each edge is left out with the probability `ratio`, in both directions, and a new one takes its places in the
    list, in both directions too. The nodes that it joins are real and not the same; it may be one that there is
    already. Loops stay.

    Args:
        ratio: float from 0 to 1, the probability of an edge to be left out.
        add: whether new edges are added.
        seed, name: see `Augmentation`.

    Returns:
        dict with `"nodes"`, `"edges"`, `"nodes_mask"` and `"edges_mask"`.

    Raises:
        ValueError: see `GraphLayer`.

    Example:
        >>> import numpy as np
        >>> graph = {"nodes": np.ones((1, 4, 8)), "edges": np.array([[[0, 1], [1, 0]]])}
        >>> PerturbEdges(1.0, add=False)(graph)["edges_mask"].numpy().tolist()
        [[False, False]]
    """

    def __init__(self, ratio=0.1, add=True, seed=None, name=None, **kwargs):
        super().__init__(ratio, seed=seed, name=name, **kwargs)
        check_flags(add=add)
        self.add = add

    def alter(self, nodes, edges, nodes_mask, edges_mask, seeds):
        sides = ops.unstack(edges, 2, axis=2)
        low, high = ops.minimum(*sides), ops.maximum(*sides)
        pair = low * ops.shape(nodes)[1] + high  # one number for both directions
        lost = edges_mask & (low != high) & (hashed(seeds, pair) < self.ratio)
        if not self.add:
            return {"nodes": nodes, "edges": edges, "nodes_mask": nodes_mask, "edges_mask": edges_mask & ~lost}
        count = ops.sum(ops.cast(nodes_mask, "float32"), axis=1, keepdims=True)
        one = choose(hashed(fold(seeds, 0), pair), ops.maximum(count - 1, 0))
        other = choose(hashed(fold(seeds, 1), pair), ops.maximum(count - 2, 0))
        other = ops.where(other >= one, other + 1, other)
        # The real nodes in the order of their places: the new ends are counted among them.
        length = ops.shape(nodes)[1]
        order = ops.argsort(ops.where(nodes_mask, 0, length) + ops.arange(length, dtype="int32"), axis=1)
        ends = [select(order, ops.minimum(ops.cast(end, "int32"), length - 1)) for end in (one, other)]
        forth = sides[0] < sides[1]
        new = ops.stack([ops.where(forth, *ends), ops.where(forth, *ends[::-1])], axis=2)
        new = ops.where(lost[:, :, None], ops.cast(new, "int32"), edges)
        return {"nodes": nodes, "edges": new, "nodes_mask": nodes_mask, "edges_mask": edges_mask}

    def get_config(self):
        return {**super().get_config(), "add": self.add}


@keras.saving.register_keras_serializable("keras_ssl")
class MaskAttributes(GraphLayer):
    """The features of some nodes are hidden: GraphCL (You et al., 2020), arXiv:2010.13902.

    Of n real nodes `ratio * n` on average and up to rounding.

    Args:
        ratio: float from 0 to 1, the part of the nodes whose features are hidden.
        fill: number, in place of every feature, or of the label.
        seed, name: see `Augmentation`.

    Returns:
        dict with `"nodes"`, `"edges"`, `"nodes_mask"` and `"edges_mask"`.

    Raises:
        ValueError: see `GraphLayer`.

    Example:
        >>> import numpy as np
        >>> graph = {"nodes": np.ones((1, 4, 8)), "edges": np.array([[[0, 1], [1, 0]]])}
        >>> float(np.mean(MaskAttributes(0.5)(graph)["nodes"]))
        0.5
    """

    def __init__(self, ratio=0.1, fill=0.0, seed=None, name=None, **kwargs):
        super().__init__(ratio, seed=seed, name=name, **kwargs)
        check_numbers(fill=fill)
        self.fill = fill

    def alter(self, nodes, edges, nodes_mask, edges_mask, seeds):
        hidden = some(uniform(seeds, ops.shape(nodes)[1] + 1), nodes_mask, self.ratio)
        hidden = ops.reshape(hidden, (*ops.shape(hidden), *[1] * (len(nodes.shape) - 2)))
        nodes = ops.where(hidden, ops.cast(self.fill, nodes.dtype), nodes)
        return {"nodes": nodes, "edges": edges, "nodes_mask": nodes_mask, "edges_mask": edges_mask}

    def get_config(self):
        return {**super().get_config(), "fill": self.fill}


@keras.saving.register_keras_serializable("keras_ssl")
class Subgraph(GraphLayer):
    """A connected part of the graph: from a random node on, a random neighbor of what is there joins it.

    As in GraphCL (You et al., 2020), arXiv:2010.13902, until of n nodes `ratio * n` are there (on average and up to
    rounding, at least one), or no neighbor is left.

    Args:
        ratio: float from 0 to 1, the part of the nodes that is kept.
        seed, name: see `Augmentation`.

    Returns:
        dict with `"nodes"`, `"edges"`, `"nodes_mask"` and `"edges_mask"`; the nodes that are left out are 0.

    Raises:
        ValueError: see `GraphLayer`, and for an unknown number of nodes.

    Example:
        >>> import numpy as np
        >>> graph = {"nodes": np.ones((1, 4, 8)), "edges": np.array([[[0, 1], [1, 0], [1, 2], [2, 1]]])}
        >>> int(np.sum(Subgraph(0.5)(graph)["nodes_mask"])) <= 2
        True
    """

    def __init__(self, ratio=0.8, seed=None, name=None, **kwargs):
        super().__init__(ratio, seed=seed, name=name, **kwargs)

    def alter(self, nodes, edges, nodes_mask, edges_mask, seeds):
        length = nodes.shape[1]
        if length is None:
            raise ValueError(f"Subgraph needs a known number of nodes. Received: shape={tuple(nodes.shape)}")
        draws = uniform(seeds, 1)
        number = ops.sum(ops.cast(nodes_mask, "float32"), axis=1, keepdims=True)
        count = ops.maximum(ops.floor(self.ratio * number + draws), 1)
        source, target = ops.unstack(edges, 2, axis=2)
        first = ops.arange(ops.shape(nodes)[0], dtype="int32")[:, None] * length
        target = ops.reshape(target + first, (-1,))
        size = ops.shape(nodes)[0] * length

        place = ops.arange(length, dtype="int32")[None, :]

        def one(among, step):
            """Of the nodes `among` one by chance; none where there are none."""
            scores = ops.where(among, hashed(fold(seeds, 0), place + length * step), 2.0)
            return (place == ops.cast(ops.argmin(scores, axis=1)[:, None], "int32")) & among

        def grow(step, there):
            ways = ops.cast(select(there, source) & edges_mask, "int32")
            reached = ops.segment_sum(ops.reshape(ways, (-1,)), target, num_segments=size)
            among = (ops.reshape(reached, (-1, length)) > 0) & nodes_mask & ~there
            more = ops.sum(ops.cast(there, "float32"), axis=1, keepdims=True) < count
            return there | (one(among, step) & more)

        steps = math.ceil(self.ratio * length)
        there = ops.fori_loop(1, max(steps, 1), grow, one(nodes_mask, 0))
        return without(nodes, edges, there, edges_mask)


def without(nodes, edges, nodes_mask, edges_mask):
    """The graph of the nodes of a mask: the others are 0, and edges to them are not real."""
    shown = ops.reshape(nodes_mask, (*ops.shape(nodes_mask), *[1] * (len(nodes.shape) - 2)))
    ends = select(nodes_mask, edges[:, :, 0]) & select(nodes_mask, edges[:, :, 1])
    nodes = ops.where(shown, nodes, ops.zeros_like(nodes))
    return {"nodes": nodes, "edges": edges, "nodes_mask": nodes_mask, "edges_mask": edges_mask & ends}


def hashed(seeds, numbers):
    """A uniform random number for each of the int32 numbers `(batch, count)`: the same for the same seed and number."""
    bits = scramble(scramble(seeds[:, :1] + scramble(numbers)) + seeds[:, 1:])
    return ops.cast(shift(bits, 8), "float32") * 2.0**-24
