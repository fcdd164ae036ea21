"""GraphCL: arXiv 2010.13902."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn import model_selection, pipeline, preprocessing, svm

import keras_ssl
from keras_ssl import augment, data, distribute, encoders, inputs, losses
from tests import cases, kinds
from tests.reference import graphs as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas
from tests.test_redundancy import value_and_gradient, vectors


def small_gin(**options):
    options = {"features": 3, "width": 8, "depth": 2, "synchronized": distribute.replicas() > 1} | options
    return encoders.gin(**options)


CASE = cases.Case({"temperature": 0.5}, small_gin, kinds.graph_views, kind=inputs.GRAPH, samples=kinds.graphs)


# The loss


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_loss_is_the_loop(symmetric):
    first, second = vectors(4, 3), vectors(4, 3, seed=1)

    def loop(first, second):
        loss = reference.cross_view(first, second, 0.3)
        return (loss + reference.cross_view(second, first, 0.3)) / 2 if symmetric else loss

    value, slopes = value_and_gradient(lambda a, b: losses.cross_view(a, b, 0.3, symmetric), first, second)
    assert float(value) == pytest.approx(loop(first, second), rel=1e-9)
    np.testing.assert_allclose(slopes[0], gradient(lambda x: loop(x, second), first), atol=1e-7)
    np.testing.assert_allclose(slopes[1], gradient(lambda x: loop(first, x), second), atol=1e-7)


def test_the_loss_of_three_graphs_by_hand():
    first, second = np.eye(3), np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, 1]])
    by_hand = [-1 + np.log(np.e + 1), 0 + np.log(1 + 1), -1 + np.log(1 + 1)]
    assert float(losses.cross_view(first, second, temperature=1.0)) == pytest.approx(np.mean(by_hand), rel=1e-6)


def test_the_positive_is_not_in_the_denominator_and_one_graph_is_refused():
    same = np.tile(np.array([[1.0, 0.0]]), (2, 1))
    assert float(losses.cross_view(same, same, 0.2)) == pytest.approx(0, abs=1e-6)  # log 2 with it
    with pytest.raises(ValueError, match="a batch of two graphs"):
        losses.cross_view(same[:1], same[:1])


def test_two_replicas_are_one(two_replicas):
    first, second = vectors(6, 3), vectors(6, 3, seed=1)
    for symmetric in (False, True):
        whole = float(losses.cross_view(first, second, 0.5, symmetric))
        halves = on_replicas(two_replicas, lambda a, b: losses.cross_view(a, b, 0.5, symmetric), first, second)
        assert np.mean(halves) == pytest.approx(whole, rel=1e-5)


def test_half_precision_is_float32_inside():
    first, second = (ops.cast(vectors(4, 3, seed=seed), "bfloat16") for seed in range(2))
    whole = losses.cross_view(ops.cast(first, "float32"), ops.cast(second, "float32"))
    assert losses.cross_view(first, second).dtype == "float32"
    assert float(losses.cross_view(first, second)) == pytest.approx(float(whole), rel=1e-6)


# The method


def test_the_loss_of_the_model_is_that_of_its_embeddings():
    model = keras_ssl.GraphCL(small_gin(norm=False), temperature=0.4)
    views = [kinds.graphs(5), {**kinds.graphs(5), "nodes": vectors(5, 6, 3, seed=3)}]
    embeddings = [np.float64(model.projection(view)) for view in views]
    found = float(model({"views": views}, training=True)["loss"])
    assert found == pytest.approx(reference.cross_view(*embeddings, 0.4), rel=1e-4)


def test_the_projector_is_the_papers():
    projector = keras_ssl.GraphCL(small_gin(width=5, depth=3)).projection.layers[-1]
    assert [type(layer).__name__ for layer in projector.layers] == ["Dense", "ReLU", "Dense"]
    assert [layer.units for layer in projector.layers[::2]] == [15, 15]


def test_each_view_has_its_own_statistics():
    model, one = keras_ssl.GraphCL(small_gin()), kinds.graphs(4)
    other = {**one, "nodes": 9 * vectors(4, 6, 3)}
    apart = losses.cross_view(*(model.projection(view, training=True) for view in (one, other)))
    together = ops.split(model.projection(inputs.together([one, other]), training=True), 2)
    found = float(model({"views": [one, other]}, training=True)["loss"])
    assert found == pytest.approx(float(apart), rel=1e-4)
    assert abs(found - float(losses.cross_view(*together))) > 1e-2


def test_the_order_and_the_padding_of_nodes_have_no_part():
    columns, model = kinds.graphs(4), keras_ssl.GraphCL(small_gin())
    order = np.array([4, 2, 0, 5, 1, 3])
    turned = {
        "nodes": columns["nodes"][:, order], "nodes_mask": columns["nodes_mask"][:, order],
        "edges": np.argsort(order)[columns["edges"]].astype("int32"), "edges_mask": columns["edges_mask"],
    }  # fmt: skip
    pad = lambda x: np.pad(x, [(0, 0), (0, 3)] + [(0, 0)] * (x.ndim - 2))  # noqa: E731
    padded = {name: pad(x) for name, x in columns.items()}
    expected = model.projection(columns, training=True)  # with the statistics of the batch
    np.testing.assert_allclose(model.projection(turned, training=True), expected, atol=1e-5)
    np.testing.assert_allclose(model.projection(padded, training=True), expected, atol=1e-5)


# Its views


def test_each_change_is_drawn_by_chance_for_each_graph():
    graphs, drawn = kinds.graphs(64), np.random.default_rng(0).integers(-(2**31), 2**31, (64, 2)).astype("int32")
    view = augment.graph_cl(ratio=0.5, fill=7.0).views
    found = {name: np.asarray(x) for name, x in view(graphs, seeds=drawn).items()}
    lost = (found["nodes_mask"] != graphs["nodes_mask"]).any(axis=1)  # nodes or a part
    hidden = (found["nodes"] == 7).all(axis=2).any(axis=1)
    moved = (found["edges"] != graphs["edges"]).any(axis=(1, 2))
    assert not (lost & hidden).any() and not (lost & moved).any() and not (hidden & moved).any()
    assert 20 <= lost.sum() <= 44 and 8 <= hidden.sum() <= 26 and 4 <= moved.sum() <= 26


def test_a_plain_view_is_the_graph():
    graphs = kinds.graphs(4)
    first, second = augment.graph_cl(("nodes",), ratio=0.5, plain=True)(graphs)
    for name, x in graphs.items():
        np.testing.assert_array_equal(first[name], x)
    assert np.asarray(second["nodes_mask"]).sum() < graphs["nodes_mask"].sum()


def test_hidden_labels_have_no_number():
    columns = {**kinds.graphs(4), "nodes": np.zeros((4, 6), "int32")}
    encoder, hidden = small_gin(features=None, labels=3), {**columns, "nodes": np.full((4, 6), -1, "int32")}
    nothing = {**columns, "nodes": np.zeros((4, 6, 3), "float32")}
    other = small_gin()
    other.set_weights(encoder.get_weights())
    np.testing.assert_allclose(encoder(hidden), other(nothing), atol=1e-6)
    assert np.abs(encoder(hidden) - encoder(columns)).max() > 1e-3


def test_labels_of_nodes_that_the_encoder_does_not_know_are_refused():
    columns = {**kinds.graphs(8), "nodes": np.tile([0, 1, 2, 0, 1, 2], (8, 1)).astype("int32")}
    model = keras_ssl.GraphCL(small_gin(features=None, labels=3), augment.graph_cl(fill=-1))
    model.compile("sgd", run_eagerly=True)
    assert inputs.labels_of_nodes(model.encoder) == 3 and inputs.labels_of_nodes(small_gin()) is None
    for given in (columns, data.arrays(columns, 8)):
        model.fit(given, batch_size=None if given is not columns else 8, verbose=0)
    columns["nodes"][5, 2] = 3
    with pytest.raises(ValueError, match="column 'nodes' of the data must be from 0 to 2.* Received: 3"):
        model.fit(columns, batch_size=8, verbose=0)


@pytest.mark.parametrize("changes", [(), "nodes", ("node",)])
def test_other_changes_are_refused(changes):
    with pytest.raises(ValueError, match="changes must be a list of some of"):
        augment.graph_cl(changes)


def test_layers_of_one_choice_must_fit_together():
    with pytest.raises(ValueError, match="one kind of data"):
        augment.OneOf([augment.DropNodes(), augment.Grayscale()])
    with pytest.raises(ValueError, match="layers must be a list"):
        augment.OneOf([keras.layers.ReLU()])
    unequal = augment.OneOf([augment.DeleteTokens(0.5), augment.MaskTokens(0)])
    with pytest.raises(ValueError, match="samples of the same columns"):
        unequal(np.ones((2, 4), "int32"))
    with pytest.raises(ValueError, match="samples of one size"):
        augment.OneOf([augment.RandomCrop(4), augment.RandomCrop(5)])(np.zeros((2, 8, 8, 3)), training=False)


# What it learns


def family(count=96):
    """Rings, stars and random graphs of 8 to 12 nodes without labels."""
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        n = int(rng.integers(8, 13))
        ring, star = [(i, (i + 1) % n) for i in range(n)], [(0, i) for i in range(1, n)]
        random = sorted({tuple(sorted(rng.choice(n, 2, replace=False).tolist())) for _ in range(n)})
        made.append((n, [ring, star, random][number % 3]))
    return data.pad_graphs(made, 12, 28, ways="add")


def accuracy(encoder, graphs):
    """Of an SVM on the frozen features: rings, stars and random graphs, in four folds."""
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC())
    features, labels = encoder.predict(graphs, verbose=0), np.arange(len(graphs["nodes"])) % 3
    return model_selection.cross_val_score(steps, features, labels, cv=4).mean()


def test_graphs_find_their_other_view_after_a_few_steps():
    keras.utils.set_random_seed(0)
    graphs, encoder = family(), encoders.gin(12, 28, labels=1, width=8, depth=2)
    before = accuracy(encoder, graphs)
    model = keras_ssl.GraphCL(encoder, augment.graph_cl(("nodes",), ratio=0.1, plain=True))
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(data.arrays(graphs, 32), epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.1 and history[0] < np.log(31)
    after = accuracy(encoder, graphs)
    assert after > 0.88 and after > before + 0.08, (before, after)  # 0.95 and 0.78
