"""Batch normalization as one kernel is Keras's, number for number."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders


def images(*shape):
    return np.random.default_rng(0).normal(3.0, 2.0, shape).astype("float32")


def run(layer, x, weights, jit=False):
    """Outputs, gradients by input, scale and offset, and moving statistics after a step of training."""
    layer.build(x.shape)
    layer.set_weights(weights)
    x = tf.cast(x, layer.compute_dtype)
    pull = tf.cast(np.random.default_rng(1).normal(size=x.shape), x.dtype)

    @tf.function(jit_compile=jit)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(y * pull)
        return y, *tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])

    found = [keras.ops.convert_to_numpy(keras.ops.cast(part, "float32")) for part in step(x)]
    return found + [v.numpy() for v in layer.non_trainable_variables]


@pytest.fixture
def kernels(monkeypatch):
    """The calls of the kernel."""
    calls, kernel = [], tf.raw_ops.FusedBatchNormV3
    monkeypatch.setattr(tf.raw_ops, "FusedBatchNormV3", lambda **options: calls.append(1) or kernel(**options))
    return calls


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "policy, tolerance", [("float32", 1e-4), ("mixed_bfloat16", 4e-2), ("mixed_float16", 5e-3)]
)
@pytest.mark.parametrize("options", [{}, {"scale": False, "momentum": 0.5}, {"center": False, "epsilon": 0.1}])
def test_is_keras_batch_normalization(policy, tolerance, options, jit, kernels):
    x, keep = images(6, 5, 4, 3), np.random.default_rng(2)
    weights = [keep.uniform(0.5, 2, 3) for _ in range(4)]
    if "scale" in options or "center" in options:
        weights = weights[1:]
    options = {"momentum": 0.9, "epsilon": 1e-5, "dtype": policy} | options
    expected = run(keras.layers.BatchNormalization(**options), x, weights, jit)
    assert not kernels
    found = run(encoders.FusedBatchNormalization(**options), x, weights, jit)
    assert kernels
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance * np.abs(one).max())


def test_the_rest_is_left_to_keras(kernels):
    weights = [np.full(3, value, "float32") for value in (2.0, 1.0, 0.5, 3.0)]
    for shape, options, training in [
        ((6, 3), {}, True),
        ((6, 5, 3), {}, True),
        ((6, 3, 5, 4), {"axis": 1}, True),
        ((6, 5, 4, 3), {"dtype": "float64"}, True),
        ((6, 5, 4, 3), {}, False),
        ((6, 5, 4, 3), {"trainable": False}, True),
    ]:
        x, found = images(*shape), []
        for kind in (keras.layers.BatchNormalization, encoders.FusedBatchNormalization):
            layer = kind(**options)
            layer.build(shape)
            layer.set_weights(weights)
            found.append([layer(x, training=training), *layer.get_weights()])
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)
    assert not kernels


@pytest.mark.parametrize("synchronized", [False, True])
def test_replicas_share_their_statistics_where_keras_does(synchronized, two_replicas, kernels):
    x, found = images(8, 4, 4, 3), []
    halves = [x[:4], x[4:] * 3]
    for kind in (keras.layers.BatchNormalization, encoders.FusedBatchNormalization):
        with two_replicas.scope():
            layer = kind(synchronized=synchronized, momentum=0.0)
            layer.build(x.shape)
        each = two_replicas.experimental_distribute_values_from_function(
            lambda context: tf.constant(halves[context.replica_id_in_sync_group])
        )
        y = tf.function(lambda: two_replicas.run(lambda x: layer(x, training=True), [each]))()
        y = two_replicas.experimental_local_results(y)
        found.append([*y, layer.moving_mean.numpy(), layer.moving_variance.numpy()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    assert bool(kernels) is not synchronized
    assert np.allclose(np.var(y[0], (0, 1, 2)), 1, atol=1e-2) is not synchronized


def test_an_encoder_trains_alike_and_is_exported_plain(tmp_path, kernels):
    plain = encoders.resnet18((16, 16, 3), width=4)
    fused = encoders.with_fused_batch_norm(plain)
    x = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("uint8")
    np.testing.assert_array_equal(plain(x), fused(x))
    assert not kernels
    np.testing.assert_allclose(plain(x, training=True), fused(x, training=True), atol=1e-5)
    assert len(kernels) == sum(isinstance(layer, keras.layers.BatchNormalization) for layer in plain.layers) == 20
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    keras_ssl.export(fused, tmp_path / "encoder.keras")
    alone = keras.saving.load_model(tmp_path / "encoder.keras", custom_objects={})
    assert {type(layer) for layer in alone.layers if "bn" in layer.name} == {keras.layers.BatchNormalization}
    np.testing.assert_allclose(alone(x), fused(x), atol=1e-6)


def test_only_the_layers_of_keras_are_replaced():
    grouped = encoders.with_fused_batch_norm(encoders.resnet18((16, 16, 3), width=4, batch_norm_groups=2))
    assert not any(isinstance(layer, encoders.FusedBatchNormalization) for layer in grouped.layers)
    shared = encoders.with_fused_batch_norm(encoders.resnet18((16, 16, 3), width=4, synchronized=True))
    assert all(layer.synchronized for layer in shared.layers if isinstance(layer, encoders.FusedBatchNormalization))
    with pytest.raises(TypeError, match="functional"):
        encoders.with_fused_batch_norm(keras.Sequential())
