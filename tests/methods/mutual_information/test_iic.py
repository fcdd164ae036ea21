"""IIC: arXiv 1807.06653. The extremes of its loss, its heads in turns, and the clusters that come out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.reference import information as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

SIZES = {"clusters": 3, "aux_clusters": 5, "sub_heads": 2}


def three_views():
    return cases.crops(cases.SIZE, cases.SIZE, cases.SIZE)


def spread(model):
    """With weights of 0.01 and eight images all probabilities are alike, and the gradient is next to nothing."""
    for head in (model.head, model.auxiliary):
        head.set_weights([100 * weight for weight in head.get_weights()])


CASE = cases.Case(SIZES, views=three_views, prepare=spread)


def make(seed=0, **options):
    keras.utils.set_random_seed(seed)
    return keras_ssl.IIC(cases.small_encoder(), **SIZES | options)


def views(count=3, batch=6):
    return tuple(np.random.default_rng(i).integers(0, 256, (batch, 12, 12, 3)).astype("float32") for i in range(count))


def probabilities(*shape, seed=0):
    x = np.exp(2 * np.random.default_rng(seed).normal(size=shape))
    return x / x.sum(axis=-1, keepdims=True)


def one_hot(rows, clusters):
    return np.eye(clusters)[np.arange(rows) % clusters]


# The loss


@pytest.mark.parametrize("weight", [1.0, 1.5])
def test_the_loss_is_the_loop_in_value_and_gradient(weight):
    p, q = probabilities(5, 4), probabilities(5, 4, seed=1)
    first, second = tf.constant(p), tf.constant(q)
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        loss = losses.invariant_information(first, second, weight)
    slopes = tape.gradient(loss, [first, second])
    assert float(loss) == pytest.approx(reference.invariant(p, q, weight), rel=1e-12)
    np.testing.assert_allclose(slopes[0], gradient(lambda x: reference.invariant(x, q, weight), p), atol=1e-8)
    np.testing.assert_allclose(slopes[1], gradient(lambda x: reference.invariant(p, x, weight), q), atol=1e-8)


def test_several_heads_are_several_losses():
    p, q = probabilities(5, 2, 4), probabilities(5, 2, 4, seed=1)
    found = losses.invariant_information(p, q)
    expected = [reference.invariant(p[:, head], q[:, head], 1.0) for head in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("displacement", [0, 1, 2])
def test_places_are_compared_with_those_nearby(displacement):
    p, q = probabilities(2, 4, 3, 3), probabilities(2, 4, 3, 3, seed=1)
    real = np.random.default_rng(2).uniform(size=(2, 4, 3)) < 0.7
    expected = lambda p, q: reference.invariant_of_maps(p, q, displacement, real, 1.5)  # noqa: E731
    first, second = tf.constant(p), tf.constant(q)
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        loss = losses.invariant_information_of_maps(first, second, displacement, real, 1.5)
    assert float(loss) == pytest.approx(expected(p, q), rel=1e-10)
    slopes = tape.gradient(loss, [first, second])
    np.testing.assert_allclose(slopes[0], gradient(lambda x: expected(x, q), p), atol=1e-7)
    np.testing.assert_allclose(slopes[1], gradient(lambda x: expected(p, x), q), atol=1e-7)


def test_maps_of_one_place_are_assignments():
    p, q = probabilities(6, 4), probabilities(6, 4, seed=1)
    found = losses.invariant_information_of_maps(p[:, None, None], q[:, None, None])
    assert float(found) == pytest.approx(float(losses.invariant_information(p, q)), rel=1e-12)
    with pytest.raises(ValueError, match="displacement must be an int from 0"):
        losses.invariant_information_of_maps(p[:, None, None], q[:, None, None], displacement=-1)


def test_turns_need_the_auxiliary_head():
    with pytest.raises(ValueError, match="phase needs an auxiliary head. Received: phase=2, aux_clusters=None"):
        make(aux_clusters=None, phase=2)


def test_extremes():
    sure = one_hot(12, 4)
    assert float(losses.invariant_information(sure, sure)) == pytest.approx(-np.log(4), rel=1e-6)
    uniform = np.full((12, 4), 0.25)
    assert float(losses.invariant_information(uniform, uniform)) == pytest.approx(0, abs=1e-12)
    collapsed = np.eye(4)[np.zeros(12, int)]
    assert float(losses.invariant_information(collapsed, collapsed)) == pytest.approx(0, abs=1e-9)


def test_views_and_clusters_may_change_places():
    p, q = probabilities(6, 4), probabilities(6, 4, seed=1)
    value = float(losses.invariant_information(p, q))
    assert float(losses.invariant_information(q, p)) == pytest.approx(value, rel=1e-12)
    order = [2, 0, 3, 1]
    assert float(losses.invariant_information(p[:, order], q[:, order])) == pytest.approx(value, rel=1e-12)


def test_zeros_have_a_finite_gradient():
    sure = tf.constant(one_hot(8, 4), "float32")
    with tf.GradientTape() as tape:
        tape.watch(sure)
        loss = losses.invariant_information(sure, sure)
    assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, sure)).all()


def test_the_loss_is_float32_inside():
    p, q = (tf.cast(probabilities(6, 4, seed=seed), "float16") for seed in (0, 1))
    found = losses.invariant_information(p, q)
    assert found.dtype == "float32"
    whole = losses.invariant_information(tf.cast(p, "float32"), tf.cast(q, "float32"))
    assert float(found) == pytest.approx(float(whole), rel=1e-6)


def test_the_joint_distribution_is_that_of_all_replicas(two_replicas):
    p, q = probabilities(6, 2, 3), probabilities(6, 2, 3, seed=1)

    def value_and_slope(p, q):
        with tf.GradientTape() as tape:
            tape.watch(p)
            loss = tf.reduce_mean(losses.invariant_information(p, q))
            share = loss / keras_ssl.distribute.replicas()
        return loss, tape.gradient(share, p)

    expected, slope = value_and_slope(tf.constant(p), tf.constant(q))
    (one, first), (two, second) = on_replicas(two_replicas, value_and_slope, p, q)
    assert one == pytest.approx(float(expected), rel=1e-12) and two == pytest.approx(one, rel=1e-12)
    np.testing.assert_allclose(np.concatenate([first, second]), slope, atol=1e-12)


# The method


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def losses_of(model, head, features, clusters):
    kernel, bias = (np.float64(w) for w in head.get_weights())
    found = [softmax((x @ kernel + bias).reshape(-1, 2, clusters)) for x in features]
    first, second = np.concatenate([found[0]] * (len(found) - 1)), np.concatenate(found[1:])
    return [reference.invariant(first[:, i], second[:, i], model.weight) for i in range(2)]


def test_the_loss_pairs_the_image_with_each_of_its_changed_versions():
    model = make(weight=1.2)
    spread(model)
    image, *changed = views()
    features = [np.float64(model.encoder(image, training=True))]
    features += np.split(np.float64(model.encoder(np.concatenate(changed), training=True)), 2)
    found = model({"views": (image, *changed)}, training=True)
    main, auxiliary = losses_of(model, model.head, features, 3), losses_of(model, model.auxiliary, features, 5)
    np.testing.assert_allclose(found["sub_heads"], main, rtol=1e-4)
    assert float(found["main"]) == pytest.approx(np.mean(main), rel=1e-4)
    assert float(found["auxiliary"]) == pytest.approx(np.mean(auxiliary), rel=1e-4)
    assert float(found["loss"]) == pytest.approx(np.mean(main) + np.mean(auxiliary), rel=1e-4)


def test_heads_train_in_turns_where_the_paper_is_followed():
    model = make(phase=2, passes=(1, 2))
    spread(model)
    turns = []
    for step in range(12):
        model.step.assign(step)
        found = model({"views": views()}, training=True)
        same = {key: float(found["loss"]) == float(found[key]) for key in ("main", "auxiliary")}
        assert sum(same.values()) == 1
        turns.append("A" if same["auxiliary"] else "B")
    assert "".join(turns) == "AABBBBAABBBB"
    with tf.GradientTape() as tape:
        loss = model({"views": views()}, training=True)["loss"]  # step 11
    of_main, of_auxiliary = tape.gradient(loss, [model.head.weights[0], model.auxiliary.weights[0]])
    assert np.abs(of_main).max() > 0 and not np.abs(of_auxiliary).max()


def test_there_may_be_no_auxiliary_head():
    model = make(aux_clusters=None)
    found = model({"views": views(2)}, training=True)
    assert model.auxiliary is None and float(found["loss"]) == float(found["main"])


def test_sub_heads_start_apart_and_small():
    model = keras_ssl.IIC(cases.small_encoder())
    kernel, bias = model.head.get_weights()
    assert kernel.shape == (16, 50) and not bias.any() and kernel.std() == pytest.approx(0.01, rel=0.1)
    assert model.auxiliary.get_weights()[0].shape == (16, 350)
    assert not np.allclose(kernel[:, :10], kernel[:, 10:20])


def test_the_clusters_are_those_of_the_sub_head_of_the_lowest_loss(tmp_path):
    model = make()
    spread(model)
    model.compile(optimizer=keras.optimizers.SGD(0.01), run_eagerly=True)
    model.train_on_batch({"views": views()})
    first = model.recent.numpy()
    assert first.shape == (2,) and (first < 0).all()
    found = model({"views": views()}, training=True)["sub_heads"]
    model.train_on_batch({"views": views()})
    np.testing.assert_allclose(model.recent, 0.99 * first + 0.01 * np.asarray(found), rtol=1e-3)
    image = views(1)[0]
    for best in range(2):
        model.recent.assign(np.where(np.arange(2) == best, -1.0, 0.0))
        clusterer = model.clusterer()
        kernel, bias = model.head.get_weights()
        own = slice(3 * best, 3 * best + 3)
        expected = softmax(np.asarray(model.encoder(image)) @ kernel[:, own] + bias[own])
        np.testing.assert_allclose(clusterer(image), expected, rtol=1e-4)
    clusterer.save(tmp_path / "clusters.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "clusters.keras")(image), expected, rtol=1e-4)


@pytest.mark.parametrize("options, message", [
    ({"clusters": 1}, "clusters must be an int from 2"),
    ({"passes": (1, 0)}, "passes must be a pair of positive ints"),
    ({"passes": 2}, "passes must be a pair of positive ints"),
    ({"phase": 0}, "phase must be a positive int or None"),
    ({"weight": 0}, "weight must be a finite number above 0"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_groups_of_images_are_found():
    """Images of three colors, each a little different: after some steps the clusters are the colors."""
    keras.utils.set_random_seed(1)
    given = keras.Input((4, 4, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, -1)(given))
    model = keras_ssl.IIC(keras.Model(given, keras.layers.Dense(16, activation="relu")(x)), **SIZES | {"sub_heads": 5})
    model.compile(optimizer=keras.optimizers.Adam(0.02))
    draw, group = np.random.default_rng(0), np.arange(60) % 3
    colors = np.array([[230, 40, 40], [40, 230, 40], [40, 40, 230]])[group]

    def noisy():
        return (colors[:, None, None] + 25 * draw.normal(size=(60, 4, 4, 3))).astype("float32")

    for _ in range(150):
        model.train_on_batch({"views": (noisy(), noisy())})
    found = np.argmax(model.clusterer()(noisy()), axis=1)
    assert len({(a, b) for a, b in zip(group, found)}) == 3 and len(set(found)) == 3
