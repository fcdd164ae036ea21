"""DeepCluster: arXiv 1807.05520."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import normalized_mutual_info_score

import keras_ssl
from keras_ssl import clustering
from keras_ssl.methods.clustering.deep_cluster import uniform_order
from tests import cases
from tests.reference import clustering as reference

CASE = cases.Case(
    {"samples": cases.COUNT, "clusters": 5, "hidden": 12, "dropout": 0.0, "components": 6},
    views=cases.one_crop,
    still=("assignments", "importance", "reassignment"),  # its callback moves them
)


def make(optimizer=None, **options):
    model = cases.new("DeepCluster", **options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    return model


def recluster(model, epoch=0, data=None, **options):
    callback = keras_ssl.Recluster(cases.images() if data is None else data, **options)
    callback.set_model(model)
    callback.on_epoch_begin(epoch)


@pytest.mark.parametrize("balanced", [True, False])
def test_the_loss_is_the_papers_in_value_and_gradient(balanced):
    model = make(balanced=balanced)
    assignments = np.minimum(np.arange(cases.COUNT) % 9, 3)  # of unequal sizes, one cluster is empty
    model.keep_clusters(assignments)
    view, index = cases.images(6).astype("float32"), np.array([3, 30, 7, 0, 1, 9])
    hidden = np.maximum(model.trunk(view, training=True).numpy(), 0)
    kernel, bias = (weight.numpy() for weight in model.head.weights)
    sizes = [np.sum(assignments == a) for a in assignments[index]]
    weights = [cases.COUNT / (4 * size) for size in sizes] if balanced else None
    loss, gradient = reference.labeled_cross_entropy(hidden @ kernel + bias, assignments[index], weights)
    with tf.GradientTape() as tape:
        found = model({"views": [view], "index": index}, training=True)["loss"]
    of_kernel, of_bias = tape.gradient(found, [weight.value for weight in model.head.weights])
    assert float(found) == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(of_kernel, hidden.T @ gradient, atol=1e-5)
    np.testing.assert_allclose(of_bias, gradient.sum(axis=0), atol=1e-5)
    assert np.mean(model.importance.numpy()[assignments]) == pytest.approx(1.0)


def test_the_clusters_are_those_of_whitened_unit_features():
    model = make(iterations=30)
    recluster(model, epoch=3, seed=7)
    features = np.array(model.trunk(cases.images().astype("float32"), training=False), "float64")
    centered = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered / len(centered))
    rows = centered @ vectors[:, -6:] / np.sqrt(values[-6:])
    np.testing.assert_allclose(rows.T @ rows / len(rows), np.eye(6), atol=1e-6)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = model.assignments.numpy()
    assert len(set(found)) == 5
    means = np.stack([rows[found == k].mean(axis=0) for k in range(5)])  # k-means has come to rest
    nearest = np.argmin(np.square(rows[:, None] - means).sum(-1), axis=1)
    np.testing.assert_array_equal(found, nearest)


def test_whitened_rows_have_the_covariance_of_the_unit():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(500, 4)) @ draw.normal(size=(4, 8)) + 50  # of rank 4
    found = clustering.whiten(rows, 6)
    covariance = found.T @ found / len(found)
    np.testing.assert_allclose(covariance, np.diag([1, 1, 1, 1, 0, 0]), atol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    assert clustering.whiten(rows, 100).shape == (500, 8)
    assert not clustering.whiten(np.ones((10, 3)), 2).any()


def test_the_head_starts_anew_and_the_trunk_goes_on():
    model = make(clusters=8)
    index = np.arange(8)
    model.train_on_batch({"views": [cases.images(8).astype("float32")], "index": index})
    trunk = [weight.numpy() for weight in model.trunk.weights]
    slots = {slot.path: slot.numpy() for slot in model.optimizer.variables}
    momentum = [path for path in slots if "momentum" in path]
    assert all(np.abs(slots[path]).max() > 0 for path in momentum if "head" in path)
    before = model.head.weights[0].numpy()
    recluster(model)
    kernel, bias = (weight.numpy() for weight in model.head.weights)
    assert not np.isclose(kernel, before).any() and not bias.any()
    assert kernel.std() == pytest.approx(0.01, rel=0.2)
    for a, b in zip(trunk, model.trunk.weights):
        np.testing.assert_array_equal(a, b)
    after = {slot.path: slot.numpy() for slot in model.optimizer.variables}
    heads = [path for path in momentum if "head" in path]
    assert len(heads) == 2 and not any(after[path].any() for path in heads)
    for path in set(slots) - set(heads):
        np.testing.assert_array_equal(after[path], slots[path])


@pytest.mark.parametrize("optimizer", ["AdamW", "LossScale"])
def test_what_any_optimizer_keeps_of_the_head_is_forgotten(optimizer):
    made = keras.optimizers.AdamW(1e-3)
    model = make(made if optimizer == "AdamW" else keras.optimizers.LossScaleOptimizer(made))
    model.train_on_batch({"views": [cases.images(8).astype("float32")], "index": np.arange(8)})
    recluster(model)
    for slot in made.variables:
        if "momentum" in slot.path or "velocity" in slot.path:
            assert slot.numpy().any() == ("head" not in slot.path), slot.path
    assert int(made.iterations) == 1


def test_a_collapsed_encoder_has_one_cluster_and_trains_on():
    model = make()
    recluster(model, data=np.zeros((cases.COUNT, cases.SIZE, cases.SIZE, 3), "uint8"))
    assert len(set(model.assignments.numpy())) == 1
    assert model.importance.numpy().max() == 1.0
    outputs = model({"views": [cases.images(8).astype("float32")], "index": np.arange(8)}, training=True)
    assert np.isfinite(outputs["loss"])


def test_reassignment_is_the_mutual_information_with_the_clusters_before():
    draw = np.random.default_rng(0)
    first = draw.integers(0, 5, cases.COUNT)
    second = np.where(draw.random(cases.COUNT) < 0.5, first, draw.integers(0, 5, cases.COUNT))
    model = make()
    model.keep_clusters(first)
    model.keep_clusters((first + 2) % 5)  # other numbers, the same clusters
    assert float(model.reassignment) == pytest.approx(1.0, abs=1e-6)
    model.keep_clusters(second)
    expected = normalized_mutual_info_score(first, second, average_method="geometric")
    assert 0 < expected < 1 and float(model.reassignment) == pytest.approx(expected, abs=1e-6)
    assert clustering.mutual_information(first, np.zeros_like(first)) == 0.0


def test_the_order_shows_each_cluster_as_often():
    assignments = np.repeat([0, 1, 2, 5], [60, 30, 8, 2])
    order = uniform_order(assignments, np.random.default_rng(0))
    assert len(order) == 100
    counts = np.bincount(assignments[order])
    assert counts[[0, 1, 2, 5]].min() >= 22 and counts.sum() == 100
    times = np.bincount(order, minlength=100)
    assert times[:60].max() == 1 and times[98:].min() > 5
    assert (order != uniform_order(assignments, np.random.default_rng(1))).any()


def test_a_run_with_clusters_resumes_bit_by_bit(tmp_path):
    def run(model, epochs, first=0):
        data = cases.pipeline("DeepCluster", epoch=first)
        callbacks = [keras_ssl.Recluster(cases.images(), warmup=1)]
        return model.fit(data, epochs=epochs, initial_epoch=first, callbacks=callbacks, verbose=0).history

    straight, first = make(), make()
    for a, b in zip(straight.variables, first.variables):
        b.assign(a)
    history = run(straight, 3)
    assert 0 < history["reassignment"][2] < 1
    run(first, 2)
    first.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    run(second, 3, first=2)
    for a, b in zip(straight.variables, second.variables):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_without_a_trunk_the_features_are_the_encoders():
    model = make(hidden=0)
    assert model.trunk is model.encoder and len(model.head.layers) == 1
    layers = keras_ssl.DeepCluster(cases.small_encoder(), samples=20000).trunk.get_layer("trunk").layers
    assert [type(layer).__name__ for layer in layers] == ["Dropout", "Dense", "ReLU", "Dropout", "Dense"]
    assert [layer.units for layer in layers if hasattr(layer, "units")] == [4096, 4096]


def test_it_says_what_is_wrong():
    for options, match in [
        ({"samples": None}, "samples"), ({"clusters": 33}, "at most samples=32"), ({"dropout": 1.0}, "dropout"),
        ({"balanced": 1}, "balanced"), ({"components": 0}, "components"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=match):
            cases.new("DeepCluster", **options)
