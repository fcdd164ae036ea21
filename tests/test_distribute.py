"""Two replicas see the rows of each other, forward and backward, and compute what one computes on the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import distribute, losses


def on_replicas(strategy, function, *arrays):
    """What `function` returns on each replica, of its half of the arrays: a list of two."""

    def halves(array):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.split(tf.convert_to_tensor(array), 2)[context.replica_id_in_sync_group]
        )

    outputs = tf.function(lambda *x: strategy.run(function, args=x))(*[halves(array) for array in arrays])
    return [
        tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[i].numpy(), outputs) for i in range(2)
    ]


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_without_a_strategy_all_is_the_identity():
    x = tf.constant(vectors(4, 3))
    assert distribute.strategy() is None and distribute.context() is None
    assert distribute.replicas() == 1 and distribute.replica() == 0
    assert distribute.gather(x) is x and distribute.local(x, 2) is x and distribute.total(x) is x
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(distribute.gather(x, gradient=False) ** 2)
    assert tape.gradient(loss, x) is None


def test_one_process_is_its_own_chief(two_replicas):
    for strategy in (None, tf.distribute.get_strategy(), two_replicas):
        assert distribute.is_chief(strategy) and not distribute.is_multi_worker(strategy)
        assert distribute.of_all_workers(strategy, 7) == [7]
        distribute.wait_for_workers(strategy)
    distribute.check_strategy()


def test_replicas_are_counted_and_numbered(two_replicas):
    with two_replicas.scope():
        assert distribute.replicas() == 2 and distribute.strategy() is two_replicas
        assert distribute.replica() == 0 and distribute.gather(np.ones(3)).shape == (3,)  # outside of a replica
    found = on_replicas(two_replicas, lambda x: distribute.replica() + 0 * x, np.zeros(2, "int32"))
    assert [int(x[0]) for x in found] == [0, 1]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32"])
@pytest.mark.parametrize("shape", [(6,), (4, 3), (4, 2, 2, 3)])
def test_gather_holds_the_rows_of_all_in_order(two_replicas, dtype, shape):
    x = tf.cast(vectors(*shape) * 10, dtype)

    def gather(rows):
        every = distribute.gather(rows)
        assert every.shape == shape and every.dtype == dtype  # static
        return every

    for found in on_replicas(two_replicas, gather, x):
        np.testing.assert_array_equal(found, x.numpy())


def test_local_undoes_gather(two_replicas):
    x = vectors(6, 2)
    found = on_replicas(two_replicas, lambda rows: distribute.local(distribute.gather(rows), 3), x)
    np.testing.assert_array_equal(np.concatenate(found), x)


def test_total_is_the_sum(two_replicas):
    x = vectors(2, 3)
    for found in on_replicas(two_replicas, distribute.total, x):
        np.testing.assert_allclose(found, x.sum(axis=0, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradient_is_the_sum_of_the_losses_of_all_replicas(two_replicas, dtype):
    x = tf.cast(np.arange(8).reshape(4, 2), dtype)

    def slope(rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            weight = ops.cast(1 + 10 * distribute.replica(), dtype)  # the losses of the replicas differ
            loss = tf.reduce_sum(weight * distribute.gather(rows) ** 2) + tf.reduce_sum(rows)
        return tape.gradient(loss, rows)

    found = np.concatenate(on_replicas(two_replicas, slope, x)).astype("float32")
    np.testing.assert_allclose(found, (1 + 11) * 2 * np.arange(8).reshape(4, 2) + 1, rtol=0.01)


def test_no_gradient_where_it_is_stopped(two_replicas):
    def slope(rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            loss = tf.reduce_sum(distribute.gather(rows, gradient=False) ** 2)
        gradient = tape.gradient(loss, rows)
        return tf.zeros_like(rows) if gradient is None else gradient

    for found in on_replicas(two_replicas, slope, vectors(4, 2)):
        np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("batch, temperature", [(2, 0.5), (6, 0.1), (8, 1.0)])
def test_nt_xent_of_two_replicas_is_that_of_the_whole_batch(two_replicas, batch, temperature):
    first, second = vectors(batch, 5), vectors(batch, 5, seed=1)

    def value_and_slope(a, b):
        with tf.GradientTape() as tape:
            tape.watch((a, b))
            loss = losses.nt_xent(a, b, temperature) / distribute.replicas()
        return loss, *tape.gradient(loss, (a, b))

    loss, *slopes = value_and_slope(tf.constant(first), tf.constant(second))
    (one, *one_slopes), (two, *two_slopes) = on_replicas(two_replicas, value_and_slope, first, second)
    assert one != two and one + two == pytest.approx(float(loss), rel=1e-6)
    for expected, *halves in zip(slopes, one_slopes, two_slopes):
        np.testing.assert_allclose(np.concatenate(halves), expected, atol=1e-6)


def test_encoder_and_method_are_made_in_one_scope(two_replicas):
    def encoder():
        images = keras.Input((6, 6, 3))
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images)))

    outside = encoder()
    with two_replicas.scope():
        inside = encoder()
        keras_ssl.SimCLR(inside, dim=4)
        with pytest.raises(ValueError, match="made outside of the scope"):
            keras_ssl.SimCLR(outside, dim=4)
    with pytest.raises(ValueError, match="made inside of the scope"):
        keras_ssl.SimCLR(inside, dim=4)
