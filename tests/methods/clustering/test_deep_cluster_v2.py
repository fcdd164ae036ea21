"""DeepCluster-v2: arXiv 2006.09882, appendix."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.reference import clustering as reference
from tests.test_clustering import unit

OPTIONS = {"samples": cases.COUNT, "clusters": (4, 6, 3), "hidden": 16, "dim": 8, "temperature": 0.5}


def cluster(model):
    """Random centers and labels, some images without: until its callback has made some, there is no loss."""
    draw = np.random.default_rng(0)
    model.centers.assign(unit(draw.normal(size=model.centers.shape)).astype("float32"))
    labels = [draw.integers(0, count, model.samples) for count in model.clusters]
    model.assignments.assign(np.where(np.arange(model.samples) % 8 == 5, -1, np.stack(labels)).astype("int32"))


CASE = cases.Case(
    OPTIONS,
    encoder=cases.any_size_encoder,
    views=cases.multi_crop,
    prepare=cluster,
    still=("centers", "assignments"),  # its callback moves them
)


def make(optimizer=None, prepared=True, **options):
    model = cases.new("DeepClusterV2", **options)
    if not prepared:
        model.assignments.assign(-np.ones(model.assignments.shape, "int32"))
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    return model


def views(seed=0, batch=8):
    draw = np.random.default_rng(seed)
    return [draw.uniform(0, 255, (batch, side, side, 3)).astype("float32") for side in (12, 12, 8)]


def embeddings(model, crops):
    features = np.concatenate([model.encoder(np.concatenate(v), training=True) for v in (crops[:2], crops[2:])])
    return unit(model.projector(features, training=True).numpy())


def callback(model, data=None, **options):
    made = keras_ssl.Recluster(cases.images() if data is None else data, **options)
    made.set_model(model)
    return made


def test_the_loss_is_the_papers_in_value_and_gradient():
    model, crops, index = make(), views(), np.array([3, 30, 7, 0, 5, 9, 13, 2])  # 5 and 13 have no label
    z, centers = embeddings(model, crops), np.split(model.centers.numpy(), [4, 10])
    expected, gradient = 0.0, 0.0
    for head in range(3):
        labels = np.tile(model.assignments.numpy()[head][index], 3)
        assert np.sum(labels < 0) == 6
        loss, slope = reference.labeled_cross_entropy(z @ centers[head].T / 0.5, labels)
        expected, gradient = expected + loss / 3, gradient + slope @ centers[head] / 0.5 / 3
    with tf.GradientTape() as tape:
        rows = tf.Variable(z)
        found = sum(model.error(rows.value(), head, index, 3) for head in range(3)) / 3
    np.testing.assert_allclose(tape.gradient(found, rows), gradient, atol=1e-6)
    assert not gradient[4].any()
    outputs = model({"views": crops, "index": index}, training=True)
    assert float(outputs["loss"]) == pytest.approx(expected, rel=1e-4) == pytest.approx(float(found), rel=1e-4)


def test_without_labels_the_loss_is_zero():
    model = make(prepared=False)
    assert float(model({"views": views(), "index": np.arange(8)}, training=True)["loss"]) == 0.0


def test_the_banks_hold_the_embeddings_that_were_trained_on():
    model, crops, index = make(), views(), np.array([3, 30, 7, 0, 5, 9, 13, 2])
    z = embeddings(model, crops).reshape(3, 8, -1)
    others = [bank.entries.numpy() for bank in model.banks]
    model.train_on_batch({"views": crops, "index": index})
    for number, bank in enumerate(model.banks):
        np.testing.assert_allclose(bank.entries.numpy()[index], z[number], atol=1e-4)
        rest = np.setdiff1d(np.arange(cases.COUNT), index)
        np.testing.assert_array_equal(bank.entries.numpy()[rest], others[number][rest])
    np.testing.assert_array_equal(np.flatnonzero(model.seen.numpy()), np.sort(index))


def test_each_head_has_the_clusters_of_its_view_and_of_what_was_seen():
    model = make(prepared=False)
    recluster = callback(model)
    recluster.on_epoch_begin(0)  # the first pass
    np.testing.assert_allclose(model.banks[0].entries, model.banks[1].entries)
    rows = model.projector(model.encoder(cases.images().astype("float32"), training=False), training=False)
    np.testing.assert_allclose(model.banks[0].entries, unit(rows.numpy()), atol=1e-5)
    assert (model.assignments.numpy() >= 0).all() and not model.seen.numpy().any()
    centers = model.centers.numpy()
    for start in (0, 8, 16):  # the last images are left out
        batch = {"views": views(start), "index": np.arange(start, start + 8)}
        model.train_on_batch(batch)
        np.testing.assert_array_equal(model.centers, centers)
    np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 1, atol=1e-5)
    recluster.on_epoch_begin(1)
    assert (model.centers.numpy() != centers).any()
    for head, found in enumerate(np.split(model.centers.numpy(), [4, 10])):
        bank = model.banks[head % 2].entries.numpy()
        labels = model.assignments.numpy()[head]
        np.testing.assert_array_equal(labels[:24], np.argmax(bank[:24] @ found.T, axis=1))
        np.testing.assert_array_equal(labels[24:], -1)
    first, second, third = model.assignments.numpy()
    assert len(set(zip(first[:24], third[:24]))) > 4  # a clustering of its own


def test_centers_stay_where_a_cluster_is_empty_and_few_images_are_enough():
    model = make(clusters=(20,), prepared=False)
    model.train_on_batch({"views": views(), "index": np.arange(8)})
    callback(model).on_epoch_begin(1)
    assert sorted(model.assignments.numpy()[0][:8]) == list(range(8))  # one each
    assert not model.centers.numpy()[8:].any()


def test_a_run_with_clusters_resumes_bit_by_bit(tmp_path):
    def run(model, epochs, first=0):
        data = cases.pipeline("DeepClusterV2", epoch=first)
        callbacks = [keras_ssl.Recluster(cases.images())]
        return model.fit(data, epochs=epochs, initial_epoch=first, callbacks=callbacks, verbose=0).history["loss"]

    straight, first = make(), make()
    for a, b in zip(straight.variables, first.variables):
        b.assign(a)
    losses = run(straight, 3)
    assert min(losses) > 0
    run(first, 2)
    first.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    assert run(second, 3, first=2) == losses[2:]
    for a, b in zip(straight.variables, second.variables):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_it_says_what_is_wrong():
    for options, match in [
        ({"samples": None}, "samples"), ({"clusters": (33,)}, "from 1 to samples=32"), ({"clusters": 3}, "clusters"),
        ({"temperature": 0}, "temperature"), ({"assigned_views": 0}, "assigned_views"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=match):
            cases.new("DeepClusterV2", **options)
