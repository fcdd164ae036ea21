"""The losses of clustering, and what the methods of clustering share: heads, prototypes, crops of several sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import distribute, encoders, heads, losses
from tests.reference import clustering as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas


def cosines(batch, prototypes, dim=16, seed=0):
    draw = np.random.default_rng(seed)
    z, c = draw.normal(size=(batch, dim)), draw.normal(size=(prototypes, dim))
    return unit(z) @ unit(c).T


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def assignments(*shape, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1])


@pytest.mark.parametrize("batch, prototypes", [(8, 3), (5, 12), (64, 10)])
@pytest.mark.parametrize("epsilon, iterations", [(0.05, 3), (0.5, 1), (0.05, 10), (1.0, 0)])
def test_sinkhorn_is_the_papers(batch, prototypes, epsilon, iterations):
    scores = cosines(batch, prototypes)
    expected = reference.sinkhorn(scores, epsilon, iterations)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(losses.sinkhorn(tf.constant(scores), epsilon, iterations), expected, atol=1e-12)
    single = losses.sinkhorn(tf.constant(scores, "float32"), epsilon, iterations)
    assert single.dtype == "float32"
    np.testing.assert_allclose(single, expected, atol=1e-5)


def test_sinkhorn_balances():
    scores = cosines(1024, 16, dim=128)
    found = losses.sinkhorn(tf.constant(scores, "float32")).numpy()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1024 / 16, rtol=0.01)
    exact = losses.sinkhorn(scores, iterations=50).numpy()
    np.testing.assert_allclose(exact.sum(axis=0), 1024 / 16, rtol=1e-9)
    assert not np.isclose(losses.sinkhorn(scores, iterations=0).numpy().sum(axis=0), 64, rtol=0.01).all()


def test_sinkhorn_of_equal_scores_is_uniform_and_of_a_constant_more_the_same():
    np.testing.assert_allclose(losses.sinkhorn(np.full((6, 4), 0.7, "float32")), 0.25, atol=1e-6)
    scores = cosines(9, 4)
    np.testing.assert_allclose(losses.sinkhorn(scores + 3), losses.sinkhorn(scores), atol=1e-9)
    extreme = losses.sinkhorn(tf.constant(scores * 1e4, "float32")).numpy()  # exp would overflow
    assert np.isfinite(extreme).all() and np.allclose(extreme.sum(axis=1), 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sinkhorn_computes_in_float32(dtype):
    scores = tf.cast(cosines(32, 8), dtype)
    found = losses.sinkhorn(scores)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, losses.sinkhorn(tf.cast(scores, "float32")))


def test_the_queue_has_a_part_in_the_sums():
    batch, queue = cosines(6, 5), cosines(20, 5, seed=1)
    whole = losses.sinkhorn(np.concatenate([queue, batch])).numpy()[-6:]
    np.testing.assert_allclose(losses.sinkhorn(batch, queue=queue), whole, atol=1e-9)
    np.testing.assert_allclose(losses.sinkhorn(batch, queue=queue, use_queue=True), whole, atol=1e-9)
    alone = losses.sinkhorn(batch, queue=queue, use_queue=False)
    np.testing.assert_allclose(alone, losses.sinkhorn(batch), atol=1e-9)
    assert np.abs(alone - whole).max() > 0.01


def test_samples_that_do_not_count_have_no_part_in_the_sums(two_replicas):
    batch, counted = cosines(8, 5), np.array([True, False, True, True, False, False, False, True])
    expected = losses.sinkhorn(batch[counted])
    np.testing.assert_allclose(losses.sinkhorn(batch, counted=counted)[counted], expected, atol=1e-9)
    assert np.abs(losses.sinkhorn(batch)[counted] - expected).max() > 0.01
    rows = on_replicas(two_replicas, lambda x, here: losses.sinkhorn(x, counted=here), batch, counted)  # 3 and 1 of 4
    np.testing.assert_allclose(np.concatenate(rows)[counted], expected, atol=1e-9)


def test_no_gradient_flows_through_an_assignment():
    scores, view = tf.Variable(cosines(6, 5)), tf.Variable(cosines(6, 5, seed=1))
    with tf.GradientTape() as tape:
        assigned = losses.sinkhorn(scores, queue=scores)
        loss = losses.swapped_prediction([assigned, tf.nn.softmax(scores)], [view, view, view])
    assert tape.gradient(loss, scores) is None


@pytest.mark.parametrize("assigned, views, temperature", [(2, 2, 0.1), (2, 5, 0.5), (1, 3, 0.1), (3, 3, 1.0)])
def test_swapped_prediction(assigned, views, temperature):
    q, s = assignments(assigned, 4, 6), np.stack([cosines(4, 6, seed=v) for v in range(views)])
    scores = tf.Variable(s)
    with tf.GradientTape() as tape:
        value = losses.swapped_prediction(list(tf.constant(q)), tf.unstack(scores), temperature)
    assert float(value) == pytest.approx(reference.swapped_prediction(q, s, temperature), rel=1e-9)
    expected = gradient(lambda x: reference.swapped_prediction(q, x, temperature), s)
    np.testing.assert_allclose(tape.gradient(value, scores), expected, atol=1e-8)


def test_a_view_does_not_predict_itself():
    q, s = assignments(2, 4, 6), cosines(4, 6)
    with pytest.raises(ValueError, match="at least two views. Received: 1"):
        losses.swapped_prediction([q[0]], [s])
    with tf.GradientTape() as tape:
        first = tf.Variable(s)
        loss = losses.swapped_prediction([q[0]], [first, s])
    assert tape.gradient(loss, first) is None


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_mean_entropy_gap(temperature):
    scores = tf.Variable(cosines(7, 5))
    with tf.GradientTape() as tape:
        value = losses.mean_entropy_gap(scores, temperature)
    assert float(value) == pytest.approx(reference.mean_entropy_gap(scores.numpy(), temperature), rel=1e-9)
    expected = gradient(lambda x: reference.mean_entropy_gap(x, temperature), scores.numpy())
    np.testing.assert_allclose(tape.gradient(value, scores), expected, atol=1e-8)


def test_mean_entropy_gap_of_the_extremes():
    assert float(losses.mean_entropy_gap(np.eye(8, dtype="float32"))) == pytest.approx(0, abs=1e-6)
    one = np.zeros((8, 8), "float32")
    one[:, 3] = 50.0
    assert float(losses.mean_entropy_gap(one)) == pytest.approx(np.log(8), rel=1e-6)


@pytest.mark.parametrize("name", ["sinkhorn", "mean_entropy_gap", "swapped_prediction"])
def test_two_replicas_compute_what_one_does(two_replicas, name):
    scores, queue = cosines(8, 5), cosines(6, 5, seed=1)

    def of(x):
        """The loss of the local rows, and its gradient there: the mean over the replicas is the loss of all."""
        if name == "sinkhorn":
            return losses.sinkhorn(x, queue=queue), x
        with tf.GradientTape() as tape:
            tape.watch(x)
            if name == "mean_entropy_gap":
                loss = losses.mean_entropy_gap(x)
            else:
                loss = losses.swapped_prediction([losses.sinkhorn(x)], [x, x * x])
            share = loss / distribute.replicas()
        return loss, tape.gradient(share, x)

    expected, slope = of(tf.constant(scores))
    with two_replicas.scope():
        (first, slope_first), (second, slope_second) = on_replicas(two_replicas, of, scores)
    if name == "sinkhorn":
        np.testing.assert_allclose(np.concatenate([first, second]), expected, atol=1e-12)
        return
    assert (first + second) / 2 == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(np.concatenate([slope_first, slope_second]), slope, atol=1e-12)


# The layers that SwAV, DINO and MSN share


@pytest.mark.parametrize("constrained", [True, False])
def test_prototypes_score_by_direction(constrained):
    layer = heads.Prototypes(5, 7, constrained)
    kernel, z = layer.kernel.numpy(), unit(np.random.default_rng(0).normal(size=(3, 4, 5))).astype("float32")
    lengths = np.linalg.norm(kernel, axis=0)
    assert np.allclose(lengths, 1, atol=1e-6) == constrained
    np.testing.assert_allclose(layer(z), z @ (kernel / lengths), atol=1e-6)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(z) ** 2)
    slope = tape.gradient(loss, layer.kernel.value).numpy()
    radial = np.abs((slope * kernel).sum(axis=0)).max()
    assert radial > 0.01 if constrained else radial < 1e-5  # weight normalization turns the vectors and no more
    for frozen in (True, False):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(z, frozen=tf.constant(frozen)) ** 2)
        np.testing.assert_allclose(tape.gradient(loss, layer.kernel.value), 0 if frozen else slope, atol=1e-6)
    twin = heads.Prototypes.from_config(layer.get_config())
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(z), layer(z))


def test_constrained_prototypes_are_unit_vectors_after_a_step():
    layer = heads.Prototypes(5, 7, constrained=True)
    kernel = layer.kernel.numpy()
    slope = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")
    keras.optimizers.SGD(0.3).apply([tf.constant(slope)], [layer.kernel])
    expected = kernel - 0.3 * slope
    np.testing.assert_allclose(layer.kernel, expected / np.linalg.norm(expected, axis=0), atol=1e-5)


def test_the_gain_of_prototypes_is_trained_and_freezes_with_them():
    layer = heads.Prototypes(5, 7, gain=True)
    z = tf.constant(unit(np.random.default_rng(0).normal(size=(4, 5))), "float32")
    assert [tuple(w.shape) for w in layer.trainable_variables] == [(5, 7), (1, 7)]
    start = layer(z).numpy()
    np.testing.assert_allclose(start, z.numpy() @ unit(layer.kernel.numpy().T).T, atol=1e-6)
    layer.gains.assign(np.arange(7.0)[None])
    for frozen in (None, False, True):
        with tf.GradientTape() as tape:
            scores = layer(z, frozen=frozen)
            loss = tf.reduce_sum(scores**2)
        np.testing.assert_allclose(scores, start * np.arange(7), atol=1e-5)
        kernel, gains = tape.gradient(loss, layer.trainable_variables)
        np.testing.assert_allclose(gains[0], 0 if frozen else (2 * start**2 * np.arange(7)).sum(axis=0), atol=1e-4)
        assert (np.abs(kernel).max() > 1e-3) is not frozen or frozen is None
    assert heads.Prototypes.from_config(layer.get_config()).gain


def test_prototypes_refuse_what_is_no_count():
    with pytest.raises(ValueError, match="count must be a positive int. Received: count=0"):
        heads.Prototypes(5, 0)


def test_dino_head_is_the_papers():
    head = heads.dino_head(6, hidden=9, dim=4)
    first, _, second, _, third, norm = head.layers
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    for layer in (first, second, third):
        assert layer.use_bias and 0.005 < np.std(layer.kernel) < 0.03
    assert np.abs(first.kernel[:4, :4] - second.kernel[:4, :4]).max() > 1e-4

    def gelu(y):
        return 0.5 * y * (1 + np.vectorize(__import__("math").erf)(y / np.sqrt(2)))

    hidden = gelu(gelu(x @ first.kernel.numpy()) @ second.kernel.numpy())
    np.testing.assert_allclose(head(x), unit(hidden @ third.kernel.numpy()), atol=1e-4)
    names = [type(layer).__name__ for layer in heads.dino_head(6, 9, 4, batch_norm=True).layers]
    assert names.count("BatchNormalization") == 2


# Multi-crop


def counting(encoder):
    """The encoder, and a list that gets the shape of the images of each call."""
    shapes, call = [], encoder.call

    def counted(images, *args, **kwargs):
        shapes.append(tuple(images.shape))
        return call(images, *args, **kwargs)

    encoder.call = counted
    return encoder, shapes


def test_views_of_equal_size_share_a_call_and_their_statistics():
    encoder, shapes = counting(any_size_encoder())
    draw = np.random.default_rng(0)
    views = [draw.uniform(0, 255, (3, side, side, 3)).astype("float32") for side in (8, 6, 8, 6, 6)]
    found = encoders.multi_crop(encoder, views, training=True).numpy()
    assert shapes == [(6, 8, 8, 3), (9, 6, 6, 3)]
    large = encoder(np.concatenate([views[0], views[2]]), training=True).numpy()
    np.testing.assert_allclose(found[[0, 1, 2, 6, 7, 8]], large, atol=1e-5)
    alone = np.concatenate([encoder(view, training=False) for view in views])
    np.testing.assert_allclose(encoders.multi_crop(encoder, views), alone, atol=1e-5)


def test_an_encoder_of_one_size_says_what_to_do():
    encoder = any_size_encoder(8)
    views = [np.zeros((2, 8, 8, 3)), np.zeros((2, 6, 6, 3))]
    with pytest.raises(ValueError, match=r"takes images of shape \(8, 8, 3\) and a view has \(6, 6, 3\). Build it"):
        encoders.multi_crop(encoder, views)
    assert encoders.multi_crop(encoder, views[:1]).shape == (2, 54)


# An encoder of any size


def any_size_encoder(size=None):
    images = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    if size:
        return keras.Model(images, keras.layers.Flatten()(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
