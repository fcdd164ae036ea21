"""Graphs: arrays of nodes and edges, files or networkx graphs -> padded batches with masks."""

from pathlib import Path

import numpy as np

from keras_ssl.checks import check_ints, choice
from keras_ssl.data.array import arrays

WAYS = ("both", "add", "one")


def graphs(source, batch_size, *, labels=None, nodes=None, edges=None, ways="both", attribute=None, **options):
    """Graphs as a shuffled, deterministic, resumable pipeline of batches, padded to one size, with masks.

    Every batch has the same shapes, so that a step is compiled once. A size that is not given is that of the largest
    graph.

    Args:
        source: path of a folder or of a `.npz` file, see `read_graphs`; or a list of graphs, see `pad_graphs`.
        batch_size: graphs in a batch.
        labels: None, or an int for each graph, added as `"label"`; None for those of the files.
        nodes, edges, ways, attribute: see `pad_graphs`.
        **options: `shuffle`, `seed`, `index`, `drop_remainder`, `epoch`, `start` and `parallel_calls` of `arrays`.

    Returns:
        `tf.data.Dataset` of dicts: `"nodes"`, `"nodes_mask"`, `"edges"`, `"edges_mask"`, `"seed"`, and, where known,
        `"label"`. It has the attributes `sizes`, `(nodes, edges)` of the padded graphs, and `node_labels`, how many
        labels nodes have, or None where they have numbers.

    Raises:
        ValueError: see `read_graphs` and `pad_graphs`.

    Example:
        ```python
        dataset = keras_ssl.data.graphs("MUTAG/", batch_size=128)
        nodes, edges = dataset.sizes
        encoder = keras_ssl.encoders.gin(nodes, edges, labels=dataset.node_labels)
        ```
    """
    if isinstance(source, (str, Path)):
        source, found = read_graphs(source)
        labels = found if labels is None else labels
    columns = pad_graphs(source, nodes, edges, ways=ways, attribute=attribute)
    shape = columns["nodes"].shape
    counted = int(columns["nodes"].max()) + 1 if len(shape) == 2 else None
    pipeline = arrays(columns, batch_size, labels=labels, **options)
    return pipeline.named(sizes=(shape[1], columns["edges"].shape[1]), node_labels=counted)


def read_graphs(path):
    """Graphs and their labels out of files.

    Args:
        path: folder in the text format of the TU collection (https://chrsmrrs.github.io/datasets), with `NAME_A.txt`,
            `NAME_graph_indicator.txt` and, where there are some, `NAME_graph_labels.txt`, `NAME_node_labels.txt` and
            `NAME_node_attributes.txt`. Or a `.npz` file of the arrays `"edge"` `(edges, 2)`, numbers of nodes inside
            their graph, `"edge_offset"` `(graphs + 1,)`, where the edges of each graph begin, and `"node_offset"`;
            with `"node_label"` or `"node_feature"`, a row for each node, and `"y"`, the labels of the graphs.

    Returns:
        list of pairs `(nodes, edges)`, see `pad_graphs`; and the labels of the graphs, int array from 0 in the order
        of the files' labels, or None. The labels of nodes, too, are from 0 in the order of those of the files: each
        call numbers its own, so graphs to train on and to score are to be read together. Where nodes have numbers
        beside their labels, the numbers are taken; labels and numbers of edges are not read.

    Raises:
        FileNotFoundError: there is no such file, or one of those that are needed is missing.
        ValueError: the files do not fit together.

    Example:
        ```python
        graphs, labels = keras_ssl.data.read_graphs("MUTAG/")
        columns = keras_ssl.data.pad_graphs(graphs)
        ```
    """
    path = Path(path)
    found = read_text(path) if path.is_dir() else read_npz(path)
    counts = np.diff(found["node_offset"])
    total = int(found["node_offset"][-1])
    values = found.get("node_feature")
    values = numbered(found["node_label"]) if values is None and "node_label" in found else values
    if values is not None and len(values) != total:
        raise ValueError(f"{path} must have numbers or a label for each node: {total}. Received: {len(values)}")
    graph = np.split(values, found["node_offset"][1:-1]) if values is not None else list(counts)
    pairs = list(zip(graph, np.split(found["edge"], found["edge_offset"][1:-1]), strict=True))
    labels = numbered(found["y"]) if "y" in found else None
    if labels is not None and len(labels) != len(pairs):
        raise ValueError(f"{path} must have a label for each graph: {len(pairs)}. Received: {len(labels)}")
    return pairs, labels


def numbered(values):
    """Labels as ints from 0, in their order."""
    return np.unique(values, return_inverse=True)[1].astype("int32").reshape(-1)


def read_npz(path):
    if not path.exists():
        raise FileNotFoundError(f"There is no folder and no file {path}")
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    missing = {"edge", "edge_offset", "node_offset"} - set(found)
    if missing:
        raise ValueError(f"{path} must hold the arrays {sorted(missing)}. Received: {sorted(found)}")
    for name, count in (("node_offset", None), ("edge_offset", len(found["edge"]))):
        steps = found[name] = found[name].astype("int64")
        if steps.ndim != 1 or steps[0] != 0 or (np.diff(steps) < 0).any() or count not in (None, steps[-1]):
            raise ValueError(
                f"{name} in {path} must rise from 0{f' to {count}, the number of edges' if count else ''}: where each "
                f"graph begins, and the end. Received: {steps[:3]} ... {steps[-1:]}"
            )
    if len(found["node_offset"]) != len(found["edge_offset"]):
        raise ValueError(
            f"node_offset and edge_offset in {path} must be equally long. Received: {len(found['node_offset'])} and "
            f"{len(found['edge_offset'])}"
        )
    return found


def read_text(folder):
    """The files of the TU collection, as the arrays of the `.npz` file."""
    names = sorted(folder.glob("*_graph_indicator.txt"))
    if len(names) != 1:
        raise FileNotFoundError(
            f"{folder} must hold one data set in the text format of the TU collection: NAME_graph_indicator.txt, "
            f"NAME_A.txt and others. Received: {len(names)} files *_graph_indicator.txt"
        )
    name = names[0].name.removesuffix("_graph_indicator.txt")

    def table(part, dtype, needed=False):
        path = folder / f"{name}_{part}.txt"
        if needed and not path.exists():
            raise FileNotFoundError(f"{path} is missing")
        if not path.exists():
            return None
        text = path.read_text().strip()  # empty where no graph has an edge
        return np.loadtxt(text.splitlines(), dtype, delimiter=",", ndmin=2) if text else np.zeros((0, 2), dtype)

    of_node = table("graph_indicator", "int64", needed=True)[:, 0] - 1
    if (np.diff(of_node) < 0).any():
        raise ValueError(f"{names[0]} must name the graph of each node in rising order")
    count = int(of_node[-1]) + 1
    offset = np.searchsorted(of_node, np.arange(count + 1))
    edges = table("A", "int64", needed=True) - 1
    if len(edges) and (edges.min() < 0 or edges.max() >= len(of_node)):
        wrong = edges[((edges < 0) | (edges >= len(of_node))).any(axis=1)][0] + 1
        raise ValueError(
            f"{name}_A.txt must hold numbers of nodes from 1 to {len(of_node)}. Received: {tuple(wrong.tolist())}"
        )
    of_edge = of_node[edges[:, 0]]
    across = of_edge != of_node[edges[:, 1]]
    if across.any():
        wrong = tuple((edges[across][0] + 1).tolist())
        raise ValueError(f"{name}_A.txt has an edge between nodes of two graphs: {wrong}")
    order = np.argsort(of_edge, kind="stable")
    found = {
        "node_offset": offset,
        "edge": edges[order] - offset[of_edge[order]][:, None],
        "edge_offset": np.searchsorted(of_edge[order], np.arange(count + 1)),
        "y": table("graph_labels", "float64"),
        "node_label": table("node_labels", "float64"),
        "node_feature": table("node_attributes", "float32"),
    }
    found = {key: value for key, value in found.items() if value is not None}
    return found | {key: found[key][:, 0] for key in ("y", "node_label") if key in found}


def pad_graphs(graphs, nodes=None, edges=None, *, ways="both", attribute=None):
    """Graphs as arrays of one size, with masks.

    A graph of one node, one without an edge, and an edge from a node to itself are fine. An edge that is there twice
    counts twice.

    Args:
        graphs: list of pairs `(nodes, edges)`: nodes are int labels from 0 `(n,)`, numbers `(n, features)`, or n
            itself where they have neither (then all have the label 0); edges are ints `(e, 2)`, from and to, as
            numbers of nodes from 0. Or a list of networkx graphs, whose nodes may have any names.
        nodes: int, number of nodes to which graphs are padded; None for that of the largest.
        edges: int, number of edges, in both directions, to which they are padded; None for that of the largest.
        ways: `"both"`: every edge must be there in both directions, as graphs without directions have them; `"add"`:
            the other direction is added where it is missing; `"one"`: edges have directions. An undirected networkx
            graph gets both in any case.
        attribute: str, the attribute of networkx nodes that holds their label or numbers; None for neither.

    Returns:
        dict of arrays: `"nodes"` int32 `(graphs, nodes)` or float32 `(graphs, nodes, features)`, `"nodes_mask"` bool
        `(graphs, nodes)`, `"edges"` int32 `(graphs, edges, 2)` and `"edges_mask"` bool `(graphs, edges)`, for
        `arrays`, `eval` and encoders.

    Raises:
        TypeError: a graph is neither a pair nor a networkx graph, or its arrays do not hold such numbers.
        ValueError: an edge leads to a node that is not there, or is there in one direction only; a graph has no node,
            or more nodes or edges than asked for; or graphs have unequal features.

    Example:
        >>> columns = pad_graphs([([0, 1, 1], [(0, 1), (1, 0)]), ([2], [])])
        >>> columns["nodes"].tolist(), columns["edges_mask"].tolist()
        ([[0, 1, 1], [2, 0, 0]], [[True, True], [False, False]])
    """
    check_ints(optional=True, nodes=nodes, edges=edges)
    choice(*WAYS)("ways", ways)
    graphs = list(graphs)
    if not graphs:
        raise ValueError("graphs must hold at least one graph. Received: none")
    pairs = [pair(number, graph, ways, attribute) for number, graph in enumerate(graphs)]
    shapes = {values.shape[1:] for values, _ in pairs}
    if len(shapes) > 1:
        raise ValueError(
            "The nodes of all graphs must have a label, or equally many numbers. Received: nodes of shape "
            f"{' and '.join(sorted(str(('n', *shape)) for shape in shapes))}"
        )
    nodes = size("nodes", nodes, [len(values) for values, _ in pairs])
    edges = size("edges", edges, [len(ends) for _, ends in pairs])
    first = pairs[0][0]
    columns = {
        "nodes": np.zeros((len(pairs), nodes, *first.shape[1:]), first.dtype),
        "nodes_mask": np.zeros((len(pairs), nodes), bool),
        "edges": np.zeros((len(pairs), edges, 2), "int32"),
        "edges_mask": np.zeros((len(pairs), edges), bool),
    }
    for row, (values, ends) in enumerate(pairs):
        columns["nodes"][row, : len(values)] = values
        columns["nodes_mask"][row, : len(values)] = True
        columns["edges"][row, : len(ends)] = ends
        columns["edges_mask"][row, : len(ends)] = True
    return columns


def size(name, asked, counts):
    """The padded number of nodes or edges: at least one, as an array without columns is none."""
    most = max(counts)
    if asked is not None and most > asked:
        raise ValueError(
            f"{name}={asked} is too small: graph {int(np.argmax(counts))} has {most} {name}. Pass {name}={most} or "
            "more, or leave this graph out."
        )
    return asked or max(most, 1)


def pair(number, graph, ways, attribute):
    """The checked nodes and edges of a graph."""
    if hasattr(graph, "is_directed") and hasattr(graph, "nodes"):
        values, ends = of_networkx(number, graph, attribute)
        ways = "one" if graph.is_directed() and ways == "both" else "add" if not graph.is_directed() else ways
    elif isinstance(graph, (tuple, list)) and len(graph) == 2:
        values, ends = graph
    else:
        raise TypeError(
            f"Graph {number} must be a pair (nodes, edges) or a networkx graph. Received: {type(graph).__name__}"
        )
    values = node_array(number, values)
    ends = edge_array(number, ends, len(values))
    return values, directions(number, ends, ways)


def of_networkx(number, graph, attribute):
    """The nodes and edges of a networkx graph."""
    place = {name: i for i, name in enumerate(graph.nodes)}
    ends = [(place[start], place[end]) for start, end in graph.edges()]
    if attribute is None:
        return len(place), ends
    held = dict(graph.nodes(data=attribute))
    missing = [name for name, value in held.items() if value is None]
    if missing:
        raise ValueError(f"Graph {number}: the node {missing[0]!r} has no attribute {attribute!r}")
    return np.array(list(held.values())), ends


def node_array(number, values):
    """The nodes of a graph as int32 labels or float32 numbers."""
    if isinstance(values, (int, np.integer)) and not isinstance(values, bool):
        values = np.zeros(max(int(values), 0), "int32")
    values = np.asarray(values)
    if values.ndim not in (1, 2) or len(values) == 0 or values.shape[-1] == 0:
        raise ValueError(
            f"Graph {number} must have at least one node, with nodes as int labels (n,) or numbers (n, features). "
            f"Received: nodes of shape {values.shape}"
        )
    ints = np.issubdtype(values.dtype, np.integer)
    if not ints and not (values.ndim == 2 and np.issubdtype(values.dtype, np.floating)):
        raise TypeError(
            f"Graph {number}: nodes must be int labels (n,) or numbers (n, features). Received: dtype={values.dtype}, "
            f"shape={values.shape}"
        )
    if values.ndim == 1 and values.min() < 0:
        raise ValueError(f"Graph {number}: labels of nodes are ints from 0. Received: {values.min()}")
    if not np.isfinite(values).all():
        raise ValueError(f"Graph {number}: nodes must be finite numbers. Received: NaN or infinity")
    return values.astype("int32" if values.ndim == 1 else "float32")


def edge_array(number, ends, count):
    """The edges of a graph as int64 `(edges, 2)`, of nodes that are there."""
    ends = np.asarray(ends)
    if ends.size == 0:
        return np.zeros((0, 2), "int64")
    if ends.ndim != 2 or ends.shape[1] != 2 or not np.issubdtype(ends.dtype, np.integer):
        hint = ". It looks like (2, e): pass edges.T" if ends.ndim == 2 and ends.shape[0] == 2 else ""
        raise ValueError(
            f"Graph {number}: edges must be ints (e, 2), from and to. Received: shape={ends.shape}, "
            f"dtype={ends.dtype}{hint}"
        )
    wrong = (ends < 0) | (ends >= count)
    if wrong.any():
        one = tuple(ends[wrong.any(axis=1)][0].tolist())
        hint = ". If nodes are numbered from 1, pass edges - 1" if ends.min() == 1 and ends.max() == count else ""
        raise ValueError(
            f"Graph {number} has the edge {one}, but {count} nodes, numbered from 0 to {count - 1}{hint}"
        )
    return ends.astype("int64")


def one_way(ends):
    """For which edges there is none in the other direction."""
    span = ends.max(initial=0) + 1
    return ~np.isin(ends[:, 0] * span + ends[:, 1], ends[:, 1] * span + ends[:, 0])


def directions(number, ends, ways):
    """The edges of a graph in the directions that were asked for; loops have one."""
    loops = ends[:, 0] == ends[:, 1]
    if ways == "add":
        return np.concatenate([ends, ends[~loops & one_way(ends)][:, ::-1]])
    if ways == "both":
        lonely = one_way(ends)
        if lonely.any():
            raise ValueError(
                f"Graph {number} has the edge {tuple(ends[lonely][0].tolist())} in one direction only. Pass ways='add' "
                "to have both, or ways='one' where edges have directions."
            )
    return ends
