"""What every method must do. A new method is tested by one line in `METHODS`."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl

# How to make each public method small. Every method of the package must be listed here.
METHODS = {
    "SimCLR": {"hidden": 16, "dim": 8, "temperature": 0.5},
    "MoCoV1": {"dim": 8, "queue_size": 20, "momentum": 0.9},
    "MoCoV2": {"hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "symmetric": True},
    "BYOL": {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20},
}
# What a method needs other than the usual: its views, an encoder other than the small convolutional one, and weights
# that training may leave alone (the ends of their paths).
VIEWS = {}
ENCODERS = {}
STILL = {}
SIZE, BATCH, STEPS = 12, 8, 4
every_method = pytest.mark.parametrize("name", METHODS)


def small_encoder(seed=0):
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=keras_ssl.distribute.replicas() > 1)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(16, 3)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def views(name):
    return VIEWS.get(name, keras_ssl.augment.byol_cifar)(SIZE)


def make(name, optimizer=None, seed=0, **compile):
    keras.utils.set_random_seed(seed)
    model = getattr(keras_ssl, name)(ENCODERS.get(name, small_encoder)(), views(name), **METHODS[name])
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.05, momentum=0.9), **compile)
    return model


def images(count=BATCH * STEPS):
    """Smooth random images, so that crops of one image are alike."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), "uint8")
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)


def columns(count):
    return {"image": images(count), "label": np.arange(count) % 3, "index": np.arange(count)}


def pipeline(**options):
    return keras_ssl.data.arrays(images(), BATCH, seed=1, labels=np.arange(BATCH * STEPS) % 3, index=True, **options)


def state(model):
    """Everything a run is made of, by a name that another instance shares: weights, optimizer, random state."""
    values = {f"model/{i}/{v.path.split('/')[-1]}": v.numpy() for i, v in enumerate(model.variables)}
    return values | {f"optimizer/{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)}


def assert_same(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name, value in first.items():
        if tolerance:
            np.testing.assert_allclose(value, second[name], err_msg=name, **tolerance)
        else:
            np.testing.assert_array_equal(value, second[name], err_msg=name)


def moving(model):
    """The state that only `after_step` may move: what is frozen, but for batch normalisation's and random state."""
    own = ("moving_mean", "moving_variance", "seed_generator_state")
    kept = [v for v in model.non_trainable_variables if not v.path.endswith(own)]
    metrics = {id(v) for v in model.metrics_variables}
    return [v for v in kept if id(v) not in metrics]


def part_teacher_from_student(model):
    """At the start they are equal, and a teacher that follows too early would stay where it is."""
    for variable in moving(model):
        if "float" in variable.dtype:
            variable.assign(variable + 0.1)


def test_every_method_is_listed():
    assert set(METHODS) == set(keras_ssl.METHODS)


@every_method
def test_every_trainable_weight_gets_a_gradient(name):
    model = make(name)
    batch = next(iter(pipeline()))
    with tf.GradientTape() as tape:
        tape.watch([v.value for v in moving(model) if "float" in v.dtype])
        loss = model(batch, training=True)["loss"]
    assert np.isfinite(loss)
    weights = model.trainable_variables
    frozen = [v.value for v in moving(model) if "float" in v.dtype]
    gradients = tape.gradient(loss, [w.value for w in weights] + frozen)
    for weight, gradient in zip(weights, gradients):
        assert gradient is not None and np.abs(gradient).max() > 0, weight.path
    for variable, gradient in zip(moving(model), gradients[len(weights) :]):
        assert gradient is None, f"{variable.path} gets a gradient"


@every_method
def test_training_moves_what_it_should(name):
    model = make(name)
    start = state(model)
    history = model.fit(pipeline(), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert int(model.optimizer.iterations) == 2 * STEPS
    start = {key: value for key, value in start.items() if key.startswith("model/")}
    now = state(model)
    still = [model.variables[int(key.split("/")[1])].path for key, v in start.items() if np.array_equal(v, now[key])]
    allowed = ("seed_generator_state", "pointer", "/total", "/count", *STILL.get(name, ()))
    allowed = [path for path in still if path.endswith(allowed)]
    assert still == allowed


@every_method
def test_the_hook_alone_moves_the_frozen_state(name):
    model = make(name)
    model.after_step = lambda outputs: None
    before = [v.numpy() for v in moving(model)]
    model.fit(pipeline(), verbose=0)
    for variable, value in zip(moving(model), before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


@every_method
def test_predict_is_the_encoder(name):
    model = make(name)
    expected = model.encoder.predict(images(), verbose=0)
    np.testing.assert_allclose(model.predict(images(), batch_size=BATCH, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(pipeline(shuffle=False), verbose=0), expected, atol=1e-5)


@every_method
def test_resumed_run_equals_the_uninterrupted(name, tmp_path):
    straight = make(name)
    straight.fit(pipeline(), epochs=3, verbose=0)

    first = make(name)
    first.fit(pipeline(), epochs=1, verbose=0)
    first.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    assert_same(state(first), state(second))
    for key, value in first.get_config().items():
        if key != "encoder":  # Keras writes lists for tuples there
            assert second.get_config()[key] == value
    second.fit(pipeline(epoch=1), epochs=2, verbose=0)
    assert_same(state(straight), state(second))


@every_method
def test_same_seed_same_run(name):
    first, second, other = make(name), make(name), make(name, seed=1)
    for model in (first, second, other):
        model.fit(pipeline(), verbose=0)
    assert_same(state(first), state(second))
    assert not np.array_equal(first.trainable_variables[0], other.trainable_variables[0])


@every_method
def test_eager_equals_graph_equals_xla(name):
    reference = None
    for mode in ({"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}):
        model = make(name, **mode)
        if hasattr(model, "shuffle"):
            model.shuffle = False  # the compiled random numbers of the order are others; the keys are the same
        losses = [model.train_on_batch(batch) for batch in pipeline()]
        found = state(model) | {"losses": np.array(losses, "float32")}
        found = {key: value for key, value in found.items() if "seed_generator" not in key}
        reference = reference or found
        assert_same(reference, found, rtol=2e-3, atol=2e-4)


@every_method
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(name, policy):
    batch = next(iter(pipeline()))
    expected = make(name)(batch, training=True)["loss"]
    keras.config.set_dtype_policy(policy)
    model = make(name)
    assert float(model(batch, training=True)["loss"]) == pytest.approx(float(expected), rel=0.03)
    assert np.isfinite(model.fit(pipeline(), epochs=2, verbose=0).history["loss"]).all()
    assert {v.dtype for v in model.variables if "float" in v.dtype} == {"float32"}


@every_method
def test_an_overflow_moves_nothing(name):
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=2.0**40)
    model = make(name, optimizer)
    part_teacher_from_student(model)
    watched = [*model.trainable_variables, *moving(model)]
    before = [v.numpy() for v in watched]
    model.train_on_batch(next(iter(pipeline())))
    assert int(optimizer.iterations) == 0 and float(optimizer.dynamic_scale) == 2.0**39
    for variable, value in zip(watched, before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


@every_method
def test_gradient_accumulation_moves_the_teacher_once_an_update(name):
    model = make(name, keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))
    part_teacher_from_student(model)
    batches = list(pipeline())
    before = [v.numpy() for v in moving(model)]
    model.train_on_batch(batches[0])
    for variable, value in zip(moving(model), before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    model.train_on_batch(batches[1])
    assert int(model.optimizer.iterations) == 1
    for variable, value in zip(moving(model), before):
        assert variable.path.endswith("pointer") or not np.array_equal(variable.numpy(), value), variable.path


@every_method
def test_one_replica_equals_two(name, two_replicas):
    found = []
    for scope in (contextlib.nullcontext(), two_replicas.scope()):
        with scope:
            model = make(name)
        losses = model.fit(pipeline(), epochs=2, verbose=0).history["loss"]
        assert losses[0] != losses[1]
        found.append(state(model) | {"losses": np.array(losses)})
    # 1e-4 of float32 noise after eight steps; negatives of the own replica only differ by more than 1e-2
    assert_same(*found, rtol=1e-3, atol=1e-4)


@every_method
def test_replicas_hold_the_same_state(name, two_replicas):
    with two_replicas.scope():
        model = make(name)
    model.fit(pipeline(), verbose=0)
    for variable in [*model.trainable_variables, *moving(model)]:
        first, second = (x.numpy() for x in two_replicas.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second, err_msg=variable.path)


@every_method
def test_an_uneven_last_batch_is_gathered_in_order(name, two_replicas):
    dataset = tf.data.Dataset.from_tensor_slices(columns(BATCH + 5)).batch(BATCH)  # 4 + 4, then 3 + 2
    with two_replicas.scope():
        model = make(name)
    history = model.fit(dataset, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    if hasattr(model, "queue"):  # all keys are in it, each once
        keys = model.queue.entries.numpy()
        pushed = (BATCH + 5) * (2 if getattr(model, "symmetric", False) else 1)
        assert int(model.queue.pointer.numpy()) == pushed % model.queue.size
        assert len(np.unique(keys.round(5), axis=0)) == len(keys)


@every_method
def test_an_overflow_on_one_replica_is_known_to_all(name, two_replicas):
    keras.config.set_dtype_policy("mixed_float16")
    with two_replicas.scope():
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=1.0)
        model = make(name, optimizer)
        part_teacher_from_student(model)
    watched = [*model.trainable_variables, *moving(model)]
    before = [v.numpy() for v in watched]

    def objective(*inputs):  # finite on the first replica, infinite on the second
        # straight from a weight: through synchronised batch norm or gathered negatives both replicas would see it
        weight = ops.mean(ops.cast(model.trainable_variables[0], "float32"))
        outputs = type(model).objective(model, *inputs)
        outputs = outputs if isinstance(outputs, dict) else {"loss": outputs}
        broken = ops.where(keras_ssl.distribute.replica() == 1, np.float32(np.inf), 0.0)
        return outputs | {"loss": outputs["loss"] + weight * broken}

    model.objective = objective
    model.fit(pipeline().take(1), verbose=0)
    assert optimizer.iterations.numpy() == 0
    for variable, value in zip(watched, before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


@every_method
def test_a_last_batch_that_is_smaller_trains(name):
    model = make(name)
    history = model.fit(columns(2 * BATCH - 3), batch_size=BATCH, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@every_method
def test_views_made_by_the_pipeline_train_alike(name):
    inside, outside = make(name), make(name)
    outside.augment = None
    inside.fit(pipeline(), verbose=0)
    outside.fit(keras_ssl.data.views(pipeline(), views(name)), verbose=0)
    for first, second in zip(inside.trainable_variables, outside.trainable_variables):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4, err_msg=first.path)


@every_method
def test_wrong_encoders_are_refused(name):
    method = getattr(keras_ssl, name)
    with pytest.raises(ValueError, match="not built"):
        method(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(ValueError, match="features of shape"):
        method(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]))
    with pytest.raises(ValueError, match="must be a keras.Model"):
        method("resnet18")
    with pytest.raises(ValueError, match="must hold the views"):
        method(ENCODERS.get(name, small_encoder)(), **METHODS[name])({"image": images()}, training=True)
