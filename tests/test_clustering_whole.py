"""k-means, the embeddings of a whole set, and the callback that clusters it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.cluster import KMeans

import keras_ssl
from keras_ssl import clustering
from keras_ssl.clustering import Pieces, Recluster, embed, kmeans

COUNT = 37


def rows_of(count=300, dim=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype("float32") + 3.0


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def lloyd(rows, centroids, iterations, spherical):
    """The textbook, one row at a time, in float64."""
    rows, centroids = np.array(rows, "float64"), np.array(centroids, "float64")

    def labels():
        if spherical:
            return np.array([max(range(len(centroids)), key=lambda k: row @ centroids[k]) for row in rows])
        return np.array([min(range(len(centroids)), key=lambda k: np.sum((row - centroids[k]) ** 2)) for row in rows])

    for _ in range(iterations):
        found = labels()
        for k in range(len(centroids)):
            if (found == k).any():
                mean = rows[found == k].mean(axis=0)
                centroids[k] = unit(mean) if spherical else mean
    return centroids, labels()


@pytest.mark.parametrize("iterations", [0, 1, 4])
@pytest.mark.parametrize("spherical", [False, True])
def test_kmeans_is_the_textbooks(spherical, iterations):
    rows = rows_of()
    rows = unit(rows - 3) if spherical else rows
    start = rows[:7]
    found = kmeans(rows, 7, spherical=spherical, iterations=iterations, start=start)
    centroids, assignment = lloyd(rows, start, iterations, spherical)
    np.testing.assert_allclose(found.centroids, centroids, atol=1e-5)
    np.testing.assert_array_equal(found.assignment, assignment)
    values = rows @ centroids.T if spherical else -np.square(rows[:, None] - centroids).sum(-1)
    assert found.history[-1] == pytest.approx(abs(values.max(axis=1).mean()), rel=1e-5)
    assert len(found.history) == iterations + 1


def test_kmeans_is_that_of_scikit_learn():
    rows = rows_of(2000, 16) + 100.0  # far from 0: what is left of float32 must be enough
    start = rows[::250].copy()
    found = kmeans(rows, 8, iterations=200, start=start)
    other = KMeans(8, init=start, n_init=1, max_iter=200, tol=0, algorithm="lloyd").fit(rows.astype("float64"))
    np.testing.assert_allclose(found.centroids, other.cluster_centers_, rtol=1e-4)
    np.testing.assert_array_equal(found.assignment, other.labels_)
    assert found.history[-1] * len(rows) == pytest.approx(other.inertia_, rel=1e-4)


@pytest.mark.parametrize("spherical", [False, True])
def test_the_objective_gets_better_in_every_iteration(spherical):
    found = kmeans(rows_of(500), 60, spherical=spherical, iterations=30)
    steps = np.diff(found.history) * (1 if spherical else -1)
    assert (steps >= -1e-5 * abs(found.history[0])).all() and steps[0] > 0


def test_kmeans_is_a_function_of_the_seed_and_keeps_the_best_start():
    rows = rows_of(120, 3)
    tries = [kmeans(rows, 9, seed=[5], restarts=n + 1, iterations=3).history[-1] for n in range(6)]
    again = kmeans(rows, 9, seed=5, restarts=6, iterations=3)
    assert again.history[-1] == tries[-1] < tries[0] and tries == sorted(tries, reverse=True)
    assert kmeans(rows, 9, seed=6, iterations=3).history != kmeans(rows, 9, seed=5, iterations=3).history


@pytest.mark.parametrize("spherical", [False, True])
def test_empty_clusters_split_the_largest_or_stay(spherical):
    rows = unit(rows_of(200))  # all on one side of the sphere
    start = np.concatenate([rows[:2], -rows[:3]])
    found = kmeans(rows, 5, spherical=spherical, iterations=10, start=start)
    assert set(found.assignment) == set(range(5))
    kept = kmeans(rows, 5, spherical=spherical, iterations=10, start=start, empty="keep")
    assert set(kept.assignment) == {0, 1}
    np.testing.assert_allclose(kept.centroids[2:], start[2:], atol=1e-6)
    assert (found.history[-1] > kept.history[-1]) == spherical
    same = kmeans(np.repeat(rows[:2], 10, axis=0), 5, spherical=spherical)
    assert np.isfinite(same.centroids).all() and len(set(same.assignment)) == 2
    one = kmeans(np.ones((20, 3)), 4, spherical=spherical)  # a collapsed encoder
    assert np.isfinite(one.centroids).all() and len(set(one.assignment)) == 1


def test_a_run_that_came_to_its_end_goes_no_further(tmp_path):
    rows = rows_of(60, 3)
    pieces = Pieces(tmp_path, [rows])
    first = kmeans(rows, 5, iterations=200, pieces=pieces)
    assert len(first.history) < 200
    again = kmeans(rows, 5, iterations=200, pieces=pieces)
    assert again.history == first.history
    np.testing.assert_array_equal(again.centroids, first.centroids)
    np.testing.assert_array_equal(again.assignment, first.assignment)


def test_blocks_change_nothing(monkeypatch):
    rows = rows_of(700)
    expected = kmeans(rows, 11, iterations=5)
    monkeypatch.setattr(clustering, "SCORES", 1)
    found = kmeans(rows, 11, iterations=5)
    np.testing.assert_array_equal(found.assignment, expected.assignment)
    np.testing.assert_allclose(found.centroids, expected.centroids, atol=1e-6)


@pytest.mark.parametrize(
    "rows, options, match",
    [
        (np.zeros(5), {}, "shape=\\(5,\\)"),
        (np.full((5, 2), np.nan), {}, "NaN or infinity"),
        (np.zeros((1, 2)), {}, "at most the number of rows, 1. Received: count=2"),
        (np.zeros((5, 2)), {"empty": "drop"}, "empty must be"),
        (np.zeros((5, 2)), {"restarts": 0}, "restarts must be a positive int"),
        (np.zeros((5, 2)), {"iterations": -1}, "iterations must be an int from 0"),
    ],
)
def test_kmeans_says_what_is_wrong(rows, options, match):
    with pytest.raises(ValueError, match=match):
        kmeans(rows, 2, **options)


class Stop(Exception):
    pass


def test_a_stopped_kmeans_goes_on_where_it_was(tmp_path, monkeypatch):
    rows, calls = rows_of(), []
    straight = kmeans(rows, 20, iterations=6, restarts=2, seed=1)
    plain = clustering.sums_of

    def stopping(*args):
        calls.append(args)
        if len(calls) == stop:
            raise Stop
        return plain(*args)

    monkeypatch.setattr(clustering, "sums_of", stopping)
    stop = 11  # the mean, six iterations, then the fourth of the second start
    with pytest.raises(Stop):
        kmeans(rows, 20, iterations=6, restarts=2, seed=1, pieces=Pieces(tmp_path / "k", [rows]))
    del calls[:]
    found = kmeans(rows, 20, iterations=6, restarts=2, seed=1, pieces=Pieces(tmp_path / "k", [rows]))
    assert len(calls) == 1 + 3
    np.testing.assert_array_equal(found.centroids, straight.centroids)
    np.testing.assert_array_equal(found.assignment, straight.assignment)
    assert found.history == straight.history
    assert Pieces(tmp_path / "k", [rows + 1]).get("kmeans-0") is None  # of other rows


# The whole set


def dense(shape, dtype="float32", dim=5):
    inputs = keras.Input(shape, dtype=dtype)
    x = keras.layers.Embedding(50, 3)(inputs) if dtype == "int32" else inputs
    return keras.Model(inputs, keras.layers.Dense(dim)(keras.layers.Flatten()(x)))


def of_kind(name):
    """An encoder and the columns of a small set of data."""
    draw = np.random.default_rng(0)
    if name == "image":
        return dense((4, 4, 3)), {"image": draw.integers(0, 256, (COUNT, 4, 4, 3), "uint8")}
    if name == "series":
        return dense((6, 2)), {"series": draw.normal(size=(COUNT, 6, 2)).astype("float32")}
    if name == "tokens":
        return dense((7,), "int32"), {"token_ids": draw.integers(0, 50, (COUNT, 7), "int32")}
    tensors = {"nodes": keras.Input((4, 2), name="nodes")}
    tensors["nodes_mask"] = keras.Input((4,), dtype="bool", name="nodes_mask")
    mask = keras.ops.cast(tensors["nodes_mask"], "float32")[..., None]
    outputs = keras.layers.Dense(5)(keras.layers.Flatten()(tensors["nodes"] * mask))
    columns = {"nodes": draw.normal(size=(COUNT, 4, 2)).astype("float32"), "nodes_mask": draw.random((COUNT, 4)) > 0.5}
    return keras.Model(tensors, outputs), columns


def batches(columns, size=8, order=None):
    order = np.arange(COUNT) if order is None else order
    for start in range(0, COUNT, size):
        those = order[start:start + size]
        yield {name: column[those] for name, column in columns.items()} | {"index": those.astype("int32")}


@pytest.mark.parametrize("name", ["image", "series", "tokens", "graph"])
def test_the_whole_set_is_embedded_in_order_of_every_kind(name):
    encoder, columns = of_kind(name)
    sample = columns if len(columns) > 1 else next(iter(columns.values()))
    expected = np.asarray(encoder(keras.tree.map_structure(clustering.standard, sample)))
    shuffled = np.random.default_rng(1).permutation(COUNT)
    for data in (sample, columns, list(batches(columns)), list(batches(columns, order=shuffled))):
        rows, index = embed(encoder, data, COUNT, batch_size=8)
        np.testing.assert_array_equal(index, np.arange(COUNT))
        np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-3)


def test_a_pipeline_is_embedded_and_its_order_does_not_move():
    encoder, columns = of_kind("image")
    data = keras_ssl.data.arrays(columns["image"], 8, seed=1, index=True, drop_remainder=False)
    rows, _ = embed(encoder, data, COUNT)
    np.testing.assert_allclose(rows, embed(encoder, columns["image"])[0], rtol=1e-4, atol=1e-3)
    assert int(data.epoch) == 0


def test_embed_says_what_is_wrong():
    encoder, columns = of_kind("image")
    images, index = columns["image"], np.arange(COUNT)
    for data, match in [
        ([{"image": images}], "'index'"),
        ([{"pixels": images, "index": index}], "'image'"),
        (images[:30], "7 of them missing, 0 more than once"),
        ([{"image": images, "index": index % 20}], "17 of them missing, 17 more"),
        ([{"image": images, "index": index + 1}], "index 37, but the model has samples=37"),
        ({"image": images, "image_mask": images[:3]}, "as many rows"),
        (5, "Received: int"),
        ([], "no samples"),
    ]:
        with pytest.raises(ValueError, match=match):
            embed(encoder, data, COUNT)
    with pytest.raises(ValueError, match="batch_size"):
        embed(encoder, images, batch_size=0)


def test_blocks_that_are_done_are_not_embedded_again(tmp_path, monkeypatch):
    encoder, columns = of_kind("image")
    straight, _ = embed(encoder, columns["image"], batch_size=4)
    monkeypatch.setattr(clustering, "VALUES", 1)  # a batch is a block
    plain, calls = encoder.predict, []

    def predict(x, **options):
        calls.append(len(x))
        if len(calls) == stop:
            raise Stop
        return plain(x, **options)

    monkeypatch.setattr(encoder, "predict", predict)
    stop = 6
    with pytest.raises(Stop):
        embed(encoder, columns["image"], batch_size=4, pieces=Pieces(tmp_path / "e", encoder.get_weights()))
    del calls[:]
    rows, _ = embed(encoder, columns["image"], batch_size=4, pieces=Pieces(tmp_path / "e", encoder.get_weights()))
    assert len(calls) == 10 - 5
    np.testing.assert_allclose(rows, straight, rtol=1e-5, atol=1e-5)
    assert list((tmp_path / "e").glob("*.part")) == []


# The callback


class Toy(keras.Model):
    """Notes when it is asked to cluster, and with what."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.events = []

    @property
    def step(self):
        return self.optimizer.iterations  # of batches that are accumulated, all together are one

    def call(self, x):
        return self.dense(x)

    def recluster(self, whole):
        self.events.append((whole.when, int(self.optimizer.iterations), whole.draw.integers(1 << 30)))


def fit(model, callback, epochs=4, **options):
    x = np.ones((12, 2), "float32")
    if not getattr(model, "optimizer", None):
        model.compile(optimizer="sgd", loss="mse")
    model.fit(x, x[:, :1], batch_size=4, epochs=epochs, callbacks=[callback], verbose=0, **options)
    return model.events


def test_it_clusters_after_the_warm_up_and_every_so_many_epochs():
    found = fit(Toy(), Recluster(None, warmup=1, every=2), epochs=6)
    assert [event[:2] for event in found] == [(1, 3), (3, 9), (5, 15)]
    assert len({event[2] for event in found}) == 3
    assert fit(Toy(), Recluster(None, warmup=1, every=2, seed=1), epochs=6)[0][2] != found[0][2]
    resumed = Toy()
    fit(resumed, Recluster(None, warmup=1, every=2), epochs=3)
    fit(resumed, Recluster(None, warmup=1, every=2), epochs=6, initial_epoch=3)
    assert resumed.events == found


def test_it_clusters_before_given_steps():
    found = fit(Toy(), Recluster(None, at=[7, 0, 4, 4]))
    assert [event[:2] for event in found] == [(0, 0), (4, 4), (7, 7)]


def test_several_batches_of_one_step_are_one_clustering():
    model = Toy()
    model.compile(optimizer=keras.optimizers.SGD(gradient_accumulation_steps=2), loss="mse")
    found = fit(model, Recluster(None, at=[0, 2, 3]))
    assert [event[:2] for event in found] == [(0, 0), (2, 2), (3, 3)]


def test_recluster_says_what_is_wrong():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.events = []
    with pytest.raises(TypeError, match="a model of Sequential"):
        fit(model, Recluster(None))
    for options, match in [({"every": 0}, "every"), ({"warmup": -1}, "warmup"), ({"at": [1.5]}, "at must be ints")]:
        with pytest.raises(ValueError, match=match):
            Recluster(None, **options)


def test_a_stopped_clustering_of_pcl_goes_on(tmp_path):
    """The pieces of the same weights and epoch are taken, those of others are not."""
    images = np.random.default_rng(3).integers(0, 256, (24, 8, 8, 3), "uint8")
    encoder = dense((8, 8, 3))
    options = {"samples": 24, "clusters": (3, 5), "queue_size": 8, "hidden": 4}
    augment = keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(8), 2)
    model = keras_ssl.PCL(encoder, augment, **options)
    for folder in (tmp_path, None):
        callback = Recluster(images, folder=folder)
        callback.set_model(model)
        callback.on_epoch_begin(2)
        if folder:
            kept = model.prototypes.numpy()
            files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.npz"))
            assert len(files) == 1 + 2 * 5
            block = dict(np.load(tmp_path / "embeddings-0-of-1/block-000000.npz"))
            np.savez(tmp_path / "embeddings-0-of-1/block-000000.npz", rows=block["rows"][::-1], index=block["index"])
            callback.on_epoch_begin(2)
            assert (model.prototypes.numpy() != kept).any()  # it took what it found
            callback.on_epoch_begin(3)
            callback.on_epoch_begin(2)
    np.testing.assert_array_equal(model.prototypes.numpy(), kept)


WORKER = """
import keras, numpy as np, sys, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
from keras_ssl import clustering
from tests.test_clustering_whole import two_hosts
np.savez(sys.argv[1], **two_hosts(strategy))
"""


def two_hosts(strategy):
    """A set embedded and clustered, with batch norm, whose statistics are read on each host."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4, 4, 3))
        x = keras.layers.BatchNormalization()(keras.layers.Flatten()(inputs))
        encoder = keras.Model(inputs, keras.layers.Dense(5)(x))
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4, 3), "uint8")
    found = {}
    for name, data in {"array": images, "batches": list(batches({"image": images}))}.items():
        rows, index = embed(encoder, data, COUNT, batch_size=8, strategy=strategy)
        clusters = kmeans(rows, 6, index=index, seed=3, restarts=2, strategy=strategy)
        spherical = kmeans(rows, 6, index=index, seed=3, spherical=True, strategy=strategy)
        found |= {
            f"{name} rows": clustering.everywhere(rows, index, COUNT, strategy),
            f"{name} assignment": clustering.everywhere(clusters.assignment, index, COUNT, strategy),
            f"{name} centroids": clusters.centroids,
            f"{name} history": clusters.history,
            f"{name} unit centroids": spherical.centroids,
        }
        found[f"{name} own"] = len(rows)
    return found


def test_two_hosts_share_the_work_and_find_the_same(tmp_path):
    import tensorflow as tf

    ports = [socket.socket() for _ in range(2)]
    for port in ports:
        port.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    for port in ports:
        port.close()
    running = []
    for number in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, "-c", WORKER, str(tmp_path / f"{number}.npz")]
        root = Path(__file__).parents[1]
        running.append(subprocess.Popen(command, env=environment, cwd=root, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]
    first, second = (dict(np.load(tmp_path / f"{number}.npz")) for number in range(2))
    expected = two_hosts(tf.distribute.get_strategy())
    for name, value in expected.items():
        if name.endswith("own"):
            assert first[name] + second[name] == value and min(first[name], second[name]) > 0
            continue
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
