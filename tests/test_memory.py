"""Queue and bank against their plain Python selves."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import memory
from tests.test_distribute import on_replicas


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def oldest_first(queue):
    return np.roll(queue.read(), -queue.pointer.numpy(), axis=0)


@pytest.mark.parametrize("size", [1, 5, 7, 16])
@pytest.mark.parametrize("compiled", [False, True])
def test_queue_equals_a_deque(size, compiled):
    queue = memory.Queue(size, 3)
    push = tf.function(queue.push, reduce_retracing=True) if compiled else queue.push
    expected = collections.deque(np.asarray(queue.read()), maxlen=size)
    for step, batch in enumerate([1, 3, 5, 5, 2, 7, 4, 16, 1, 11]):
        if batch > size:
            continue
        keys = vectors(batch, 3, seed=step)
        push(tf.constant(keys))
        expected.extend(keys)
        np.testing.assert_array_equal(oldest_first(queue), expected)
    assert queue.read().shape == (size, 3)


def test_queue_overwrites_the_oldest_in_place():
    queue = memory.Queue(5, 2)
    start, keys = np.asarray(queue.read()), vectors(7, 2)
    queue.push(keys[:3])
    np.testing.assert_array_equal(queue.read(), np.concatenate([keys[:3], start[3:]]))
    queue.push(keys[3:])
    np.testing.assert_array_equal(queue.read(), keys[[5, 6, 2, 3, 4]])
    assert int(queue.pointer) == 2


def test_what_was_read_stays():
    queue = memory.Queue(4, 2)
    read = queue.read()
    before = np.array(read)
    queue.push(vectors(4, 2))
    np.testing.assert_array_equal(read, before)


@pytest.mark.parametrize("make", [memory.Queue, memory.Bank])
def test_entries_start_as_different_unit_vectors_and_stay_float32(make):
    keras.config.set_dtype_policy("mixed_float16")
    layer = make(50, 8)
    entries = layer.entries.numpy()
    np.testing.assert_allclose(np.linalg.norm(entries, axis=1), 1, rtol=1e-5)
    similarity = entries @ entries.T - np.eye(50)
    assert np.abs(similarity).max() < 0.999 and np.abs(similarity.mean()) < 0.1
    assert layer.entries.dtype == "float32" and not layer.trainable_variables
    read = keras.layers.Lambda(lambda index: layer.read() if make is memory.Queue else layer.read(index))(np.arange(3))
    assert read.dtype == tf.float32
    if make is memory.Queue:
        layer.push(tf.cast(vectors(4, 8), "float16"))
        np.testing.assert_array_equal(layer.read()[:4], vectors(4, 8).astype("float16").astype("float32"))


@pytest.mark.parametrize("make", [memory.Queue, memory.Bank])
def test_configuration_comes_back(make):
    layer = make(5, 3, name="store")
    twin = make.from_config(layer.get_config())
    assert twin.get_config() == layer.get_config() and twin.name == "store"
    assert [v.shape for v in twin.weights] == [v.shape for v in layer.weights]


def test_a_batch_larger_than_the_queue_is_an_error():
    queue = memory.Queue(4, 2)
    before = np.array(queue.read())
    with pytest.raises(ValueError, match="size=4 cannot take a batch of 5"):
        queue.push(vectors(5, 2))
    np.testing.assert_array_equal(queue.read(), before)


@pytest.mark.parametrize("bad", [{"size": 0}, {"size": 2.0}, {"dim": -1}, {"dim": None}])
def test_wrong_sizes_are_refused(bad):
    for make in (memory.Queue, memory.Bank):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} must be a positive int"):
            make(**{"size": 3, "dim": 3} | bad)


@pytest.mark.parametrize("momentum", [-0.1, 1, 1.5])
def test_wrong_momentum_is_refused(momentum):
    with pytest.raises(ValueError, match="momentum must be in"):
        memory.Bank(3, 2, momentum)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_bank_moves_the_entries_it_is_told_and_normalizes(momentum):
    bank = memory.Bank(9, 4, momentum)
    expected = bank.entries.numpy().astype("float64")
    for step, index in enumerate([[0, 3, 8], [8, 1], [3]]):
        values = vectors(len(index), 4, seed=step)
        bank.write(np.array(index), values)
        for i, value in zip(index, values):
            mixed = momentum * expected[i] + (1 - momentum) * value
            expected[i] = mixed / np.linalg.norm(mixed)
        np.testing.assert_allclose(bank.entries, expected, rtol=1e-5, atol=1e-6)
    index = np.array([[8, 0], [3, 3], [2, 1]])
    np.testing.assert_array_equal(bank.read(index), bank.entries.numpy()[index])


REPEATED = np.array([3, 3, 5, 0, 5, 3], "int32")


def of_the_first(bank, index, values):
    """The entries that the bank must hold when each index has been written once, with its first value."""
    alone = memory.Bank(bank.size, bank.dim, bank.momentum)
    alone.entries.assign(bank.entries.numpy())
    found, first = np.unique(index, return_index=True)
    alone.write(found, values[first])
    return alone.entries.numpy()


@pytest.mark.parametrize("run", ["eager", "graph", "of any size", "xla"])
def test_of_equal_indices_the_first_is_written(run):
    bank, values = memory.Bank(6, 4), vectors(6, 4)
    expected = of_the_first(bank, REPEATED, values)
    signature = [tf.TensorSpec([None], "int32"), tf.TensorSpec([None, 4])] if run == "of any size" else None
    write = bank.write
    if run != "eager":
        write = tf.function(write, input_signature=signature, jit_compile=run == "xla")
    write(tf.constant(REPEATED), tf.constant(values))
    np.testing.assert_allclose(bank.entries, expected, rtol=1e-5, atol=1e-7)


def test_equal_indices_write_equal_rows(monkeypatch):
    """A scatter may leave any of them: the CPU's leaves the last, others what comes."""
    bank, values, rows = memory.Bank(6, 4), vectors(6, 4), []
    scatter = memory.ops.scatter_update
    monkeypatch.setattr(memory.ops, "scatter_update", lambda x, i, v: rows.append(np.asarray(v)) or scatter(x, i, v))
    bank.write(REPEATED, values)
    np.testing.assert_array_equal(rows[0], rows[0][[0, 0, 2, 3, 2, 0]])
    bank.write(np.arange(6), values)
    assert len(np.unique(rows[1], axis=0)) == 6


def test_queue_of_two_replicas_takes_the_keys_of_both(two_replicas):
    with two_replicas.scope():
        queue = memory.Queue(7, 2)
    expected = collections.deque(np.asarray(queue.read()), maxlen=7)
    for seed in range(3):
        keys = vectors(4, 2, seed=seed)
        expected.extend(keys)

        def push(rows):
            queue.push(rows)
            return queue.read()

        on_replicas(two_replicas, push, keys)
        for entries in two_replicas.experimental_local_results(queue.entries.value):
            np.testing.assert_array_equal(np.roll(entries, -queue.pointer.numpy(), axis=0), expected)


@pytest.mark.parametrize("index", [[5, 0, 2, 1], [3, 3, 5, 3]])
def test_bank_of_two_replicas_takes_the_entries_of_both(two_replicas, index):
    with two_replicas.scope():
        bank = memory.Bank(6, 3)
    index, values = np.array(index), vectors(4, 3)
    expected = of_the_first(bank, index, values)

    def write(i, v):
        bank.write(i, v)
        return bank.read(i)

    found = on_replicas(two_replicas, write, index, values)
    np.testing.assert_allclose(np.concatenate(found), expected[index], rtol=1e-6)
    for entries in two_replicas.experimental_local_results(bank.entries.value):
        np.testing.assert_allclose(entries, expected, rtol=1e-6)
