"""MoCo v1 and v2: arXiv 1911.05722 and 2003.04297."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from tests import cases
from tests.reference import losses as reference
from tests.test_distribute import on_replicas

CASE = cases.Case({"dim": 8, "queue_size": 20, "momentum": 0.9})

BATCH = 4


def encoder(groups=0):
    """Without batch normalization, or with one per group of the batch."""
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    if groups:
        x = keras_ssl.encoders.GroupedBatchNormalization(groups, momentum=0.9)(x)
    return keras.Model(images, keras.layers.Flatten()(keras.layers.ReLU()(x)))


def make(method="MoCoV1", groups=0, seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = getattr(keras_ssl, method)(encoder(groups), **{"dim": 5, "queue_size": 10, "momentum": 0.5} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def view(seed=0, batch=BATCH):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 8, 8, 3)).astype("float32")


def train(model, *views):
    return float(model.train_on_batch({"views": views}))


def keys_of(model, images):
    keys = model.key_encoder(images, training=True).numpy()
    return keys / np.linalg.norm(keys, axis=1, keepdims=True)


def record(model, monkeypatch):
    """The batches that the key encoder gets."""
    seen, key_encoder = [], model.key_encoder

    def call(images, training):
        seen.append(np.asarray(images))
        return key_encoder(images, training=training)

    monkeypatch.setattr(model, "key_encoder", call)
    return seen


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("symmetric, steps", [(False, 3), (True, 2)])
def test_the_queue_holds_the_last_keys_in_order(shuffle, symmetric, steps):
    model = make(shuffle=shuffle, symmetric=symmetric)
    keys = []
    for step in range(steps):  # enough to replace every key, and no multiple of the queue
        views = view(2 * step), view(2 * step + 1)
        keys.extend(keys_of(model, views[1]))
        if symmetric:
            keys.extend(keys_of(model, views[0]))
        train(model, *views)
    assert len(keys) > 10 and int(model.queue.pointer) == len(keys) % 10
    queue = np.roll(model.queue.read(), -int(model.queue.pointer), axis=0)
    np.testing.assert_allclose(queue, keys[-10:], atol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
def test_momentum_one_never_changes_the_keys(symmetric):
    model = make(momentum=1.0, symmetric=symmetric)
    before = model.key_encoder.get_weights()
    start = model.query_encoder.get_weights()
    for _ in range(2):
        train(model, view(0), view(1))
    for first, second in zip(model.key_encoder.get_weights(), before):
        np.testing.assert_array_equal(first, second)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(model.query_encoder.get_weights(), start))


@pytest.mark.parametrize("symmetric", [False, True])
def test_momentum_between_follows_the_stepped_query_encoder_once_a_step(symmetric):
    model = make(momentum=0.75, symmetric=symmetric)
    before = model.key_encoder.get_weights()
    train(model, view(0), view(1))
    for new, old, query in zip(model.key_encoder.get_weights(), before, model.query_encoder.get_weights()):
        np.testing.assert_allclose(new, 0.75 * old + 0.25 * query, atol=1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
def test_momentum_zero_makes_the_key_encoder_the_query_encoder(symmetric):
    model = make(momentum=0.0, groups=2, symmetric=symmetric)
    train(model, view(0), view(1))
    for slow, fast in zip(model.key_encoder.weights, model.query_encoder.weights):
        same = np.abs(slow.numpy() - fast.numpy()).max() < 1e-6
        assert same != ("moving" in fast.path), fast.path  # the key encoder keeps its own statistics


@pytest.mark.parametrize("method, options", [("MoCoV1", {}), ("MoCoV2", {"hidden": 7})])
def test_the_loss_is_the_papers_with_the_queue_of_before(method, options):
    model = make(method, **options)
    for step in range(2):  # the second time, query and key encoder differ and the queue holds keys
        queue, views = np.asarray(model.queue.read()), (view(2 * step), view(2 * step + 1))
        queries, keys = (f(x, training=True).numpy() for f, x in zip((model.query_encoder, model.key_encoder), views))
        expected = reference.info_nce(queries, keys, queue, {"MoCoV1": 0.07, "MoCoV2": 0.2}[method])
        assert train(model, *views) == pytest.approx(expected, rel=1e-4)


def test_neither_keys_nor_queue_get_a_gradient():
    model = make()
    frozen = [v.value for v in (*model.key_encoder.weights, model.queue.entries)]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        outputs = model({"views": [view(0), view(1)]}, training=True)
    assert tape.gradient([outputs["loss"], outputs["keys"]], frozen) == [None] * len(frozen)


def test_symmetric_is_the_sum_of_both_directions_with_one_queue():
    model, one_way = make(symmetric=True, shuffle=False, groups=2), make(shuffle=False, groups=2)
    first, second = view(0), view(1)
    there, back = (one_way.objective(list(views)) for views in ((first, second), (second, first)))
    both = model.objective([first, second])
    assert float(both["loss"]) == pytest.approx(float(there["loss"] + back["loss"]), rel=1e-6)
    np.testing.assert_allclose(both["keys"], there["keys"] + back["keys"], atol=1e-6)
    train(model, first, second)
    assert int(model.queue.pointer) == 2 * BATCH
    np.testing.assert_allclose(model.queue.read()[: 2 * BATCH], np.concatenate(both["keys"]), atol=1e-6)


def test_shuffled_keys_come_back_in_order(monkeypatch):
    model = make()
    images = view(batch=16)
    expected = model.key_encoder(images, training=True)
    seen = record(model, monkeypatch)
    for _ in range(2):
        np.testing.assert_allclose(model.keys(images), expected, atol=1e-5)
    assert not np.array_equal(seen[0], images) and not np.array_equal(seen[0], seen[1])
    for batch in seen:
        np.testing.assert_array_equal(np.sort(batch[:, 0, 0, 0]), np.sort(images[:, 0, 0, 0]))


def test_shuffling_parts_a_query_from_its_key(monkeypatch):
    images = view(batch=16)
    cheating, model = make(groups=8, shuffle=False), make(groups=8)
    np.testing.assert_allclose(cheating.keys(images), cheating.query_encoder(images, training=True), atol=1e-5)

    seen = record(model, monkeypatch)
    keys = np.asarray(model.keys(images))
    differ = np.abs(keys - model.query_encoder(images, training=True)).max(axis=1) > 1e-3
    assert differ.mean() > 0.5  # most are normalized with another neighbor
    order = [int(np.flatnonzero((images == image).all(axis=(1, 2, 3)))[0]) for image in seen[0]]
    shuffled = cheating.key_encoder(images[order], training=True)
    np.testing.assert_allclose(keys[order], shuffled, atol=1e-5)


def views_of_neighbors(rng, count):
    """Batches of 8 groups of four: one loud image, the same in both views, and three that share nothing.

    Those three are faint noise, another for each view. Only the loud neighbor, through the group's batch statistics,
    can tell which key belongs to such a query.
    """
    views = rng.uniform(118, 138, (2, count, 32, 8, 8, 3)).astype("float32")
    views[:, :, ::4] = rng.uniform(0, 255, (count, 8, 8, 8, 3))
    return views


def found_by_neighbors(shuffle):
    """How many of the noise queries find their keys before all of the queue, after a short training."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Dense(64)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, offset=-1)(images)))
    x = keras.layers.ReLU()(keras_ssl.encoders.GroupedBatchNormalization(8, momentum=0.9)(x))
    options = {"dim": 16, "queue_size": 64, "temperature": 0.2, "momentum": 0.9, "shuffle": shuffle}
    model = keras_ssl.MoCoV1(keras.Model(images, x), **options)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    data = tf.data.Dataset.from_tensor_slices({"views": tuple(views_of_neighbors(rng, 100))})
    model.fit(data, shuffle=False, verbose=0)
    found, queue = [], np.asarray(model.queue.read())
    for first, second in zip(*views_of_neighbors(rng, 10)):
        queries, keys = model.query_encoder(first, training=True).numpy(), model.keys(second).numpy()
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        ahead = np.sum(queries * keys, axis=1) > (queries @ queue.T).max(axis=1)
        found.extend(ahead[np.arange(32) % 4 > 0])
    return np.mean(found)


def test_without_the_shuffle_a_query_finds_its_key_by_its_neighbors():
    assert found_by_neighbors(shuffle=False) > 0.65
    assert found_by_neighbors(shuffle=True) < 0.2  # 3 keys in 31 meet their loud neighbor again


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_keys_of_both_replicas_enter_the_queue(two_replicas, symmetric):
    with two_replicas.scope():
        model = make(queue_size=20, symmetric=symmetric)
        model.run_eagerly = False
    first, second = view(0, 8), view(1, 8)
    expected = [keys_of(model, second), keys_of(model, first)]
    model.fit(tf.data.Dataset.from_tensors({"views": (first, second)}), verbose=0)
    expected = np.concatenate(expected[: 1 + symmetric])  # the order of one replica
    for entries in two_replicas.experimental_local_results(model.queue.entries.value):
        np.testing.assert_allclose(entries[: len(expected)], expected, atol=1e-5)
    assert model.queue.pointer.numpy() == len(expected)


def test_shuffling_crosses_the_replicas(two_replicas, monkeypatch):
    with two_replicas.scope():
        model = make()
    images = np.arange(16, dtype="float32")[:, None, None, None] * np.ones((8, 8, 3), "float32")

    def name_and_place(batch, training):
        name = batch[:, 0, 0, 0]
        return ops.stack([name, 0 * name + ops.cast(keras_ssl.distribute.replica(), "float32")], axis=1)

    monkeypatch.setattr(model, "key_encoder", name_and_place)
    names, places = np.concatenate(on_replicas(two_replicas, model.keys, images)).T
    np.testing.assert_array_equal(names, np.arange(16))
    assert places.sum() == 8 and 0 < places[:8].sum() < 8
