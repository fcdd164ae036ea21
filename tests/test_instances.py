"""NNCLR, PCL, MoCHi and i-Mix: arXiv 2104.14548, 2005.04966, 2010.01028, 2010.08887."""


import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import losses
from keras_ssl.augment.rows import row_seeds
from keras_ssl.clustering import kmeans
from keras_ssl.methods.contrastive.pcl import concentrations
from tests.reference import instances as reference
from tests.reference.losses import cosine_regression, gradient, info_nce
from tests.test_distribute import on_replicas

BATCH, DIM = 6, 5


def encoder():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.Flatten()(x))


SMALL = {
    "NNCLR": {"hidden": 7, "predictor_hidden": 7, "queue_size": 10},
    "MoCoV2": {"hidden": 7, "queue_size": 10, "momentum": 0.5},
    "MoCHi": {"hidden": 7, "queue_size": 10, "momentum": 0.5, "hardest": 4, "mixtures": 3, "query_mixtures": 2},
    "PCL": {"hidden": 7, "queue_size": 10, "momentum": 0.5, "samples": 24, "clusters": (3, 8), "negatives": 2},
    "IMix": {"hidden": 7},
    "IMixMoCo": {"hidden": 7, "queue_size": 10, "momentum": 0.5},
    "BYOL": {"hidden": 7, "momentum": 0.5},
    "IMixBYOL": {"hidden": 7, "momentum": 0.5},
}


def make(name, augmented=False, **options):
    keras.utils.set_random_seed(0)
    options = SMALL[name] | {"dim": DIM} | options
    model = getattr(keras_ssl, name)(encoder(), augment() if augmented else None, **options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def view(seed=0, batch=BATCH):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 8, 8, 3)).astype("float32")


def unit(x):
    return np.asarray(x) / np.linalg.norm(x, axis=-1, keepdims=True)


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def train(model, *views, **columns):
    return float(model.train_on_batch({"views": views, **columns}, return_dict=True)["loss"])


def assert_alike(first, second, steps=2, **columns):
    """The same losses and weights, bit by bit, from the same start."""
    for seed in range(steps):
        assert train(first, view(seed), view(seed + 9), **columns) == train(second, view(seed), view(seed + 9))
    for a, b in zip(first.query_encoder.get_weights(), second.query_encoder.get_weights()):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first.queue.read(), second.queue.read())


# The losses


def sohn(queries, keys, penalty):
    """The N-pair loss as its paper has it: of vectors of any length, which the penalty keeps short."""
    losses = []
    for i, query in enumerate(queries):
        wrong = sum(np.exp(query @ keys[j] - query @ keys[i]) for j in range(len(keys)) if j != i)
        losses.append(np.log(1 + wrong) + penalty / 2 * (query @ query + keys[i] @ keys[i]))
    return np.mean(losses)


PARTNER, SHARE = np.array([2, 0, 3, 1]), np.array([0.9, 0.5, 1.0, 0.7])
CASES = {
    "n_pair": (losses.n_pair, reference.n_pair, [(4, 3), (4, 3)], (0.2,), 2),
    "n_pair with queue and partners": (
        lambda q, k, queue, *rest: losses.n_pair(q, k, 0.3, queue, *rest),
        lambda q, k, queue, *rest: reference.n_pair(q, k, 0.3, queue, *rest),
        [(4, 3), (4, 3), (6, 3)], (PARTNER, SHARE), 2,
    ),
    "n_pair of vectors as they are": (
        lambda *x: losses.n_pair(*x, 1.0, normalize=False, penalty=0.3), lambda *x: sohn(*x, 0.3), [(4, 3)] * 2, (), 2
    ),
    "n_pair with a penalty": (
        lambda *x: losses.n_pair(*x, 0.3, penalty=0.2),
        lambda q, k: reference.n_pair(q, k, 0.3) + 0.1 * np.mean(np.sum(q**2 + k**2, axis=1)),
        [(4, 3)] * 2, (), 2,
    ),
    "mixed_cosine_regression": (
        losses.mixed_cosine_regression, reference.mixed_cosine_regression, [(4, 3)] * 3, (SHARE,), 1
    ),
    "info_nce_synthetic": (
        losses.info_nce_synthetic, reference.info_nce_synthetic, [(4, 3), (4, 3), (6, 3), (4, 2, 3)], (0.2,), 1
    ),
    "proto_nce": (
        losses.proto_nce, reference.proto_nce, [(4, 3), (5, 3)],
        (np.array([0.1, 0.3, 0.2, 0.5, 0.4]), np.array([4, 0, 0, 2])), 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_losses_are_the_papers_in_value_and_gradient(case):
    loss, expected, shapes, rest, trained = CASES[case]
    arrays = [vectors(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    arrays = arrays[:2] + [unit(x) for x in arrays[2:]] if case != "proto_nce" else [arrays[0], unit(arrays[1])]
    tensors = [tf.constant(x, "float32") for x in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(*tensors, *rest)
    assert float(value) == pytest.approx(expected(*arrays, *rest), rel=1e-5)
    slopes = tape.gradient(value, tensors)
    for place, slope in enumerate(slopes):
        if place >= trained:
            assert slope is None
            continue
        numeric = gradient(lambda x: expected(*arrays[:place], x, *arrays[place + 1:], *rest), arrays[place])
        np.testing.assert_allclose(slope, numeric, atol=1e-5)


def test_losses_are_float32_inside():
    q, k, queue = (ops.cast(vectors(4, 8, seed=seed), "float16") for seed in range(3))
    for loss in (
        lambda *x: losses.n_pair(*x[:2], 0.2, x[2], PARTNER, SHARE),
        lambda *x: losses.n_pair(*x[:2], 1.0, normalize=False, penalty=0.3),
        lambda *x: losses.mixed_cosine_regression(*x, SHARE),
        lambda *x: losses.info_nce_synthetic(*x, x[2][:, None]),
        lambda *x: losses.proto_nce(x[0], x[2], ops.ones(4), PARTNER),
    ):
        high = [ops.cast(x, "float32") for x in (q, k, queue)]
        assert loss(q, k, queue).dtype == tf.float32
        assert float(loss(q, k, queue)) == pytest.approx(float(loss(*high)), rel=1e-6)


EXTREME = {  # the loss of queries, keys and a queue, and what it must be
    "info_nce": (lambda *x: losses.info_nce(*x, 0.01), lambda *x: info_nce(*x, 0.01)),
    "info_nce_in_batch": (
        lambda q, k, queue: losses.info_nce_in_batch(q, k, 0.01),
        lambda q, k, queue: 0.02 * reference.n_pair(q, k, 0.01),
    ),
    "n_pair": (
        lambda q, k, queue: losses.n_pair(q, k, 0.01, queue), lambda q, k, queue: reference.n_pair(q, k, 0.01, queue)
    ),
    "info_nce_synthetic": (
        lambda q, k, queue: losses.info_nce_synthetic(q, k, queue, ops.stack([queue] * 6), 0.01),
        lambda q, k, queue: reference.info_nce_synthetic(q, k, queue, [queue] * 6, 0.01),
    ),
    "symmetric_info_nce": (
        lambda q, k, queue: losses.symmetric_info_nce(q, k, 100.0),
        lambda q, k, queue: (reference.n_pair(q, k, 0.01) + reference.n_pair(k, q, 0.01)) / 2,
    ),
}


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_temperatures_are_finite(name, sign):
    """Cosines of 1 and -1 at t = 0.01: keys and queue are the queries, or their opposites."""
    loss, expected = EXTREME[name]
    rows = np.repeat(unit(vectors(3, 8)), 2, axis=0)
    arrays = rows, sign * rows, np.concatenate([rows[:2], -rows[:2]])
    q, k, queue = (tf.constant(x, "float32") for x in arrays)
    with tf.GradientTape() as tape:
        tape.watch([q, k])
        value = loss(q, k, queue)
    assert float(value) == pytest.approx(expected(*arrays), rel=1e-3, abs=1e-3)
    slopes = [slope for slope in tape.gradient(value, [q, k]) if slope is not None]
    assert slopes and np.isfinite(slopes).all()


def test_the_mixed_loss_is_linear_in_the_share():
    q, k = vectors(4, 3), vectors(4, 3, seed=1)
    value = [float(losses.n_pair(q, k, 0.2, None, PARTNER, np.full(4, share))) for share in (0.0, 0.3, 1.0)]
    assert value[1] == pytest.approx(0.7 * value[0] + 0.3 * value[2], rel=1e-6)
    assert value[2] == float(losses.n_pair(q, k, 0.2))


@pytest.mark.parametrize("options", [{}, {"normalize": False, "penalty": 0.3}])
def test_n_pair_of_two_replicas_is_that_of_one(options, two_replicas):
    q, k, queue = (vectors(*shape, seed=seed) for seed, shape in enumerate([(4, 3), (4, 3), (5, 3)]))
    rest = q, k, PARTNER, SHARE

    def compute(q, k, partner, share):
        with tf.GradientTape() as tape:
            tape.watch([q, k])
            loss = losses.n_pair(q, k, 0.2, tf.constant(unit(queue), "float32"), partner, share, **options)
            mine = loss / keras_ssl.distribute.replicas()
        return loss, *tape.gradient(mine, [q, k])

    rest = [x.astype("float32" if x.dtype == "float64" else "int32") for x in rest]
    whole = [x.numpy() for x in compute(*[tf.constant(x) for x in rest])]
    first, second = on_replicas(two_replicas, compute, *rest)
    assert (first[0] + second[0]) / 2 == pytest.approx(float(whole[0]), rel=1e-6)
    for place in (1, 2):
        np.testing.assert_allclose(np.concatenate([first[place], second[place]]), whole[place], atol=1e-6)


def test_row_seeds_are_those_of_one_replica_and_never_repeat(two_replicas):
    def draw(rows):
        count = rows.shape[0]
        return row_seeds(generator, count, keras_ssl.distribute.first_row(count))

    with two_replicas.scope():
        generator = keras.random.SeedGenerator(3)
    found = [np.concatenate(on_replicas(two_replicas, draw, np.zeros(8))) for _ in range(2)]
    generator = keras.random.SeedGenerator(3)
    for seeds in found:
        np.testing.assert_array_equal(row_seeds(generator, 8), seeds)
    assert len(np.unique(np.concatenate(found), axis=0)) == 16


# i-Mix


@pytest.mark.parametrize("cutmix", [False, True])
@pytest.mark.parametrize("name", ["IMix", "IMixMoCo"])
def test_i_mix_that_mixes_nothing_is_its_host_bit_by_bit(name, cutmix):
    model, host = make(name, alpha=0, cutmix=cutmix), make(name)
    host.mixing = lambda images, seeds: (images, None, None)
    for seed in range(2):
        views = view(seed), view(seed + 9)
        assert train(model, *views) == train(host, *views)
    for a, b in zip(model.variables, host.variables):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    mixed = make(name, cutmix=cutmix)
    assert train(mixed, view(0), view(9)) != train(make(name, alpha=0), view(0), view(9))


@pytest.mark.parametrize("cutmix", [False, True])
@pytest.mark.parametrize("name", ["IMix", "IMixMoCo", "IMixBYOL"])
def test_i_mix_is_the_papers(name, cutmix, monkeypatch):
    model, views, mixes = make(name, cutmix=cutmix), (view(0), view(1)), []
    assert model.mixing.alpha == 1.0 and model.mixing.dominant and model.mixing.per_batch == cutmix
    mixing = model.mixing

    def record(images, seeds):
        mixes.append(mixing(images, seeds))
        return mixes[-1]

    monkeypatch.setattr(model, "mixing", record)
    queue = np.asarray(model.queue.read()) if name == "IMixMoCo" else ()
    loss = float(model({"views": views}, training=True)["loss"])
    expected = 0.0
    for (mixed, partner, share), (first, second) in zip(mixes, (views, views[::-1])):
        mixed, partner, share = (x.numpy() for x in (mixed, partner, share))
        assert (share >= 0.5).all() and sorted(partner) == list(range(BATCH))
        if cutmix:
            inside = [(x != own).any(-1).mean() for x, own in zip(mixed, first)]
            np.testing.assert_allclose(share, 1 - np.array(inside), atol=1e-6)  # that of the pixels
        else:
            weight = share[:, None, None, None]
            np.testing.assert_allclose(mixed, weight * first + (1 - weight) * first[partner], atol=1e-3)
            assert len(np.unique(share)) == BATCH
        if name == "IMix":
            features = model.encoder(np.concatenate([mixed, second]), training=True)
            queries, keys = np.split(model.projector(features, training=True), 2)
            expected += reference.n_pair(queries, keys, 0.2, (), partner, share)
        elif name == "IMixMoCo":
            queries, keys = model.query_encoder(mixed, training=True), model.key_encoder(second, training=True)
            expected += reference.n_pair(queries.numpy(), keys.numpy(), 0.2, queue, partner, share)
        else:
            prediction = model.predictor(model.online(mixed, training=True), training=True).numpy()
            target = model.target(second, training=True).numpy()
            others = [cosine_regression(prediction[i:i + 1], target[[j]]) for i, j in enumerate(partner)]
            own = [cosine_regression(prediction[i:i + 1], target[i:i + 1]) for i in range(BATCH)]
            expected += np.mean(share * own + (1 - share) * others)
    assert len(mixes) == (2 if name == "IMixBYOL" else 1)
    assert loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "name, options", [("IMix", {}), ("IMixMoCo", {}), ("IMixMoCo", {"symmetric": True}), ("IMixBYOL", {})]
)
def test_input_mix_changes_the_views_and_nothing_else(name, options):
    model, plain, views = make(name, input_mix=2, **options), make(name, **options), [view(0), view(1)]
    draws = model.draws.state.numpy()
    mixed = keras_ssl.augment.mix_views(keras_ssl.augment.InputMix(2), views, row_seeds(model.draws, BATCH))
    assert min(np.abs(new - old).max(axis=(1, 2, 3)).min() for new, old in zip(mixed, views)) > 1
    plain.draws.state.assign(model.draws.state)
    model.draws.state.assign(draws)
    if name == "IMixMoCo":
        plain.order.state.assign(model.order.state)
    found, expected = model({"views": views}, training=True), plain({"views": mixed}, training=True)
    assert float(found["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-6)
    np.testing.assert_array_equal(model.draws.state, plain.draws.state)
    assert float(found["loss"]) != pytest.approx(float(plain({"views": views}, training=True)["loss"]), rel=1e-4)


@pytest.mark.parametrize("name", ["IMix", "IMixMoCo", "IMixBYOL"])
def test_without_input_mix_nothing_is_drawn_for_it(name):
    model = make(name)
    before = model.draws.state.numpy()
    train(model, view(0), view(1))
    assert (model.draws.state.numpy() - before).sum() == (2 if name == "IMixBYOL" else 1)  # a mixing of each query view
    assert not any("input_mix" in v.path for v in model.variables)
    with pytest.raises(ValueError, match="input_mix must be an int from 0. Received: input_mix=-1"):
        make(name, input_mix=-1)


def test_moco_can_have_a_batch_normalized_head():
    kinds = lambda model: [type(layer).__name__ for layer in model.query_encoder.layers[-1].layers]
    assert kinds(make("MoCoV2")) == ["Dense", "ReLU", "Dense"]
    model = make("MoCoV2", head_norm=True)
    assert kinds(model) == ["Dense", "BatchNormalization", "ReLU", "Dense"]
    assert kinds(make("MoCoV2", head_norm=True, hidden=0)) == ["Dense"]
    queue, views = np.asarray(model.queue.read()), (view(0), view(1))
    queries, keys = (f(x, training=True).numpy() for f, x in zip((model.query_encoder, model.key_encoder), views))
    assert train(model, *views) == pytest.approx(info_nce(queries, keys, queue, 0.2), rel=1e-4)
    again = type(model).from_config(model.get_config())
    assert again.head_norm and kinds(again) == kinds(model)
    with pytest.raises(ValueError, match="head_norm must be True or False"):
        make("MoCoV2", head_norm=1)


# PCL


def clustered(model, seed=1):
    """Gives the model random clusters, which its callback would make."""
    draw, found = np.random.default_rng(seed), []
    for count in model.clusters:
        found.append((unit(draw.normal(size=(count, DIM))), draw.integers(0, count, model.samples),
                      draw.uniform(0.1, 0.4, count)))
    model.keep_clusters(found)
    return found


def test_pcl_before_the_first_clustering_and_without_prototypes_is_moco_v2():
    index = np.arange(BATCH)
    assert_alike(make("PCL"), make("MoCoV2"), index=index)
    model = make("PCL", prototype_weight=0.0)
    clustered(model)
    assert_alike(model, make("MoCoV2"), index=index)


@pytest.mark.parametrize("symmetric", [False, True])
def test_pcl_loss_is_the_papers_over_all_prototypes(symmetric):
    model = make("PCL", negatives=100, symmetric=symmetric)
    found, queue = clustered(model), np.asarray(model.queue.read())
    views, index = (view(0), view(1)), np.array([3, 23, 7, 0, 1, 9])
    expected = {"instance": 0.0, "prototype": 0.0}
    for first, second in [views, views[::-1]][: 1 + symmetric]:
        queries = model.query_encoder(first, training=True).numpy()
        keys = model.key_encoder(second, training=True).numpy()
        expected["instance"] += info_nce(queries, keys, queue, 0.2)
        parts = [reference.proto_nce(queries, c, phi, assignment[index]) for c, assignment, phi in found]
        expected["prototype"] += np.mean(parts)
    outputs = model({"views": views, "index": index}, training=True)
    assert float(outputs["loss"]) == pytest.approx(sum(expected.values()), rel=1e-4)
    for name, value in expected.items():
        assert float(outputs[name]) == pytest.approx(value, rel=1e-4)


def test_pcl_chooses_the_prototypes_of_the_batch_and_random_others():
    model = make("PCL", clusters=(20,), negatives=4)
    (centroids, assignment, phi), = clustered(model)
    index, sets = np.array([3, 20, 7, 3]), []
    for _ in range(3):
        prototypes, spread, labels = (np.asarray(x) for x in model.choose(0, index))
        rows = [int(np.argmax(centroids @ row)) for row in prototypes]
        np.testing.assert_allclose(prototypes, centroids[rows], atol=1e-6)
        np.testing.assert_allclose(spread, phi[rows], atol=1e-6)
        np.testing.assert_array_equal(np.array(rows)[labels], assignment[index])
        assert len(rows) == len(set(rows)) == 8  # each once, 4 for the batch's
        sets.append(set(rows) - set(assignment[index]))
    assert min(map(len, sets)) >= 4 and not sets[0] == sets[1] == sets[2]


def test_pcl_of_one_point_a_cluster_is_info_nce_against_the_bank():
    model = make("PCL", clusters=(24,), negatives=24)
    bank = unit(vectors(24, DIM))
    centroids, assignment, _ = kmeans(bank, 24, spherical=True, iterations=5)
    assert len(set(assignment)) == 24
    phi = concentrations(np.zeros(24), assignment, 24, 0.2)
    np.testing.assert_allclose(phi, 0.2)
    model.keep_clusters([(centroids, assignment, phi)])
    queries, index = vectors(3, DIM, seed=1), np.array([5, 0, 17])
    others = [np.delete(bank, i, axis=0) for i in index]
    expected = [info_nce(queries[[n]], bank[[i]], others[n], 0.2) for n, i in enumerate(index)]
    assert float(losses.proto_nce(queries, *model.choose(0, index))) == pytest.approx(np.mean(expected), rel=1e-4)


def test_concentrations_are_the_authors_of_the_distances_to_unit_centers():
    rows, centroids = unit(vectors(40, DIM)), unit(vectors(7, DIM, seed=1))
    assignment = np.argmax(rows @ centroids.T, axis=1)
    centroids = np.concatenate([centroids, rows[:1]])
    assignment[0] = 7  # a cluster of one image
    distances = np.linalg.norm(rows - centroids[assignment], axis=1)
    phi = concentrations(distances, assignment, 8, 0.2)
    np.testing.assert_allclose(phi, reference.concentrations(rows, centroids, assignment, 0.2), rtol=1e-6)
    assert phi.mean() == pytest.approx(0.2) and phi[7] == phi.max()
    tight = concentrations(np.array([0.1] * 10 + [0.5] * 10), np.repeat([0, 1], 10), 2, 0.2)
    assert tight[0] < 0.2 < tight[1]


def test_pcl_clusterings_of_the_same_number_differ():
    model = make("PCL", clusters=(5, 5), restarts=1, iterations=0)  # where k-means starts
    callback = keras_ssl.Recluster(images())
    callback.set_model(model)
    callback.on_epoch_begin(0)
    first, second = np.split(model.prototypes.numpy(), 2)
    assert not np.isclose(first @ second.T, 1, atol=1e-5).any(axis=1).all()
    assert (model.assignments[0].numpy() != model.assignments[1].numpy()).any()
    before = model.prototypes.numpy()
    callback.on_epoch_begin(0)  # a function of weights, seed and epoch
    np.testing.assert_array_equal(model.prototypes, before)
    callback.on_epoch_begin(1)
    assert (model.prototypes.numpy() != before).any()


def images(count=24):
    return np.random.default_rng(3).integers(0, 256, (count, 8, 8, 3), "uint8")


def augment():
    return keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(8, flip=0.5), 2)


def pipeline(**options):
    return keras_ssl.data.arrays(images(), 8, seed=1, index=True, **options)


def test_pcl_clusters_follow_the_index_and_the_key_encoder():
    model = make("PCL", augmented=True)
    model.fit(pipeline(), epochs=1, verbose=0)
    found = []
    for data in (images(), pipeline(), pipeline(shuffle=False)):
        callback = keras_ssl.Recluster(data)
        callback.set_model(model)
        callback.on_epoch_begin(0)
        found.append([v.numpy() for v in (model.assignments, model.prototypes, model.concentrations)])
        assert int(model.clustered) == 1
        if hasattr(data, "epoch"):
            assert int(data.epoch) == 0  # its order has not moved on
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_allclose(a, b, atol=1e-5)
    rows = unit(model.key_encoder(images().astype("float32"), training=False))
    assignments, prototypes, phi = found[0]
    for number, those in enumerate((slice(0, 3), slice(3, 11))):
        np.testing.assert_array_equal(assignments[number], np.argmax(rows @ prototypes[those].T, axis=1))
        expected = reference.concentrations(rows, prototypes[those], assignments[number], 0.2)
        np.testing.assert_allclose(phi[those], expected, rtol=1e-3)


def test_pcl_clusters_begin_after_the_warm_up_and_resume(tmp_path):
    def clusters():
        return [keras_ssl.Recluster(images(), warmup=1, every=2)]

    straight, first = make("PCL", augmented=True), make("PCL", augmented=True)
    history = straight.fit(pipeline(), epochs=4, callbacks=clusters(), verbose=0).history
    assert history["prototype"][0] == 0 and min(history["prototype"][1:]) > 0
    np.testing.assert_allclose(history["loss"], np.add(history["instance"], history["prototype"]), rtol=1e-5)
    first.fit(pipeline(), epochs=3, callbacks=clusters(), verbose=0)
    first.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    np.testing.assert_array_equal(second.prototypes, first.prototypes)
    second.fit(pipeline(epoch=3), epochs=4, initial_epoch=3, callbacks=clusters(), verbose=0)
    for a, b in zip(straight.variables, second.variables):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_pcl_with_clusters_is_the_same_on_two_replicas(two_replicas):
    found = []
    for replicas in (1, 2):
        keras.utils.set_random_seed(0)
        with two_replicas.scope() if replicas == 2 else tf.name_scope("one"):
            inputs = keras.Input((8, 8, 3))
            x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs))
            plain = keras.Model(inputs, keras.layers.Flatten()(keras.layers.ReLU()(x)))
            options = SMALL["PCL"] | {"clusters": (9, 12), "negatives": 1}
            model = keras_ssl.PCL(plain, augment(), dim=DIM, **options)
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        callback = keras_ssl.Recluster(images(), every=5)
        history = model.fit(pipeline(), epochs=2, callbacks=[callback], verbose=0).history
        found.append([history["loss"], history["prototype"], *model.get_weights()])
    assert found[0][1][0] > 0
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_pcl_says_what_is_wrong():
    with pytest.raises(ValueError, match="samples must be a positive int"):
        make("PCL", samples=None)
    with pytest.raises(ValueError, match="clusters must be ints from 1 to samples=24"):
        make("PCL", clusters=(25,))
    with pytest.raises(ValueError, match="iterations must be an int from 0"):
        make("PCL", iterations=-1)
    model = make("PCL")
    for data, match in (
        (images(20), "4 of them missing"),
        (images(30), "samples=24"),
        ([{"image": images()}], "'image', and 'index'"),
    ):
        callback = keras_ssl.Recluster(data)
        callback.set_model(model)
        with pytest.raises(ValueError, match=match):
            callback.on_epoch_begin(0)
    callback.set_model(make("MoCoV2"))
    with pytest.raises(TypeError, match="MoCoV2"):
        callback.on_epoch_begin(0)
