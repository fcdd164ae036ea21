"""Heads have the layers of the papers and share what they should."""

import itertools

import keras
import numpy as np
import pytest

from keras_ssl import heads, memory

OPTIONS = list(itertools.product([1, 2, 3], [True, False], [True, False], [True, False]))


def features(rows=6, size=5):
    return np.random.default_rng(0).normal(size=(rows, size)).astype("float32")


def encoder():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2)(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def names(head):
    return [type(layer).__name__ for layer in head.layers]


@pytest.mark.parametrize("depth, batch_norm, hidden_bias, output_bias", OPTIONS)
def test_mlp_has_the_layers_and_parameters_it_names(depth, batch_norm, hidden_bias, output_bias):
    head = heads.mlp(
        5, 7, 3, depth, batch_norm=batch_norm, hidden_bias=hidden_bias, output_bias=output_bias, name="projector"
    )
    assert names(head) == (["Dense"] + ["BatchNormalization"] * batch_norm + ["ReLU"]) * (depth - 1) + ["Dense"]
    sizes = [5] + [7] * (depth - 1)
    trained = sum(size * 7 + 7 * hidden_bias + 14 * batch_norm for size in sizes[:-1]) + sizes[-1] * 3 + 3 * output_bias
    assert sum(v.numpy().size for v in head.trainable_variables) == trained
    assert sum(v.numpy().size for v in head.non_trainable_variables) == 14 * batch_norm * (depth - 1)
    assert head.name == "projector" and head.output_shape == (None, 3)
    assert head(features()).shape == (6, 3)


def test_linear():
    head = heads.linear(5, 3, name="head")
    assert head.name == "head" and len(heads.linear(5, 3, bias=False).weights) == 1
    kernel, bias = (np.random.default_rng(1).normal(size=v.shape).astype("float32") for v in head.weights)
    head.set_weights([kernel, bias])
    for training in (True, False):
        np.testing.assert_allclose(head(features(), training=training), features() @ kernel + bias, atol=1e-5)


def test_mlp_computes_dense_norm_relu_dense_norm():
    head = heads.mlp(5, 7, 3, output_norm=heads.batch_normalization(center=False))
    draw = np.random.default_rng(1)
    for variable in head.trainable_variables:
        variable.assign(draw.uniform(0.5, 1.5, variable.shape) * draw.choice([-1, 1], variable.shape))
    kernel, bias, gamma, beta, output, output_gamma = (v.numpy() for v in head.trainable_variables)

    def norm(x):
        return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)

    hidden = np.maximum(gamma * norm(features() @ kernel + bias) + beta, 0)
    np.testing.assert_allclose(head(features(), training=True), output_gamma * norm(hidden @ output), atol=1e-4)


def test_output_norm_is_the_last_layer():
    norm = heads.batch_normalization(center=False, momentum=0.5)
    head = heads.mlp(5, 7, 3, output_norm=norm)
    assert head.layers[-1] is norm and norm.beta is None and norm.momentum == 0.5 and norm.epsilon == 1e-5


def test_batch_normalization_is_synchronized_where_there_are_replicas(two_replicas):
    assert not heads.batch_normalization().synchronized
    with two_replicas.scope():
        assert heads.batch_normalization().synchronized
        assert not heads.batch_normalization(synchronized=False).synchronized


def test_attach_shares_the_weights():
    first, head = encoder(), heads.mlp(4, 7, 3)
    joined = heads.attach(first, head, name="joined")
    assert joined.name == "joined" and joined.output_shape == (None, 3)
    assert [id(v) for v in joined.weights] == [id(v) for v in first.weights + head.weights]
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("float32")
    before = joined(images).numpy()
    np.testing.assert_allclose(before, head(first(images)), atol=1e-6)
    first.trainable_variables[0].assign(first.trainable_variables[0] * 2)
    assert np.abs(joined(images) - before).max() > 1e-3
    np.testing.assert_allclose(joined(images), head(first(images)), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_the_weights_float32(dtype):
    expected = heads.mlp(5, 7, 3)
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    head = heads.mlp(5, 7, 3)
    head.set_weights(expected.get_weights())
    found = head(features(), training=True)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    assert {v.dtype for v in head.weights} == {"float32"}
    np.testing.assert_allclose(np.asarray(found, "float32"), expected(features(), training=True), atol=0.05)


def test_initial_weights():
    head = heads.dino_head(256, hidden=256, dim=128)
    for layer in (layer for layer in head.layers if isinstance(layer, keras.layers.Dense)):
        kernel = layer.kernel.numpy()
        # The authors cut the normal distribution at 100 deviations, which cuts nothing.
        assert kernel.std() == pytest.approx(0.02, rel=0.02) and np.abs(kernel).max() > 0.06


@pytest.mark.parametrize("make", [
    lambda **options: heads.Prototypes(4, 3, **options),
    lambda **options: memory.Queue(4, 3, **options),
    lambda **options: memory.Bank(4, 3, **options),
])
def test_a_misspelled_argument_is_an_error(make):
    assert type(make()).from_config(make(name="part").get_config()).name == "part"
    with pytest.raises(TypeError, match="momentums"):
        make(momentums=0.9)
