"""Evaluation: numbers against NumPy loops and scikit-learn, all kinds of data, and a training left as it was."""

import csv
import json
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from keras_ssl import data
from keras_ssl import eval as evaluation
from keras_ssl.batches import check_predicted
from keras_ssl.eval import extraction, geometry, nearest, probe
from tests.reference import eval as reference

rng = np.random.default_rng


def sample(n=30, dim=6, classes=5, seed=0):
    labels = rng(seed).integers(0, classes, n)
    return (rng(seed + 1).normal(size=(n, dim)) + np.eye(classes, dim)[labels] * 2).astype("float32"), labels


def pictures(n=40, seed=0, size=6):
    """Dark and bright images: class 0 and class 1."""
    labels = np.arange(n) % 2
    noise = rng(seed).integers(0, 100, (n, size, size, 3))
    return (noise + 120 * labels[:, None, None, None]).astype("uint8"), labels


class Autoencoder(keras.Model):
    """A model with an encoder, batch norm and every kind of randomness."""

    def __init__(self, size=6):
        super().__init__()
        inputs = keras.Input((size, size, 3))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(keras.layers.Flatten()(x)))
        self.encoder = keras.Model(inputs, keras.layers.Dense(8)(x))
        self.decoder = keras.layers.Dense(size * size * 3)

    def call(self, x, training=False):
        return keras.ops.reshape(self.decoder(self.encoder(x, training=training)), keras.ops.shape(x))


def train(callbacks, images, epochs=3, **options):
    keras.utils.set_random_seed(3)
    model = Autoencoder()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    history = model.fit(images, images / 255, batch_size=8, epochs=epochs, verbose=0, callbacks=callbacks, **options)
    after = [float(keras.random.uniform(())), float(tf.random.uniform(())), np.random.rand()]
    state = [v.numpy() for v in model.variables + model.optimizer.variables]
    return model, history.history, [*state, np.array(after)]


# Features


def test_features_reads_every_kind_of_data_alike(monkeypatch):
    images, labels = pictures(37)
    encoder = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    expected = images.reshape(37, -1).astype("float32") @ encoder.weights[0].numpy()
    slices = tf.data.Dataset.from_tensor_slices
    kinds = [
        (images, labels), (images.astype("float32"), labels[:, None]), [images, labels.astype("uint8")],
        slices({"image": images, "label": labels}).batch(5), slices((images, labels)).batch(100),
        slices((images, labels)), data.arrays(images, 8, labels=labels, shuffle=False),
    ]
    for pixels, some in ((2**25, kinds), (1, kinds[::3])):  # in one chunk, and in as many as there are batches
        monkeypatch.setattr(extraction, "PIXELS", pixels)
        for kind in some:
            rows, found = evaluation.features(encoder, kind, batch_size=8)
            assert rows.dtype == np.float32 and found.dtype == np.int64
            np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-2)
            np.testing.assert_array_equal(found, labels)
    for kind in (images, slices(images).batch(5), slices({"image": images}).batch(5)):
        rows, found = evaluation.features(None, kind)
        np.testing.assert_allclose(rows, images.reshape(37, -1) / 255, rtol=1e-6)
        assert found is None


def test_features_compile_once_and_infer(monkeypatch):
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, x, training=False):
            traces.append((x.shape[0], training))
            return x

    images, _ = pictures(37)
    encoder = keras.Sequential([keras.Input((6, 6, 3)), Counting(), keras.layers.Flatten(), keras.layers.Dropout(0.5)])
    traces.clear()
    for _ in range(3):
        rows, _ = evaluation.features(encoder, images, batch_size=8)
    np.testing.assert_array_equal(rows, images.reshape(37, -1))
    monkeypatch.setattr(extraction, "PIXELS", 16 * 108)  # chunks of 16, 16 and 5 images
    np.testing.assert_array_equal(evaluation.features(encoder, images, batch_size=8)[0], rows)
    assert traces == [(8, False)]


def test_features_are_float32_under_every_policy():
    for policy in ("mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        encoder = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(4)])
        rows, labels = evaluation.features(encoder, pictures(300))
        assert rows.dtype == np.float32 and rows.shape == (300, 4)
        assert float(evaluation.linear_features(rows, labels, rows, labels)) > 0.95


def test_features_under_two_replicas_are_those_of_one(two_replicas):
    images, _ = pictures(21)
    with two_replicas.scope():
        encoder = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    expected = images.reshape(21, -1).astype("float32") @ encoder.weights[0].numpy()
    for n in (21, 1):
        rows, _ = evaluation.features(encoder, images[:n], batch_size=8)
        np.testing.assert_allclose(rows, expected[:n], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("make, error, match", [
    (lambda x, y: evaluation.features(None, (x, y[:-1])), ValueError, "one label an image"),
    (lambda x, y: evaluation.features(None, (x, np.eye(2)[y])), ValueError, "not one-hot"),
    (lambda x, y: evaluation.features(None, (x, y - 1)), ValueError, "integers from 0"),
    (lambda x, y: evaluation.features(None, (x, y * 1.0)), ValueError, "integers from 0"),
    (lambda x, y: evaluation.features(None, x[:0]), ValueError, "no images"),
    (lambda x, y: evaluation.features(None, "photos"), TypeError, "array of images"),
    (lambda x, y: evaluation.features("resnet", x), TypeError, "keras.Model"),
    (lambda x, y: evaluation.features(None, x, batch_size=0), ValueError, "batch_size"),
    (lambda x, y: evaluation.features(None, tf.data.Dataset.from_tensors(x).repeat()), ValueError, "endless"),
    (lambda x, y: evaluation.features(None, tf.data.Dataset.from_tensors({"x": x})), ValueError, '"image"'),
    (lambda x, y: evaluation.features(keras.Sequential([keras.layers.Rescaling(1)]), x), ValueError, "pool its"),
    (lambda x, y: evaluation.knn(None, x, (x, y)), ValueError, "train set has no labels"),
    (lambda x, y: evaluation.linear(None, (x, y), x), ValueError, "test set has no labels"),
    (lambda x, y: evaluation.knn(None, (x, y), (x, y), k=0), ValueError, "k must"),
    (lambda x, y: evaluation.knn(None, (x, y), (x, y), temperature=0), ValueError, "temperature"),
    (lambda x, y: evaluation.knn(None, (x, y * 0), (x, y)), ValueError, "two classes"),
    (lambda x, y: evaluation.linear(None, (x, y), (x, y), epochs=0), ValueError, "epochs"),
    (lambda x, y: evaluation.linear(None, (x, y), (x, y), learning_rate=-1), ValueError, "learning_rate"),
    (lambda x, y: evaluation.linear(None, (x, y), (x, y), weight_decay=-1), ValueError, "weight_decay"),
    (lambda x, y: evaluation.knn_features([[np.nan]], [0], [[1.0]], [0]), ValueError, "diverged"),
    (lambda x, y: evaluation.knn_features([[1.0]], [0], [[1.0, 2.0]], [0]), ValueError, "same dim"),
    (lambda x, y: evaluation.collapse(np.ones((1, 3))), ValueError, "two images"),
    (lambda x, y: evaluation.collapse(np.full((3, 3), np.inf)), ValueError, "diverged"),
    (lambda x, y: evaluation.alignment(np.ones((2, 3)), np.ones((3, 3))), ValueError, "one shape"),
    (lambda x, y: evaluation.KNN((x, y), (x, y), every=0), ValueError, "every"),
    (lambda x, y: evaluation.CollapseMonitor(x, action="cry"), ValueError, "action"),
])
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make(*pictures(6))


# Scores


@pytest.mark.parametrize("k, temperature", [(1, 0.1), (7, 0.1), (7, 0.003), (200, 1.0)])
def test_knn_equals_the_loop(monkeypatch, k, temperature):
    train_set, test_set = sample(30, classes=7, dim=8), sample(23, classes=7, dim=8, seed=5)
    monkeypatch.setattr(nearest, "SIMILARITIES", 30 * 4)  # six chunks of the test set
    score = evaluation.knn_features(*train_set, *test_set, k=k, temperature=temperature)
    first, five = 0, 0
    for query, label in zip(*test_set):
        votes = reference.knn_votes(*train_set, query.astype("float64"), k, temperature, classes=7)
        order = sorted((c for c in range(7) if votes[c] > 0), key=lambda c: -votes[c])
        first += order[0] == label
        five += label in order[:5]
    assert score.accuracy == pytest.approx(first / 23) and score.top5 == pytest.approx(five / 23) and score.n == 23
    assert 1 / 7 < score.accuracy < 1


def test_knn_of_images_and_unknown_classes():
    images, labels = pictures(20)
    train_images, _ = pictures(20, seed=1)
    # The angle of raw pixels does not see brightness: the encoder shifts it into view.
    encoder = keras.Sequential([keras.layers.Rescaling(1, -110), keras.layers.Flatten()])
    assert float(evaluation.knn(encoder, (train_images, labels), (images, labels), k=5)) == 1
    assert float(evaluation.knn(encoder, (train_images, labels), (images, labels + 1), k=5)) == 0
    assert evaluation.knn(encoder, (train_images, labels), (images, labels)).top5 is None


def test_score():
    for share, n in ((0.0, 10), (0.37, 100), (1.0, 7)):
        score = evaluation.Score(share, n)
        np.testing.assert_allclose(score.interval, reference.wilson(share, n), atol=1e-12)
    score = evaluation.Score(0.625, 10000, 0.9, "k-NN")
    assert str(score) == "k-NN: 62.50 % (95 % interval 61.55 to 63.44, n = 10000), top-5 90.00 %"
    assert float(score) == 0.625 and json.loads(json.dumps(score.to_dict()))["top5"] == 0.9


def test_linear_equals_scikit_learn_on_digits():
    x, y = load_digits(return_X_y=True)
    train_set, test_set = (x[:1200], y[:1200]), (x[1200:], y[1200:])
    mean, deviation = x[:1200].mean(0), np.where(x[:1200].std(0) > 0, x[:1200].std(0), 1)
    peer = LogisticRegression(max_iter=2000).fit((x[:1200] - mean) / deviation, y[:1200])
    start = time.perf_counter()
    score = evaluation.linear_features(*train_set, *test_set)
    assert time.perf_counter() - start < 15
    assert float(score) == pytest.approx(peer.score((x[1200:] - mean) / deviation, y[1200:]), abs=0.007)
    assert score.top5 > 0.98
    assert score == evaluation.linear_features(*train_set, *test_set)  # same seed, same score
    shifted = evaluation.linear_features(1000 * x[:1200] + 7, y[:1200], 1000 * x[1200:] + 7, y[1200:])
    assert float(shifted) == pytest.approx(float(score), abs=0.004)


def test_linear_is_the_same_in_numpy_and_on_the_backend(monkeypatch):
    train_set, test_set = sample(300), sample(200, seed=7)
    arguments = (*probe.standardized(train_set[0], test_set[0])[:1], train_set[1], 5, 2, 64, 0.1, 0.01, 0)
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = []
    for small, threads in ((2**16, 2**18), (2**16, 200), (0, 0)):  # NumPy in one block, in many, and the backend
        monkeypatch.setattr(probe, "SMALL", small)
        monkeypatch.setattr(probe, "ONE_THREAD", threads)
        found.append(probe.fit(*arguments))
        assert found[-1].dtype == np.float32
    np.testing.assert_allclose(found[1:], found[:1] * 2, atol=1e-5)


def test_linear_with_few_labels_and_odd_features():
    x, y = load_digits(return_X_y=True)
    peer = LogisticRegression(max_iter=2000).fit(x[:100] / 16, y[:100]).score(x[100:] / 16, y[100:])
    assert float(evaluation.linear_features(x[:100], y[:100], x[100:], y[100:])) > peer - 0.03
    wide = rng(0).normal(size=(40, 500)) + 3 * np.eye(2, 500)[np.arange(40) % 2]
    assert float(evaluation.linear_features(wide, np.arange(40) % 2, wide, np.arange(40) % 2)) == 1
    flat = np.full((10, 3), 0.1)  # collapsed features: nothing to learn, no NaN
    assert float(evaluation.linear_features(flat, [0, 1] * 5, flat, [0, 1] * 5)) == 0.5
    copies = np.repeat(sample(100)[0], 50, axis=1) * 1e4  # ill-conditioned: the largest eigenvalue is 300
    assert float(evaluation.linear_features(copies, sample(100)[1], copies, sample(100)[1])) > 0.6
    images, labels = pictures(30)
    assert float(evaluation.linear(None, (images, labels), (images, labels))) == 1


# Geometry


def test_collapse_equals_the_loops(monkeypatch):
    for n, dim in ((20, 7), (6, 9)):
        features = rng(n).normal(size=(n, dim)) * np.linspace(0.1, 2, dim) + 0.5
        found = evaluation.collapse(features)
        assert found["std"] == pytest.approx(reference.standard_deviation(features), rel=1e-5)
        assert found["raw_std"] == pytest.approx(features.std(axis=0).mean(), rel=1e-5)
        assert found["rank"] == pytest.approx(reference.rankme(features), rel=1e-4)
        assert found["uniformity"] == pytest.approx(reference.uniformity(features), rel=1e-5)
        assert geometry.uniformity(geometry.unit(features), rows=4) == pytest.approx(found["uniformity"], rel=1e-5)
        other = rng(9).normal(size=(n, dim))
        assert evaluation.alignment(features, other) == pytest.approx(reference.alignment(features, other), rel=1e-5)


def test_collapse_at_its_ends():
    uniform = evaluation.collapse(rng(0).normal(size=(2000, 16)))
    assert uniform["std"] == pytest.approx(1, abs=0.02) and uniform["rank"] == pytest.approx(16, abs=0.1)
    ray = evaluation.collapse(np.linspace(1, 2, 50)[:, None] * np.arange(1, 9))
    assert ray["std"] == pytest.approx(0, abs=1e-6) and ray["uniformity"] == pytest.approx(0, abs=1e-6)
    assert ray["rank"] == pytest.approx(1, abs=1e-4) and ray["raw_std"] > 1
    assert evaluation.collapse(np.zeros((4, 3))) == {"std": 0, "raw_std": 0, "rank": 0, "uniformity": 0}
    assert evaluation.alignment(np.eye(3), 5 * np.eye(3)) == 0


# Callbacks


def flip(images):
    return [images, images[:, :, ::-1]]


def test_callbacks_log_and_leave_the_training_bit_equal(tmp_path):
    images, labels = pictures(40)
    _, plain, expected = train([], images)
    augment = keras.layers.RandomFlip(seed=1)
    state = augment.variables[0].numpy()
    monitor = evaluation.CollapseMonitor(
        tf.data.Dataset.from_tensor_slices({"image": images}).batch(7).repeat(),
        augment=augment_twice(augment), images=20, batch_size=8,
    )
    callbacks = [
        evaluation.KNN((images, labels), (images, labels), k=3, batch_size=16),
        evaluation.LinearProbe((images, labels), (images, labels), every=3, epochs=1),
        monitor,
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
    ]
    model, history, found = train(callbacks, images)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert history["loss"] == plain["loss"]
    np.testing.assert_array_equal(augment.variables[0].numpy(), state)
    assert history["knn"][-1] == float(evaluation.knn(model.encoder, (images, labels), (images, labels), k=3))
    assert len(history["linear"]) == 3 and history["linear"][0] == history["linear"][1]  # the second is not measured
    assert len(monitor.sample) == 20 and not monitor.collapsed
    geometry_now = evaluation.collapse(evaluation.features(model.encoder, images[:20])[0])
    assert history["feature_rank"][-1] == pytest.approx(geometry_now["rank"], rel=1e-4)
    assert 0 < history["feature_alignment"][-1] < 4
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[2]["knn"]) == history["knn"][2] and float(rows[1]["linear"]) == history["linear"][1]


def augment_twice(layer):
    class Twice(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layer

        def call(self, images, training=False):
            return [self.inner(images, training=training), self.inner(images, training=training)]

    return Twice()


def test_callbacks_leave_the_order_of_the_pipeline():
    images, labels = pictures(40)
    pipeline = data.arrays(images, 8, labels=labels, seed=5)
    alone = data.arrays(images, 8, seed=5)
    expected = [batch["image"] for _ in range(3) for batch in alone.as_numpy_iterator()]
    monitor = evaluation.CollapseMonitor(pipeline, augment=flip, images=10)
    monitor.set_model(Autoencoder())
    found = []
    monitor.on_train_begin()
    for epoch in range(3):
        found += [batch["image"] for batch in pipeline.as_numpy_iterator()]
        logs = {}
        monitor.on_epoch_end(epoch, logs)
        evaluation.knn(None, pipeline, pipeline, k=3)
        assert "feature_alignment" in logs
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("change", [lambda x: x.unbatch().batch(5), lambda x: x.shuffle(3), lambda x: x.cache()])
def test_pipelines_that_were_batched_or_shuffled_again_are_evaluated_in_order(change):
    images, labels = pictures(20)
    pipeline = change(data.arrays(images, 8, labels=labels, seed=5))
    rows, found = evaluation.features(None, pipeline)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_allclose(rows, images.reshape(20, -1) / 255, atol=1e-6)
    assert int(pipeline.epoch) == 0
    with pytest.raises(ValueError, match="This pipeline shuffles its samples"):
        check_predicted(pipeline, None)


def test_monitor_warns_once_and_stops():
    images, _ = pictures(16)

    class Collapse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kernel, bias = self.model.encoder.layers[-1].weights
            kernel.assign(keras.ops.zeros_like(kernel) + (np.nan if self.diverge else 0))
            bias.assign(keras.ops.ones_like(bias))

    for diverge, match in ((False, "collapsed: feature_std = 0.000"), (True, "diverged")):
        breaking = Collapse()
        breaking.diverge = diverge
        with pytest.warns(UserWarning, match=match) as caught:
            _, history, _ = train([breaking, evaluation.CollapseMonitor(images)], images)
        assert len(caught) == 1 and len(history["loss"]) == 3
        with pytest.warns(UserWarning, match="The training stops here"):
            _, history, _ = train([breaking, evaluation.CollapseMonitor(images, action="stop")], images)
        assert len(history["loss"]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train([evaluation.CollapseMonitor(images)], images)


def test_knn_callback_survives_a_diverged_encoder():
    images, labels = pictures(16)
    callback = evaluation.KNN((images, labels), (images, labels), k=3)
    callback.set_model(keras.Sequential([keras.layers.Rescaling(np.nan), keras.layers.Flatten()]))  # no .encoder
    logs = {}
    with pytest.warns(UserWarning, match="diverged"):
        callback.on_epoch_end(0, logs)
    assert np.isnan(logs["knn"])
