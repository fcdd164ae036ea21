"""Protocols of the papers: against scikit-learn, SciPy, Keras and loops, and the result they come back as."""

import csv
import doctest
import functools
import importlib
import json
import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from keras_ssl import augment, data, encoders
from keras_ssl import eval as evaluation
from keras_ssl.eval import clusters, episodes, label_free, layers, mlp, ranking, result
from tests.reference import eval as reference
from tests.test_eval import Autoencoder, pictures, sample, train

rng = np.random.default_rng


@pytest.mark.parametrize("name", [
    "clusters", "episodes", "few_labels", "geometry", "label_free", "mlp", "ranking", "result", "score",
])
def test_examples(name):
    module = importlib.import_module(f"keras_ssl.eval.{name}")
    found = doctest.testmod(module, extraglobs={"np": np})
    assert found.attempted and not found.failed


# Results


def test_result_intervals_table_and_files(tmp_path):
    values = [0.6, 0.7, 0.65, 0.5]
    mean, spread = np.mean(values), stats.sem(values)
    score = evaluation.Score(0.25, 40, name="one")
    found = evaluation.Result("probe", {"a": values, "b": score, "c": 12.3456, "d": [score, score]}, settings={
        "seed": np.int64(3), "shots": (1, 5),
    })
    np.testing.assert_allclose(found["a"].interval, stats.t.interval(0.95, 3, mean, spread), rtol=1e-5)
    assert float(found) == found["a"].mean == pytest.approx(mean) and found["a"].values == tuple(values)
    assert found["b"].interval == score.interval and found["b"].n == 40 and found["c"].interval is None
    assert found["d"].interval == (0.25, 0.25) and list(found) == ["a", "b", "c", "d"] and len(found) == 4
    lines = str(found).splitlines()
    assert lines[0] == "probe (seed=3, shots=[1, 5])" and "4 seeds" in lines[2] and "40 images" in lines[3]
    assert len({len(line) for line in lines[1:]}) == 1  # columns stand under one another
    with open(found.save(tmp_path / "result.json")) as file:
        saved = json.load(file)
    assert saved == found.to_dict() and saved["settings"] == {"seed": 3, "shots": [1, 5]}
    assert saved["measures"]["a"]["values"] == values
    found.save(str(tmp_path / "result.csv"))
    with open(tmp_path / "result.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["measure"] for row in rows] == list("abcd") and rows[0]["shots"] == "1 5"
    assert float(rows[1]["low"]) == score.interval[0] and rows[2]["low"] == ""
    score.save(tmp_path / "score.csv")
    score.save(tmp_path / "score.json")
    assert json.loads((tmp_path / "score.json").read_text()) == score.to_dict()
    with pytest.raises(ValueError, match="json or .csv"):
        found.save(tmp_path / "result.txt")
    assert not (tmp_path / "result.txt").exists()


def test_student():
    for freedom in (1, 2, 3, 4, 5, 6, 10, 30, 599):
        assert result.student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


# Few-shot


@pytest.mark.parametrize("alone", [True, False])
def test_few_shot_equals_scikit_learn(monkeypatch, alone):
    rows, labels = sample(200, classes=7, dim=9)
    others, marks = (rows, labels) if alone else sample(150, classes=7, dim=9, seed=4)
    test = () if alone else (others, marks)
    monkeypatch.setattr(episodes, "NUMBERS", 3000)  # several chunks
    found = evaluation.few_shot_features(rows, labels, *test, shots=(1, 4), ways=3, episodes=6, queries=5, seed=2)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    classes = episodes.members(labels, None if alone else marks, 4, 5, 3)
    seen, expected = set(), {key: [] for key in found}
    for number in range(6):
        support, asked = episodes.episode(classes, 4, 3, 5, 2, number)
        assert support.shape == (3, 4) and asked.shape == (3, 5)
        own = labels[support[:, 0]]
        assert len(set(own)) == 3 and np.all(labels[support] == own[:, None]) and np.all(marks[asked] == own[:, None])
        assert len(set(support.ravel())) == 12 and len(set(asked.ravel())) == 15
        assert not alone or not set(support.ravel()) & set(asked.ravel())
        seen.add(tuple(support.ravel()))
        for shot in (1, 4):
            x, y = unit(rows[support[:, :shot].ravel()]), np.repeat(range(3), shot)
            means = np.stack([x[y == way].mean(axis=0) for way in range(3)])
            peers = {
                "nearest centroid": KNeighborsClassifier(1).fit(means, range(3)),
                "logistic regression": LogisticRegression(max_iter=1000, tol=1e-8).fit(x.astype("float64"), y),
            }
            for name, peer in peers.items():
                right = peer.predict(unit(others[asked.ravel()])) == np.repeat(range(3), 5)
                expected[f"{shot}-shot {name}"].append(np.mean(right))
    assert len(seen) == 6
    for key, values in expected.items():
        np.testing.assert_allclose(found[key].values, values)
        assert found[key].n == 6 and found[key].over == "episodes"
    assert found["4-shot nearest centroid"].mean > found["1-shot nearest centroid"].mean
    again = evaluation.few_shot_features(rows, labels, *test, shots=(1, 4), ways=3, episodes=6, queries=5, seed=2)
    assert again.to_dict() == found.to_dict()


def test_the_logits_of_few_shot_are_at_the_minimum():
    for shots, dim in ((1, 3), (5, 40), (30, 8)):
        known = rng(shots).normal(size=(2, 4, shots, dim)).astype("float32")
        known /= np.linalg.norm(known, axis=3, keepdims=True)
        asked = rng(7).normal(size=(2, 6, dim)).astype("float32")
        found = episodes.logistic(known, asked)
        for one in range(2):
            peer = LogisticRegression(max_iter=5000, tol=1e-10).fit(
                known[one].reshape(-1, dim).astype("float64"), np.repeat(range(4), shots)
            )
            expected = peer.decision_function(asked[one])
            centered = found[one] - found[one].mean(axis=1, keepdims=True)
            np.testing.assert_allclose(centered, expected - expected.mean(axis=1, keepdims=True), atol=2e-3)


# Retrieval


@pytest.mark.parametrize("alone", [True, False])
def test_retrieval_equals_the_loop(monkeypatch, alone):
    monkeypatch.setattr(ranking, "SIMILARITIES", 150)  # chunks of a few queries
    rows, labels = sample(31, classes=5)
    labels[3] = 40  # a class without another image: its query does not count
    gallery, marks = (rows, labels) if alone else sample(43, classes=5, seed=3)
    found = evaluation.retrieval_features(rows, labels, *(() if alone else (gallery, marks)), k=(1, 3))
    precisions, first = [], []
    for i in range(31):
        others = [j for j in range(len(gallery)) if not (alone and i == j)]
        nearness = [float(np.dot(reference.unit(rows[i]), reference.unit(gallery[j]))) for j in others]
        alike = marks[others] == labels[i]
        if alike.any():
            precisions.append(average_precision_score(alike, nearness))
            first.append(min(sum(np.array(nearness) > nearness[j]) for j in np.flatnonzero(alike)))
    assert len(precisions) == 30
    np.testing.assert_allclose(found["mAP"].values, precisions, rtol=1e-5)
    for k in (1, 3):
        assert found[f"recall@{k}"].mean == pytest.approx(np.mean(np.array(first) < k))
    assert found["mAP"].over == "queries" and found["mAP"].n == 30


# Clustering


def test_clustering_equals_the_loops():
    x, y = load_digits(n_class=4, return_X_y=True)
    x, y = x[:200], y[:200] * 3  # class numbers with holes
    from itertools import permutations

    from sklearn.cluster import KMeans

    found = evaluation.clustering_features(x, y, seeds=(5, 6), restarts=2)
    for place, seed in enumerate((5, 6)):
        unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")
        assigned = KMeans(4, n_init=2, random_state=seed).fit_predict(unit)
        best = max(np.mean(np.array(order)[assigned] * 3 == y) for order in permutations(range(4)))
        pairs = [(a == b, c == d) for a, c, i in zip(assigned, y, range(200)) for b, d in zip(assigned[:i], y[:i])]
        same, alike = np.array(pairs, "float64").T
        expected = same.sum() * alike.sum() / len(pairs)
        ari = (np.sum(same * alike) - expected) / ((same.sum() + alike.sum()) / 2 - expected)
        assert found["accuracy"].values[place] == pytest.approx(best) and best > 0.8
        assert found["ARI"].values[place] == pytest.approx(ari)
        assert found["NMI"].values[place] == pytest.approx(normalized_mutual_info_score(y, assigned))
    many = evaluation.clustering_features(x, y, clusters=8, seeds=1)
    assert many["accuracy"].mean < found["accuracy"].mean and many["accuracy"].interval is None
    flat = evaluation.clustering_features(np.ones((20, 3)), np.arange(20) % 2)  # no warning, nothing known
    assert flat["accuracy"].mean == 0.5 and flat["NMI"].mean == 0 and flat["ARI"].mean == 0


def test_clustering_says_what_to_install(monkeypatch):
    monkeypatch.setitem(importlib.import_module("sys").modules, "sklearn.cluster", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        clusters.clustering_features(np.eye(4), [0, 1, 0, 1])


# Without labels


def test_rank_me():
    images = rng(0).integers(0, 256, (30, 3, 3, 1), "uint8")
    found = evaluation.rank_me(None, images, images=20, batch_size=8)
    assert float(found) == pytest.approx(reference.rankme(images[:20].reshape(20, -1).astype("float64")), rel=1e-5)
    assert found["RankMe"].n == 20 and found.settings["dim"] == 9
    pipeline = data.arrays(images, 7, shuffle=False)
    assert float(evaluation.rank_me(None, pipeline, images=20)) == pytest.approx(float(found), rel=1e-5)
    assert int(pipeline.epoch) == 0


def lidar_reference(f, delta):
    """Equations of the paper, sums over images and views, and the square root of a matrix."""
    n, q, dim = f.shape
    means = [sum(f[i]) / q for i in range(n)]
    mean = sum(means) / n
    between, within = np.zeros((dim, dim)), delta * np.eye(dim)
    for i in range(n):
        between += np.outer(means[i] - mean, means[i] - mean) / n
        for j in range(q):
            within += np.outer(f[i, j] - means[i], f[i, j] - means[i]) / (n * q)
    root = np.linalg.inv(np.real(sqrtm(within)))
    values = np.maximum(np.linalg.eigvalsh(root @ between @ root), 0)
    p = values / values.sum()
    return math.exp(-sum(v * math.log(v) for v in p if v > 0))


def test_lidar_equals_the_loops():
    for n, q, dim in ((70, 3, 6), (5, 4, 9)):
        f = rng(n).normal(size=(n, 1, dim)) * np.linspace(0.2, 2, dim) + 0.3 * rng(1).normal(size=(n, q, dim))
        for delta in (1e-4, 0.5):
            found = evaluation.lidar_features(f.astype("float32"), delta)
            assert found == pytest.approx(lidar_reference(f, delta), rel=1e-4)
    noise = rng(2).normal(size=(50, 20, 8))  # views say nothing but two dimensions of their image
    assert evaluation.lidar_features(noise + 9 * rng(3).normal(size=(50, 1, 8)) * (np.arange(8) < 2)) < 2.5
    assert evaluation.lidar_features(np.ones((3, 2, 4))) == 0


def test_views_are_those_of_the_seeds_whatever_the_chunks(monkeypatch):
    images, _ = pictures(12)
    layer = augment.View([augment.RandomCrop(6, padding=2, flip=0.5)])
    state = layer.get_weights()
    arguments = (None, images, layer)
    rows = label_free.view_features(*arguments, 9, 5, 3, 4)
    assert rows.shape == (9, 5, 108) and len(np.unique(rows[0], axis=0)) > 2
    monkeypatch.setattr("keras_ssl.eval.extraction.PIXELS", 1)
    np.testing.assert_array_equal(label_free.view_features(*arguments, 9, 5, 3, 4), rows)
    assert np.any(label_free.view_features(*arguments, 9, 5, 4, 4) != rows)
    assert float(evaluation.lidar(*arguments, images=9, views=5, seed=3)) == evaluation.lidar_features(rows)
    found = evaluation.align_uniform(*arguments, images=9, seed=3)
    assert found["alignment"].mean == pytest.approx(reference.alignment(rows[:, 0], rows[:, 1]), rel=1e-5)
    spread = (reference.uniformity(rows[:, 0]) + reference.uniformity(rows[:, 1])) / 2
    assert found["uniformity"].mean == pytest.approx(spread, rel=1e-5)
    for before, after in zip(state, layer.get_weights()):
        np.testing.assert_array_equal(before, after)
    flip = keras.layers.RandomFlip(seed=1)
    state = flip.variables[0].numpy()
    assert evaluation.align_uniform(None, images, flip)["alignment"].mean > 0
    np.testing.assert_array_equal(flip.variables[0].numpy(), state)
    two_sizes = lambda batch: [batch, batch[:, :3, :3], 255 - batch]  # the small view is left out
    second = label_free.view_features(None, images, two_sizes, 12, 2, 0, 4)[:, 1]
    np.testing.assert_allclose(second, 1 - images.reshape(12, -1) / 255, atol=1e-6)


# Few labels


def test_semi_supervised():
    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8, 1).astype("float32") * 15
    train_set, test_set = (images[:1000], y[:1000]), (images[1000:], y[1000:])
    found = evaluation.semi_supervised(None, train_set, test_set, fractions=(0.02, 0.2), seeds=2)
    assert found.settings["labels"] == [20, 200] and found["2 % of the labels"].n == 2
    assert found["2 % of the labels"].mean < found["20 % of the labels"].mean
    for seed in range(2):
        chosen = evaluation.labeled_part(y[:1000], 0.02, seed)
        assert list(np.bincount(y[chosen])) == [2] * 10
        expected = evaluation.linear(None, (images[chosen], y[chosen]), test_set, seed=seed)
        assert found["2 % of the labels"].values[seed] == float(expected)
    pipeline = data.arrays(images, 64, labels=y, shuffle=False)
    calls = []

    def fit(encoder, train, test, seed):
        calls.append((len(train[0]), seed))
        return evaluation.knn(encoder, train, test, k=1)

    for source in (pipeline, (images, y)):
        evaluation.semi_supervised(None, source, test_set, fractions=0.1, seeds=(4, 7), fit=fit)
    assert calls == [(180, 4), (180, 7)] * 2
    np.testing.assert_array_equal(evaluation.labeled_part(y, 1.0), np.arange(len(y)))


def test_semi_supervised_fine_tunes():
    images, labels = pictures(24)
    encoder = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()])
    encoder.add(keras.layers.Dense(4))
    fit = functools.partial(evaluation.fine_tune, epochs=1, augment=False)
    found = evaluation.semi_supervised(encoder, (images, labels), (images, labels), 0.5, seeds=1, fit=fit)
    assert found["50 % of the labels"].n == 1


# Probes


def test_mlp_probe_is_float32_and_of_its_seed_alone():
    rows, labels = sample(64, classes=3)
    arguments = rows, labels, 3, 8, 5, 16, 0.01, 0.1
    keras.config.set_dtype_policy("mixed_bfloat16")
    state = random.getstate()
    found = [mlp.fit(*arguments, seed=seed) for seed in (1, 1, 2)]
    assert random.getstate() == state
    assert all(variable.dtype == "float32" for variable in found[0].weights)
    assert found[0].predict(rows, verbose=0).dtype == np.float32
    for first, same, other in zip(*[model.get_weights() for model in found]):
        np.testing.assert_array_equal(first, same)
        assert np.any(first != other)
    batches = mlp.Batches(rows, np.arange(64), 2, 20, seed=1)
    drawn = [batches[number][1] for number in range(len(batches))]
    assert len(drawn) == 6 and len(set(np.concatenate(drawn[:3]))) == 60
    np.testing.assert_array_equal(drawn[4], mlp.Batches(rows, np.arange(64), 2, 20, seed=1)[4][1])


def test_intervals_of_shares_stay_among_shares():
    rows = np.eye(30)[np.arange(60) % 30]
    found = evaluation.retrieval_features(np.concatenate([rows, -rows[:2]]), [*np.arange(60) % 30, 0, 1], k=1)
    assert 0.9 < found["recall@1"].mean < 1 and all(0 <= m.low <= m.high <= 1 for m in found.measures.values())
    assert found["recall@1"].high == 1  # Student's reaches beyond
    scores = [evaluation.Score(1.0, 10), evaluation.Score(0.9, 10)]
    assert evaluation.Result("probe", {"a": scores, "b": [1.0, 0.9]})["a"].interval[1] == 1
    assert evaluation.Result("loss", {"b": [1.0, 0.9]})["b"].high > 1  # may be anything


def test_mlp_probe_on_digits():
    x, y = load_digits(return_X_y=True)
    peer = MLPClassifier(64, tol=1e-3, random_state=0).fit(x[:900] / 16, y[:900]).score(x[900:] / 16, y[900:])
    score = evaluation.mlp_probe_features(x[:900], y[:900], x[900:], y[900:], hidden=64)
    assert float(score) > peer - 0.02 and score.name == "MLP probe" and score.top5 > 0.98
    again = evaluation.mlp_probe_features(x[:900], y[:900], x[900:], y[900:], hidden=64)
    assert score == again


def test_layer_encoder():
    # The sizes of the papers' probes on AlexNet.
    for side, channels, expected in ((55, 64, 12), (27, 192, 7), (13, 384, 5), (13, 256, 6), (3, 8, 3)):
        assert layers.resized(keras.Input((side, side, channels)), 9000).shape[1] == expected**2 * channels
    assert layers.resized(keras.Input((20, 10, 8)), 400).shape[1] == 10 * 5 * 8
    inputs, name = keras.Input((8, 8, 3)), "two"
    x = keras.layers.Conv2D(8, 3, padding="same", name="one")(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", name="two")(x)
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x), name="net")
    images = pictures(5, size=8)[0].astype("float32")
    middle = keras.Model(encoder.inputs, encoder.get_layer(name).output).predict(images, verbose=0)  # (5, 8, 8, 8)
    expected = middle.reshape(5, 4, 2, 4, 2, 8).mean(axis=(2, 4)).reshape(5, -1)
    found = evaluation.layer_encoder(encoder, name, dimensions=128)
    np.testing.assert_allclose(evaluation.features(found, images)[0], expected, rtol=1e-4, atol=1e-3)
    whole = evaluation.features(evaluation.layer_encoder(encoder, name), images)[0]
    np.testing.assert_allclose(whole, middle.reshape(5, -1), rtol=1e-4, atol=1e-3)
    before = encoder.predict(images, verbose=0)
    inputs = keras.Input((8, 8, 3))
    inside = keras.Model(inputs, keras.layers.Dense(3)(encoder(keras.layers.Rescaling(1.0)(inputs))))
    chain = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1.0), encoder])
    deeper = keras.Model(inputs, inside(inputs))
    for outer in (inside, chain, deeper):
        nested = evaluation.layer_encoder(outer, name)
        np.testing.assert_allclose(evaluation.features(nested, images)[0], whole, rtol=1e-4, atol=1e-3)
        all_of_it = evaluation.layer_encoder(outer, encoder.name)
        np.testing.assert_allclose(evaluation.features(all_of_it, images)[0], before, rtol=1e-4, atol=1e-3)
    assert evaluation.layer_encoder(inside, f"{encoder.name}/{name}").output_shape == (None, 512)
    np.testing.assert_array_equal(encoder.predict(images, verbose=0), before)
    keras.Model.from_config(inside.get_config())  # still what it was
    tokens = encoders.vit((8, 8, 3), patch=4, width=8, depth=1, heads=2)
    names = [layer.name for layer in tokens.layers if len(getattr(layer.output, "shape", ())) == 3]
    assert evaluation.layer_encoder(tokens, names[-1]).output_shape == (None, 8)


def test_layer_probes():
    images, labels = pictures(20)
    encoder = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(2, 3, name="one")])
    encoder.add(keras.layers.Flatten(name="two"))
    found = evaluation.layer_probes(encoder, (images, labels), (images, labels), ["one", "two"], epochs=1)
    assert list(found) == ["one", "two"] and found["one"].mean == found["two"].mean and found["one"].over == "images"


# Callback


def test_monitor():
    images, labels = pictures(24)
    bare, expected, state = train([], images)
    sets = (images, labels)
    callbacks = [
        evaluation.Monitor(lambda encoder: evaluation.retrieval(encoder, sets, k=1), "retrieval", every=2),
        evaluation.Monitor(lambda encoder: evaluation.linear(encoder, sets, sets, epochs=1), "Linear probe", every=3),
    ]
    model, history, found = train(callbacks, images)
    for one, other in zip(found, state, strict=True):
        np.testing.assert_array_equal(one, other)
    assert {"retrieval_map", "retrieval_recall_1", "linear_probe"} < set(history)
    assert history["retrieval_map"][-1] == evaluation.retrieval(model.encoder, sets)["mAP"].mean
    assert len(history["linear_probe"]) == 3 and isinstance(callbacks[1].result, evaluation.Score)
    callback = evaluation.Monitor(lambda encoder: evaluation.retrieval(encoder, sets, k=1), "retrieval")
    callback.set_model(Autoencoder())
    logs, later = {}, {}
    callback.on_epoch_end(0, logs)
    callback.set_model(keras.Sequential([keras.layers.Rescaling(np.nan), keras.layers.Flatten()]))
    with pytest.warns(UserWarning, match="diverged"):
        callback.on_epoch_end(1, later)
    assert set(later) == set(logs) and all(np.isnan(list(later.values())))


# Errors


@pytest.mark.parametrize("make, error, match", [
    (lambda x, y: evaluation.Result("x", {}), ValueError, "one measure"),
    (lambda x, y: evaluation.Result("x", {"a": []}), ValueError, "one value"),
    (lambda x, y: evaluation.Result("x", {"a": "good"}), TypeError, "a number, a Score"),
    (lambda x, y: evaluation.Result("x", {"a": 1})["b"], KeyError, "not one of the measures"),
    (lambda x, y: evaluation.few_shot(None, x, (x, y)), ValueError, "train set has no labels"),
    (lambda x, y: evaluation.few_shot(None, (x, y), shots=0), ValueError, "shots"),
    (lambda x, y: evaluation.few_shot(None, (x, y), ways=1), ValueError, "ways"),
    (lambda x, y: evaluation.few_shot(None, (x, y), ways=3), ValueError, "Lower ways"),
    (lambda x, y: evaluation.few_shot(None, (x, y), (x, y), ways=2, shots=5), ValueError, "5 images to learn"),
    (lambda x, y: evaluation.few_shot(None, (x, y), episodes=0), ValueError, "episodes"),
    (lambda x, y: evaluation.retrieval(None, x), ValueError, "query set has no labels"),
    (lambda x, y: evaluation.retrieval(None, (x, y), k=0), ValueError, "k must"),
    (lambda x, y: evaluation.retrieval(None, (x, y), (x, y + 2)), ValueError, "share no class"),
    (lambda x, y: evaluation.retrieval_features([[np.nan]], [0]), ValueError, "diverged"),
    (lambda x, y: evaluation.clustering(None, x), ValueError, "clustered set has no labels"),
    (lambda x, y: evaluation.clustering(None, (x, y), clusters=9), ValueError, "clusters"),
    (lambda x, y: evaluation.clustering(None, (x, y), seeds=0), ValueError, "seeds"),
    (lambda x, y: evaluation.clustering(None, (x, y), seeds="abc"), ValueError, "seeds"),
    (lambda x, y: evaluation.clustering(None, (x, y), restarts=0), ValueError, "restarts"),
    (lambda x, y: evaluation.rank_me(None, x[:1]), ValueError, "At least two images"),
    (lambda x, y: evaluation.rank_me(None, x, images=1), ValueError, "images"),
    (lambda x, y: evaluation.lidar(None, x, lambda batch: 3), TypeError, "augment must return"),
    (lambda x, y: evaluation.lidar(None, x, lambda batch: [], views=2), TypeError, "augment must return"),
    (lambda x, y: evaluation.lidar(None, x, lambda batch: batch, views=1), ValueError, "views"),
    (lambda x, y: evaluation.lidar_features(np.ones((3, 4))), ValueError, "two views"),
    (lambda x, y: evaluation.lidar_features(np.ones((3, 4, 2)), delta=0), ValueError, "delta"),
    (lambda x, y: evaluation.lidar_features(np.full((3, 4, 2), np.nan)), ValueError, "diverged"),
    (lambda x, y: evaluation.uniformity(np.ones((1, 2))), ValueError, "two images"),
    (lambda x, y: evaluation.semi_supervised(None, (x, y), (x, y), 0.1), ValueError, "each of the 2 classes"),
    (lambda x, y: evaluation.semi_supervised(None, (x, y), (x, y), 2), ValueError, "fraction"),
    (lambda x, y: evaluation.semi_supervised(None, (x, y), (x, y), fit="linear"), TypeError, "fit must"),
    (lambda x, y: evaluation.semi_supervised(None, x, (x, y), fit=evaluation.linear), ValueError, "train set has no"),
    (lambda x, y: evaluation.labeled_part([0, 1, 1, 1, 1, 1], 0.9), ValueError, "fraction=0.9"),
    (lambda x, y: evaluation.mlp_probe(None, (x, y), (x, y), hidden=0), ValueError, "hidden"),
    (lambda x, y: evaluation.mlp_probe(None, (x, y), (x, y), learning_rate=0), ValueError, "learning_rate"),
    (lambda x, y: evaluation.layer_encoder(None, "a"), TypeError, "functional"),
    (lambda x, y: evaluation.layer_encoder(small(), "three"), ValueError, "No layer .* one, two"),
    (lambda x, y: evaluation.layer_encoder(small(), "one", 0), ValueError, "dimensions"),
    (lambda x, y: evaluation.layer_encoder(small(None), "one"), ValueError, "fixed size"),
    (lambda x, y: evaluation.Monitor(3, "x"), TypeError, "measure"),
])
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make(*pictures(6))


def small(size=6):
    encoder = keras.Sequential([keras.Input((size, size, 3)), keras.layers.Conv2D(2, 3, name="one")])
    encoder.add(keras.layers.GlobalAveragePooling2D(name="two"))
    return encoder


def test_data_sets_are_read_like_arrays():
    images, labels = pictures(16)
    source = tf.data.Dataset.from_tensor_slices({"image": images, "label": labels}).batch(5)
    for function in (
        functools.partial(evaluation.retrieval, k=1),
        functools.partial(evaluation.clustering, seeds=1, restarts=1),
        functools.partial(evaluation.few_shot, ways=2, shots=1, episodes=3, queries=2),
    ):
        assert function(None, source).to_dict() == function(None, (images, labels)).to_dict()
