"""DenseCL: arXiv 2011.09157."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.reference import dense as reference
from tests.reference.losses import gradient
from tests.test_redundancy import value_and_gradient, vectors

CASE = cases.Case({"hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9})


def encoder():
    """A map of 3 x 3 places, without batch normalization."""
    images = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(6, 4, strides=4)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.Conv2D(8, 1)(keras.layers.LeakyReLU()(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def make(name="DenseCL", **options):
    keras.utils.set_random_seed(0)
    options = {"hidden": 10, "dim": 5, "queue_size": 12, "momentum": 0.5} | options
    model = getattr(keras_ssl, name)(encoder(), **options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def view(seed=0, batch=4):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 12, 12, 3)).astype("float32")


def outputs_of(network, images):
    whole, places, features = (np.float64(x) for x in network(images, training=True))
    return whole, places.reshape(len(images), -1, places.shape[-1]), features.reshape(len(images), 9, -1)


def parted():
    """A model whose key encoder is not the query encoder any more."""
    model = make(dense_weight=0.3)
    model.train_on_batch({"views": (view(5), view(6))})
    model.train_on_batch({"views": (view(7), view(8))})
    return model


def test_the_loss_is_the_papers():
    model, views = parted(), (view(0), view(1))
    whole, queries, places = outputs_of(model.query_encoder, views[0])
    key, keys, key_places = outputs_of(model.key_encoder, views[1])
    match = reference.most_similar(places, key_places)
    partners = np.stack([k[m] for k, m in zip(keys, match)])
    rows = queries.reshape(-1, 5), partners.reshape(-1, 5)
    queue, dense_queue = (np.float64(q.entries) for q in (model.queue, model.dense_queue))
    expected = reference.info_nce(whole, key, queue, 0.2), reference.info_nce(*rows, dense_queue, 0.2)
    outputs = model({"views": views}, training=True)
    assert float(outputs["global_loss"]) == pytest.approx(expected[0], rel=1e-4)
    assert float(outputs["dense_loss"]) == pytest.approx(expected[1], rel=1e-4)
    assert float(outputs["loss"]) == pytest.approx(0.7 * expected[0] + 0.3 * expected[1], rel=1e-4)


def test_matches_are_the_loop():
    first, second = vectors(3, 5, 4), vectors(3, 7, 4, seed=1)
    found = losses.most_similar(first, second)
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, reference.most_similar(first, second))


def test_the_gradient_is_that_of_matches_that_stay():
    """The matches have none, and neither have the keys."""
    model = parted()
    (_, _, places) = outputs_of(model.query_encoder, view(0))
    (_, keys, key_places) = outputs_of(model.key_encoder, view(1))
    match, queue = reference.most_similar(places, key_places), np.float64(model.dense_queue.entries)
    partners = np.stack([k[m] for k, m in zip(keys, match)]).reshape(-1, 5)
    queries = vectors(36, 5)
    value, slopes = value_and_gradient(lambda q, k: losses.info_nce(q, k, queue, 0.2), queries, partners)
    loop = gradient(lambda q: reference.info_nce(q, partners, queue, 0.2), queries)
    np.testing.assert_allclose(slopes[0], loop, atol=1e-6)
    assert slopes[1] is None
    with tf.GradientTape() as tape:
        tape.watch([v.value for v in model.key_encoder.weights])
        loss = model({"views": (view(0), view(1))}, training=True)["loss"]
    assert all(g is None for g in tape.gradient(loss, [v.value for v in model.key_encoder.weights]))


def test_without_places_it_is_moco():
    """Bit for bit, over three steps, from the same weights."""
    dense, plain = make(dense_weight=0.0), make("MoCoV2")
    shared = [i for i, v in enumerate(dense.query_encoder.weights) if "dense_head" not in v.path]
    own = [dense.query_encoder.weights[i] for i in shared]
    for variables in (own, [dense.key_encoder.weights[i] for i in shared]):
        for variable, other in zip(variables, plain.query_encoder.weights, strict=True):
            variable.assign(other)
    dense.queue.entries.assign(plain.queue.entries)
    for step in range(3):
        pair = {"views": (view(2 * step), view(2 * step + 1))}
        keras.utils.set_random_seed(step)
        for model in (dense, plain):
            model.order.state.assign(np.array([1, step], "uint32"))
        one, other = (float(model.train_on_batch(pair, return_dict=True)["loss"]) for model in (dense, plain))
        assert one == other
        for model in (dense, plain):
            model.reset_metrics()
    for variable, other in zip(own, plain.query_encoder.weights):
        np.testing.assert_array_equal(variable, other)
    np.testing.assert_array_equal(dense.queue.entries, plain.queue.entries)


def test_equal_views_match_place_by_place():
    model = make()
    places = outputs_of(model.query_encoder, view())[2]
    other = outputs_of(model.key_encoder, view())[2]
    np.testing.assert_array_equal(losses.most_similar(places, other), np.tile(np.arange(9), (4, 1)))


def test_the_order_of_the_key_places_does_not_matter():
    model, views = parted(), (view(0), view(1))
    expected = float(model({"views": views}, training=True)["loss"])
    call, order = model.key_encoder, np.random.default_rng(0).permutation(9)

    def permuted(images, training):
        whole, *maps = call(images, training=training)
        maps = [tf.gather(tf.reshape(x, (len(images), 9, -1)), order, axis=1) for x in maps]
        return [whole, *(tf.reshape(x, (len(images), 3, 3, x.shape[-1])) for x in maps)]

    model.key_encoder = permuted
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-6)


def test_the_second_queue_holds_the_means_of_places():
    model = make(shuffle=False)
    for seed in (0, 2, 4):
        outputs = model({"views": (view(seed), view(seed + 1))}, training=True)
        _, keys, _ = outputs_of(model.key_encoder, view(seed + 1))
        np.testing.assert_allclose(outputs["dense_keys"], [reference.unit(k.mean(axis=0)) for k in keys], atol=1e-5)
        model.after_step(outputs)
    np.testing.assert_allclose(np.linalg.norm(model.dense_queue.entries, axis=1), 1, atol=1e-5)
    assert int(model.dense_queue.pointer) == 0 and int(model.queue.pointer) == 0  # 12 of 12 were written
    np.testing.assert_allclose(model.dense_queue.entries[8:], outputs["dense_keys"], atol=1e-6)


def test_heads_are_the_papers():
    model = keras_ssl.DenseCL(encoder(), queue_size=16)
    for name in ("head", "dense_head"):
        layers = model.query_encoder.get_layer(name).layers
        assert [type(layer).__name__ for layer in layers] == ["Dense", "ReLU", "Dense"]
        assert [layer.units for layer in layers[::2]] == [2048, 128] and all(layer.use_bias for layer in layers[::2])


@pytest.mark.parametrize("options, message", [
    ({"dense_weight": 1.5}, "dense_weight must be a finite number from 0 to 1"),
    ({"hidden": 0}, "hidden must be a positive int"),
    ({"temperature": 0}, "temperature must be"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
