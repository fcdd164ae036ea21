"""InfoGraph: arXiv 1908.01000."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl import augment, data, encoders, inputs, losses
from tests import cases, kinds
from tests.methods.graph.test_graph_cl import family, small_gin
from tests.reference import graphs as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas
from tests.test_redundancy import value_and_gradient, vectors

CASE = cases.Case({}, small_gin, augment.Unchanged, kind=inputs.GRAPH, samples=kinds.graphs)
MASK = np.array([[True, True, True], [True, False, False], [True, True, False]])


# The loss


def test_the_loss_is_the_loop_and_padding_gets_no_gradient():
    parts, wholes = vectors(3, 3, 2), vectors(3, 2, seed=1)
    value, slopes = value_and_gradient(lambda p, w: losses.part_information(p, MASK, w), parts, wholes)
    assert float(value) == pytest.approx(reference.part_information(parts, MASK, wholes), rel=1e-9)
    loop = gradient(lambda p: reference.part_information(p, MASK, wholes), parts)
    np.testing.assert_allclose(slopes[0], loop, atol=1e-7)
    assert not np.any(slopes[0][~MASK])
    loop = gradient(lambda w: reference.part_information(parts, MASK, w), wholes)
    np.testing.assert_allclose(slopes[1], loop, atol=1e-7)


def test_the_loss_is_bounded_and_zero_where_nothing_is_known():
    parts = np.eye(3)[:, None, :] * 60 - 30
    assert float(losses.part_information(np.zeros((3, 2, 2)), np.ones((3, 2)), vectors(3, 2))) == pytest.approx(0)
    perfect = float(losses.part_information(parts, np.ones((3, 1), bool), np.eye(3) * 60 - 30))
    assert perfect > -2 * np.log(2) - 1e-6


def test_two_replicas_are_one(two_replicas):
    parts, wholes, mask = vectors(4, 3, 2), vectors(4, 2, seed=1), np.concatenate([MASK, MASK[1:2]])
    whole = float(losses.part_information(parts, mask, wholes))
    halves = on_replicas(two_replicas, losses.part_information, parts, mask, wholes)
    assert np.mean(halves) == pytest.approx(whole, rel=1e-5)


def test_half_precision_is_float32_inside():
    parts, wholes = ops.cast(vectors(3, 3, 2), "float16"), ops.cast(vectors(3, 2, seed=1), "float16")
    assert losses.part_information(parts, MASK, wholes).dtype == "float32"


# The method


def test_the_loss_of_the_model_is_that_of_its_nodes():
    model, columns = keras_ssl.InfoGraph(small_gin(norm=False)), kinds.graphs(4)
    nodes, graphs = model.nodes(columns)
    parts, wholes = np.float64(model.local_network(nodes)), np.float64(model.global_network(graphs))
    found = float(model({"views": [columns]}, training=True)["loss"])
    assert found == pytest.approx(reference.part_information(parts, columns["nodes_mask"], wholes), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("norm, pooling", [(True, "sum"), (False, "avg"), (True, "max")])
def test_nodes_are_what_the_encoder_pools(norm, pooling):
    encoder, columns = small_gin(norm=norm, pooling=pooling), kinds.graphs(4)
    nodes, graphs = encoders.gin_nodes(encoder)(columns)
    np.testing.assert_allclose(graphs, encoder(columns), atol=1e-6)
    for row, mask in enumerate(columns["nodes_mask"]):
        own = {"sum": np.sum, "avg": np.mean, "max": np.max}[pooling](np.asarray(nodes)[row, mask], axis=0)
        np.testing.assert_allclose(graphs[row], own, rtol=1e-4, atol=1e-5)


def test_other_encoders_are_refused():
    for encoder in (kinds.graph_encoder(), small_gin(pooling=None)):
        with pytest.raises(ValueError, match="gin_nodes needs a gin"):
            encoders.gin_nodes(encoder)


def test_the_networks_are_the_papers():
    model = keras_ssl.InfoGraph(small_gin(width=5, depth=3))
    for network in (model.local_network, model.global_network):
        dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
        assert [layer.units for layer in dense] == [15] * 4
        assert sorted(layer.activation.__name__ for layer in dense) == ["linear", "relu", "relu", "relu"]


def test_nodes_find_their_graph_after_a_few_steps():
    keras.utils.set_random_seed(0)
    model = keras_ssl.InfoGraph(encoders.gin(12, 28, labels=1, width=8, depth=2), augment.Unchanged())
    model.compile(keras.optimizers.Adam(0.003))
    history = model.fit(data.arrays(family(), 32), epochs=6, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.1
