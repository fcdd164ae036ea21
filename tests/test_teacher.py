"""The teacher is a twin that follows, and nothing else moves it."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import heads, teacher


def student(seed=0):
    """Dense and batch normalization, every weight random, so that a wrong pairing of weights shows."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5)(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Dense(5, use_bias=False)(x)
    model = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9)(x))
    scramble(model, seed)
    return model


def scramble(model, seed):
    draw = np.random.default_rng(seed)
    model.set_weights([draw.uniform(0.5, 2, w.shape) for w in model.get_weights()])


def samples(rows=16, size=6):
    return np.random.default_rng(7).normal(size=(rows, size)).astype("float32")


def is_statistic(variable):
    return "moving" in variable.path


@keras.saving.register_keras_serializable("keras_ssl_tests")
class Subclassed(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.second = keras.layers.Dense(units)  # made in another order than it is used
        self.first = keras.layers.Dense(units)
        self.norm = keras.layers.BatchNormalization()
        self.first.build((None, 6))
        self.norm.build((None, units))
        self.second.build((None, units))
        self.built = True

    def call(self, x, training=False):
        return self.second(self.norm(self.first(x), training=training))

    def get_config(self):
        return super().get_config() | {"units": self.units}


def test_a_copy_is_equal_and_frozen():
    model = student()
    twin = teacher.copy(model)
    assert not twin.trainable_variables and len(model.trainable_variables) == 7
    assert not {id(v) for v in twin.weights} & {id(v) for v in model.weights}
    assert [v.shape for v in twin.weights] == [v.shape for v in model.weights]
    for first, second in zip(twin.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(twin(samples()), model(samples()))


@pytest.mark.parametrize("kind", ["application", "subclassed", "attached"])
def test_any_model_can_be_copied_and_followed(kind):
    if kind == "application":
        model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg")
        inputs = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    else:
        model, inputs = Subclassed(4), samples()
        if kind == "attached":
            images = keras.Input((6,))
            model = heads.attach(keras.Model(images, model(images)), heads.mlp(4, 5, 3))
    scramble(model, 1)
    twin = teacher.copy(model)
    np.testing.assert_array_equal(twin(inputs, training=False), model(inputs, training=False))
    assert not twin.trainable_variables and model.trainable_variables
    scramble(model, 2)
    start = [w.numpy() for w in twin.weights]
    teacher.follow(twin, model, 0.0)
    for variable, source, old in zip(twin.weights, model.weights, start):
        np.testing.assert_allclose(variable, old if is_statistic(source) else source, rtol=1e-5, err_msg=source.path)


def test_a_copy_normalizes_by_the_batch_and_keeps_its_own_statistics():
    model = student()
    twin = teacher.copy(model)
    model.layers[-1].gamma.assign(np.ones(5)), model.layers[-1].beta.assign(np.zeros(5))
    teacher.follow(twin, model, 0.0)
    before = {id(v): v.numpy() for v in twin.weights + model.weights}
    output = np.asarray(twin(samples(), training=True))
    np.testing.assert_allclose(output.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(output.std(axis=0), 1, atol=1e-3)
    for variable in twin.weights:
        assert np.array_equal(variable, before[id(variable)]) != is_statistic(variable), variable.path
    for variable in model.weights:
        np.testing.assert_array_equal(variable, before[id(variable)])


def test_follow_equals_the_formula_and_leaves_moving_statistics():
    model = student()
    twin = teacher.copy(model)
    expected = [w.astype("float64") for w in twin.get_weights()]
    for step, momentum in enumerate([0.9, 0.5, 0.996]):
        scramble(model, step + 1)
        teacher.follow(twin, model, momentum)
        for i, (variable, value) in enumerate(zip(model.weights, model.get_weights())):
            if not is_statistic(variable):
                expected[i] = momentum * expected[i] + (1 - momentum) * value
    moved = set()
    for variable, value in zip(twin.weights, expected):
        np.testing.assert_allclose(variable, value, rtol=1e-6, err_msg=variable.path)
        moved |= {variable.path.split("/")[-1]}
    assert moved == {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"}


@pytest.mark.parametrize("momentum", [1, 1.0, np.float32(1)])
def test_momentum_one_moves_nothing(momentum):
    model = student()
    twin = teacher.copy(model)
    before = twin.get_weights()
    scramble(model, 1)
    teacher.follow(twin, model, momentum)
    for first, second in zip(twin.get_weights(), before):
        np.testing.assert_array_equal(first, second)


def test_momentum_zero_takes_the_student():
    model = student()
    twin = teacher.copy(model)
    scramble(model, 1)
    teacher.follow(twin, model, 0)
    for slow, fast in zip(twin.weights, model.weights):
        if not is_statistic(fast):
            np.testing.assert_allclose(slow, fast, rtol=1e-6)


def test_cosine_equals_the_formula():
    assert float(teacher.cosine(0.99, 1.0, 0, 100)) == pytest.approx(0.99, abs=1e-7)
    assert float(teacher.cosine(0.9, 1.0, 50, 100)) == pytest.approx(0.95, abs=1e-6)
    assert float(teacher.cosine(0.9, 1.0, 100, 100)) == pytest.approx(1, abs=1e-7)
    assert float(teacher.cosine(0.9, 1.0, 10**6, 100)) == pytest.approx(1, abs=1e-7)
    for step in range(0, 100, 7):
        expected = 1 - (1 - 0.9) * (math.cos(math.pi * step / 100) + 1) / 2
        for kind in (int, lambda k: tf.constant(k, "int32"), lambda k: tf.constant(k, "int64")):
            assert float(teacher.cosine(0.9, 1.0, kind(step), 100)) == pytest.approx(expected, abs=1e-6)
    assert float(teacher.cosine(0.2, 0.6, 25, 100)) == pytest.approx(0.6 - 0.4 * (math.cos(math.pi / 4) + 1) / 2)
    assert teacher.cosine(0.9, 1.0, tf.constant(3)) == 0.9  # no steps: constant


def test_a_straight_line_equals_the_formula():
    for step in (0, 25, 50, 100, 10**6):
        expected = 0.9 + 0.1 * min(step / 100, 1)
        for kind in (int, lambda k: tf.constant(k, "int32")):
            assert float(teacher.linear(0.9, 1.0, kind(step), 100)) == pytest.approx(expected, abs=1e-6)
    assert teacher.linear(0.9, 1.0, tf.constant(3)) == 0.9  # no steps: constant


def test_average_of_thousands_of_steps_is_exact_in_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights([np.zeros((3, 2)), np.zeros(2)])
    twin = teacher.copy(model)
    model.set_weights([np.ones((3, 2)), np.ones(2)])
    step = tf.function(lambda: teacher.follow(twin, model, 0.999))
    for _ in range(3000):
        step()
    for weight in twin.get_weights():  # float16 stands still at 0.75
        np.testing.assert_allclose(weight, 1 - 0.999**3000, rtol=1e-4)
