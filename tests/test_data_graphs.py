"""Graphs as data: what is read, padded and refused."""

from pathlib import Path

import numpy as np
import pytest

import keras_ssl
from keras_ssl import data

TRIANGLE = ([3, 0, 1], [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)])
MUTAG = Path(__file__).parents[2] / "data" / "tu_graphs" / "MUTAG.npz"


def test_graphs_are_padded_and_masked():
    columns = data.pad_graphs([TRIANGLE, ([2], [])], nodes=4)
    assert columns["nodes"].tolist() == [[3, 0, 1, 0], [2, 0, 0, 0]] and columns["nodes"].dtype == "int32"
    assert columns["nodes_mask"].sum(axis=1).tolist() == [3, 1] and columns["edges_mask"].sum(axis=1).tolist() == [6, 0]
    assert columns["edges"][0].tolist() == [list(edge) for edge in TRIANGLE[1]] and not columns["edges"][1].any()


def test_one_node_no_edge_and_loops_survive():
    columns = data.pad_graphs([([0], []), (2, []), ([1, 1], [(0, 0)])])
    features = keras_ssl.encoders.gin(2, 1, labels=2)(columns)
    assert features.shape == (3, 96) and np.isfinite(features).all()
    assert columns["edges_mask"].tolist() == [[False], [False], [True]]


def test_numbers_of_nodes_are_float32():
    columns = data.pad_graphs([(np.ones((2, 3)), [(0, 1), (1, 0)]), (np.ones((1, 3), int), [])])
    assert columns["nodes"].shape == (2, 2, 3) and columns["nodes"].dtype == "float32"


def test_the_other_direction_is_added_where_asked_for_and_once():
    columns = data.pad_graphs([(3, [(0, 1), (2, 2), (1, 2)])], ways="add")
    assert columns["edges"][0].tolist() == [[0, 1], [2, 2], [1, 2], [1, 0], [2, 1]]
    assert data.pad_graphs([(3, [(0, 1)])], ways="one")["edges"][0].tolist() == [[0, 1]]
    some = data.pad_graphs([(3, [(0, 1), (1, 0), (1, 2), (1, 2)])], ways="add")  # what is there twice counts twice
    assert some["edges"][0].tolist() == [[0, 1], [1, 0], [1, 2], [1, 2], [2, 1], [2, 1]]
    assert data.pad_graphs([(3, [])], ways="add")["edges_mask"].sum() == 0


@pytest.mark.parametrize(
    "graph, options, words",
    [
        ((3, [(0, 1), (1, 3), (3, 1)]), {}, r"Graph 1 has the edge \(1, 3\), but 3 nodes, numbered from 0 to 2$"),
        ((3, [(1, 2), (2, 3)]), {"ways": "add"}, "numbered from 0 to 2. If nodes are numbered from 1, pass edges - 1"),
        ((3, [(0, 1), (-1, 0)]), {}, r"Graph 1 has the edge \(-1, 0\)"),
        ((3, [(0, 1), (1, 0), (1, 2)]), {}, r"Graph 1 has the edge \(1, 2\) in one direction only. Pass ways='add'"),
        ((3, np.zeros((2, 5), int)), {}, r"pass edges.T"),
        ((3, [(0.0, 1.0)]), {}, "edges must be ints"),
        ((0, []), {}, "at least one node"),
        (([0, -1], []), {}, "labels of nodes are ints from 0. Received: -1"),
        ((np.ones((2, 3)), []), {}, r"equally many numbers. Received: nodes of shape \('n', 3\) and \('n',\)"),
        ((np.full((2, 3), np.nan), []), {}, "finite"),
        ((5, []), {"nodes": 4}, "nodes=4 is too small: graph 1 has 5 nodes. Pass nodes=5"),
        ((2, [(0, 1), (1, 0)]), {"edges": 1}, "edges=1 is too small"),
        ((2, []), {"ways": "two"}, "ways must be one of"),
        ((2, []), {"nodes": 0}, "nodes must be a positive int"),
    ],
)
def test_what_is_wrong_with_a_graph_is_said(graph, options, words):
    with pytest.raises(ValueError, match=words):
        data.pad_graphs([(1, []), graph], **options)


@pytest.mark.parametrize("graph", ["abc", ([0.5, 1.0], []), (np.array(["C"]), [])])
def test_what_is_no_graph_is_refused(graph):
    with pytest.raises(TypeError, match="Graph 0"):
        data.pad_graphs([graph])


def test_no_graphs_are_refused():
    with pytest.raises(ValueError, match="at least one graph"):
        data.pad_graphs([])


def test_the_pipeline_is_resumable_and_says_its_sizes():
    given = [TRIANGLE, ([2], []), ([0, 1], [(0, 1), (1, 0)])]
    dataset = data.graphs(given, 2, labels=[0, 1, 0], nodes=5, shuffle=False)
    assert dataset.sizes == (5, 6) and dataset.node_labels == 4
    first = next(iter(dataset))
    assert set(first) == {"nodes", "nodes_mask", "edges", "edges_mask", "seed", "label"}
    assert first["label"].numpy().tolist() == [0, 1] and first["nodes"].shape == (2, 5)
    assert data.graphs([(np.ones((2, 3)), [])], 1).node_labels is None


# Files


def written(folder, **changes):
    """Two graphs in the text format: a path of three nodes, and one node alone."""
    files = {
        "A": "1, 2\n2, 1\n2, 3\n3, 2\n", "graph_indicator": "1\n1\n1\n2\n", "graph_labels": "-1\n1\n",
        "node_labels": "8\n6\n6\n7\n",
    }  # fmt: skip
    for name, text in {**files, **changes}.items():
        if text is not None:
            (folder / f"X_{name}.txt").write_text(text)
    return folder


def test_the_text_format_is_read(tmp_path):
    graphs, labels = data.read_graphs(written(tmp_path))
    assert labels.tolist() == [0, 1]
    assert [nodes.tolist() for nodes, _ in graphs] == [[2, 0, 0], [1]]
    assert [edges.tolist() for _, edges in graphs] == [[[0, 1], [1, 0], [1, 2], [2, 1]], []]
    batch = next(iter(data.graphs(tmp_path, 2, shuffle=False)))
    assert batch["label"].numpy().tolist() == [0, 1] and batch["nodes_mask"].numpy().sum() == 4


def test_numbers_of_nodes_come_before_their_labels(tmp_path):
    (nodes, _), (other, _) = data.read_graphs(written(tmp_path, node_attributes="1, 2\n3, 4\n5, 6\n7, 8\n"))[0]
    assert nodes.tolist() == [[1, 2], [3, 4], [5, 6]] and other.tolist() == [[7, 8]]


def test_nodes_without_anything_have_one_label(tmp_path):
    graphs, labels = data.read_graphs(written(tmp_path, node_labels=None, graph_labels=None, A=""))
    assert labels is None and [nodes for nodes, _ in graphs] == [3, 1]
    assert data.pad_graphs(graphs)["nodes"].tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"A": "1, 2\n2, 9\n"}, r"from 1 to 4. Received: \(2, 9\)"),
        ({"A": "3, 4\n4, 3\n"}, r"between nodes of two graphs: \(3, 4\)"),
        ({"graph_indicator": "1\n2\n1\n2\n"}, "in rising order"),
        ({"graph_labels": "1\n"}, "a label for each graph: 2. Received: 1"),
        ({"node_labels": "1\n"}, "for each node: 4. Received: 1"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        data.read_graphs(written(tmp_path, **changes))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="X_A.txt is missing"):
        data.read_graphs(written(tmp_path, A=None))
    with pytest.raises(FileNotFoundError, match="no folder and no file"):
        data.read_graphs(tmp_path / "no.npz")
    with pytest.raises(FileNotFoundError, match="graph_indicator"):
        data.read_graphs(tmp_path.parent)


def test_npz_is_the_text_format(tmp_path):
    arrays = {
        "edge": np.array([[0, 1], [1, 0], [1, 2], [2, 1]]), "edge_offset": np.array([0, 4, 4]),
        "node_offset": np.array([0, 3, 4]), "node_label": np.array([8, 6, 6, 7]), "y": np.array([-1, 1]),
    }  # fmt: skip
    np.savez(tmp_path / "x.npz", **arrays)
    written(tmp_path)
    of_file, of_text = (data.pad_graphs(data.read_graphs(path)[0]) for path in (tmp_path / "x.npz", tmp_path))
    for name, values in of_file.items():
        np.testing.assert_array_equal(values, of_text[name])
    for changed, words in (
        ({"edge_offset": np.array([0, 3, 3])}, "must rise from 0 to 4"),
        ({"node_offset": np.array([0, 4])}, "equally long"),
        ({"edge": None}, r"must hold the arrays \['edge'\]"),
    ):
        np.savez(tmp_path / "y.npz", **{key: x for key, x in {**arrays, **changed}.items() if x is not None})
        with pytest.raises(ValueError, match=words):
            data.read_graphs(tmp_path / "y.npz")


class Drawn:
    """What is taken of a networkx graph."""

    def __init__(self, nodes, edges, directed=False):
        self.held, self.drawn, self.directed = nodes, edges, directed

    @property
    def nodes(self):
        return type("Nodes", (dict,), {"__call__": lambda held, data: list(held.items())})(self.held)

    def edges(self):
        return self.drawn

    def is_directed(self):
        return self.directed


def of_networkx(nodes, edges, directed=False):
    """A graph of networkx where it is installed."""
    try:
        import networkx
    except ImportError:
        return Drawn(nodes, edges, directed)
    graph = (networkx.DiGraph if directed else networkx.Graph)()
    graph.add_nodes_from((name, {"atom": value} if value is not None else {}) for name, value in nodes.items())
    graph.add_edges_from(edges)
    return graph


def test_networkx_graphs_have_nodes_of_any_name():
    graph = of_networkx({"a": 1, "b": 0, "c": 2}, [("a", "b"), ("b", "c")])
    columns = data.pad_graphs([graph], attribute="atom")
    assert columns["nodes"].tolist() == [[1, 0, 2]]
    assert sorted(columns["edges"][0].tolist()) == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert data.pad_graphs([graph])["nodes"].tolist() == [[0, 0, 0]]
    directed = of_networkx({"a": 1, "b": 0}, [("a", "b")], directed=True)
    assert data.pad_graphs([directed])["edges"][0].tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="the node 'b' has no attribute 'atom'"):
        data.pad_graphs([of_networkx({"a": 1, "b": None}, [])], attribute="atom")


@pytest.mark.skipif(not MUTAG.exists(), reason="the graphs of the TU collection are not here")
def test_real_graphs():
    dataset = data.graphs(MUTAG, 64)
    assert dataset.sizes == (28, 66) and dataset.node_labels == 7 and dataset.samples == 188
