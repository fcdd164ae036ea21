"""What every method must do. Nothing here names a method: each is made small by the `CASE` of its own test file.

The tests of a method share its batches, whose views are made once, one compiled run and one model that runs eagerly;
what the base class alone decides is tested on a few methods. `KERAS_SSL_COMPLETE=1` tests all of it on all methods.
"""

import contextlib
import functools
import gc
import os
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import inputs
from tests import cases
from tests.cases import BATCH, STEPS, assert_same, make, moving, state

NAMES = cases.names()


def few():
    """The methods on which is tested what the base class decides; those without a case have failed before."""
    present = [name for name in NAMES if name in cases.further() or cases.path_of(name).exists()]
    return NAMES if os.environ.get("KERAS_SSL_COMPLETE") else [x for x in present if cases.case_of(x).base]


class Straight(NamedTuple):
    """A compiled run of two epochs."""

    states: list  # at the start and after each epoch
    losses: list  # of each epoch
    first_loss: float  # of the first step
    paths: list  # of the variables


class Run:
    """What the tests of one method share."""

    def __init__(self, name):
        self.name = name
        self.case = cases.case_of(name)

    @functools.cached_property
    def batches(self):
        return cases.fixed(self.name)

    @functools.cached_property
    def straight(self):
        model = make(self.name)
        states, steps = [state(model)], []
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: states.append(state(model)),
            on_train_batch_end=lambda batch, logs: steps.append(logs["loss"]),
        )
        data = cases.dataset(self.batches)
        losses = model.fit(data, epochs=2, steps_per_epoch=STEPS, callbacks=[keep], verbose=0).history["loss"]
        assert int(model.optimizer.iterations) == 2 * STEPS
        return Straight(states, losses, steps[0], [v.path for v in model.variables])

    @functools.cached_property
    def made(self):
        """One model that is not compiled, and the values that it starts from."""
        model = make(self.name, run_eagerly=True)
        model.optimizer.build(model.trainable_variables)
        return model, [v.numpy() for v in (*model.variables, *model.optimizer.variables)]

    def eager(self):
        """That model, at its start."""
        model, start = self.made
        for variable, value in zip((*model.variables, *model.optimizer.variables), start):
            variable.assign(value)
        return model


# One process tests all of a method, so that its tests share a run.
grouped = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES]


@pytest.fixture(scope="module", params=grouped)
def run(request):
    yield Run(request.param)
    keras.backend.clear_session()
    gc.collect()


few_methods = pytest.mark.parametrize("run", [x for x in grouped if x.values[0] in few()], indirect=True)


def total(outputs):
    """The loss, summed over the players where there are several."""
    return sum(keras.tree.flatten(outputs["loss"]))


def train(model, batches):
    return [float(model.train_on_batch(batch, return_dict=True)["loss"]) for batch in batches]


def as_lists(config):
    """The config as a file gives it back: Keras writes lists for tuples."""
    if isinstance(config, dict):
        return {key: as_lists(value) for key, value in config.items()}
    return [as_lists(value) for value in config] if isinstance(config, (list, tuple)) else config


def part_teacher_from_student(model):
    """At the start they are equal, and a teacher that follows too early would stay where it is."""
    for variable in moving(model):
        if "float" in variable.dtype:
            variable.assign(variable + 0.1)


def test_every_method_has_a_case():
    """Read from its file, which must exist."""
    for name in keras_ssl.METHODS:
        cases.case_of(name)


def test_every_trainable_weight_gets_a_gradient(run):
    model = run.eager()
    kept = [v for v in moving(model) if "float" in v.dtype]
    with tf.GradientTape() as tape:
        tape.watch([v.value for v in kept])
        loss = total(model(run.batches[0], training=True))
    assert np.isfinite(loss)
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in [*weights, *kept]])
    gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]  # embeddings have sparse ones
    for weight, gradient in zip(weights, gradients):
        assert gradient is not None and np.abs(gradient).max() > 0, weight.path
    for variable, gradient in zip(kept, gradients[len(weights) :]):
        assert gradient is None, f"{variable.path} gets a gradient"


def test_a_run_that_diverged_is_seen_in_its_loss(run):
    model = run.eager()
    for weight in model.encoder.trainable_variables:
        weight.assign(weight * np.nan)
    if run.case.diverged:
        with pytest.raises(ValueError, match=run.case.diverged):
            model(run.batches[0], training=True)
    else:
        assert not np.isfinite(total(model(run.batches[0], training=True)))


def test_training_moves_what_it_should(run):
    states, losses, _, paths = run.straight
    assert np.isfinite(losses).all()
    start = {key: value for key, value in states[0].items() if key.startswith("model/")}
    still = [paths[int(key.split("/")[1])] for key, value in start.items() if np.array_equal(value, states[2][key])]
    allowed = ("seed_generator_state", "pointer", "/total", "/count", *run.case.still)
    assert still == [path for path in still if path.endswith(allowed)]


def test_the_hook_alone_moves_the_frozen_state(run):
    model = run.eager()
    watched = moving(model)
    before = [v.numpy() for v in watched]
    model.after_step = lambda outputs: None
    try:
        train(model, run.batches[:2])
    finally:
        del model.after_step
    assert_still(watched, before)


def test_predict_is_the_encoder(run):
    model, samples = run.eager(), run.case.samples(BATCH + 3)
    sample = run.case.kind.sample(samples)
    taken = inputs.for_encoder(sample, model.evaluated_encoder)
    expected = model.evaluated_encoder(keras.tree.map_structure(ops.convert_to_tensor, taken), training=False)
    np.testing.assert_allclose(model.predict(sample, batch_size=BATCH, verbose=0), expected, atol=1e-5)
    data = tf.data.Dataset.from_tensor_slices(cases.columns(run.name, BATCH + 3)).batch(BATCH)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, atol=1e-5)


def test_resumed_run_equals_the_uninterrupted(run, tmp_path):
    model = run.eager()
    train(model, run.batches[:1])
    model.save(tmp_path / "run.keras")
    second = keras_ssl.load(tmp_path / "run.keras")
    assert_same(state(model), state(second))
    found = second.get_config()
    for key, value in model.get_config().items():
        assert as_lists(found[key]) == as_lists(value)
    train(model, run.batches[1:2])
    train(second, run.batches[1:2])
    assert_same(state(model), state(second))


def test_another_seed_starts_elsewhere(run):
    states = run.straight.states
    model = run.eager()
    assert_same(
        {key: value for key, value in states[0].items() if key.startswith("model/")},
        {key: value for key, value in state(model).items() if key.startswith("model/")},
    )  # the same seed, the same start
    other = state(make(run.name, seed=1))
    kernels = [key for key in other if key.endswith("/kernel")]
    assert kernels and not any(np.array_equal(states[0][key], other[key]) for key in kernels)


def test_eager_equals_graph_equals_xla(run):
    straight, compiled = run.straight, make(run.name, jit_compile=True)
    loss = compiled.fit(cases.dataset(run.batches[:STEPS]), verbose=0).history["loss"]
    expected, found = straight.states[1] | {"loss": straight.losses[:1]}, state(compiled) | {"loss": loss}
    kept = [key for key in expected if "seed_generator" not in key]
    assert_same({key: expected[key] for key in kept}, {key: found[key] for key in kept}, rtol=2e-3, atol=2e-4)
    assert train(run.eager(), run.batches[:1])[0] == pytest.approx(straight.first_loss, rel=2e-3, abs=2e-4)


every_policy = pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])


def check_half_precision(model, losses, expected):
    assert losses[0] == pytest.approx(expected, rel=0.03, abs=0.005)
    assert np.isfinite(losses).all()
    assert {v.dtype for v in model.variables if "float" in v.dtype} == {"float32"}


@every_policy
def test_half_precision(run, policy):
    expected = run.straight.first_loss
    keras.config.set_dtype_policy(policy)
    model = make(run.name, run_eagerly=True)
    check_half_precision(model, train(model, run.batches[:1]), expected)
    assert all(np.isfinite(v.numpy()).all() for v in model.trainable_variables)


@few_methods
@every_policy
def test_half_precision_compiled(run, policy):
    expected, steps = run.straight.first_loss, []
    keras.config.set_dtype_policy(policy)
    model = make(run.name)
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(logs["loss"]))
    model.fit(cases.dataset(run.batches[:STEPS]), callbacks=[keep], verbose=0)
    check_half_precision(model, steps, expected)


def assert_still(watched, before):
    for variable, value in zip(watched, before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


def scaled(initial_scale):
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=initial_scale)


@few_methods
def test_an_overflow_moves_nothing(run):
    keras.config.set_dtype_policy("mixed_float16")
    optimizers = cases.for_players(run.name, lambda: scaled(2.0**40))
    model = make(run.name, optimizers, run_eagerly=True)
    part_teacher_from_student(model)
    watched = [*model.trainable_variables, *moving(model)]
    before = [v.numpy() for v in watched]
    train(model, run.batches[:1])
    assert int(model.optimizer.iterations) == 0
    assert {float(optimizer.dynamic_scale) for optimizer in keras.tree.flatten(optimizers)} == {2.0**39}
    assert_still(watched, before)


@few_methods
def test_gradient_accumulation_moves_the_teacher_once_an_update(run):
    optimizers = cases.for_players(run.name, lambda: keras.optimizers.SGD(0.05, gradient_accumulation_steps=2))
    model = make(run.name, optimizers, run_eagerly=True)
    part_teacher_from_student(model)
    before = [v.numpy() for v in moving(model)]
    train(model, run.batches[:1])
    assert_still(moving(model), before)
    train(model, run.batches[1:2])
    assert int(model.optimizer.iterations) == 1
    for variable, value in zip(moving(model), before):
        still = variable.path.endswith(("pointer", *run.case.still))
        assert still or not np.array_equal(variable.numpy(), value), variable.path


def test_one_replica_equals_two(run, two_replicas):
    """Compiled once, for batches of any size: four whole ones, then one that the replicas cannot share evenly."""
    states, losses = run.straight[:2]
    whole, uneven = cases.rows(run.batches[:STEPS]), cases.rows(run.batches[STEPS : STEPS + 1], count=5)  # 3 + 2
    with two_replicas.scope():
        model = make(run.name)
    found = model.fit(whole, verbose=0).history["loss"]
    # 1e-4 of float32 noise after four steps; negatives of the own replica only differ by more than 1e-2
    assert_same(
        states[1] | {"losses": np.array(losses[:1])}, state(model) | {"losses": np.array(found)}, rtol=1e-3, atol=1e-4
    )
    assert np.isfinite(model.fit(uneven, verbose=0).history["loss"]).all()
    for variable in [*model.trainable_variables, *moving(model)]:
        first, second = (x.numpy() for x in two_replicas.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second, err_msg=variable.path)
    for queue in (layer for layer in model._flatten_layers() if isinstance(layer, keras_ssl.memory.Queue)):
        keys, pushed = queue.entries.numpy(), STEPS * BATCH + 5  # all keys are in it, each once, of one view or of both
        assert int(queue.pointer.numpy()) in (pushed % queue.size, 2 * pushed % queue.size)
        assert len(np.unique(keys.round(5), axis=0)) == len(keys)


@few_methods
def test_one_replica_equals_two_where_gradients_are_clipped(run, two_replicas):
    found, batches = [], cases.rows(run.batches[:2])
    for scope in (contextlib.nullcontext(), two_replicas.scope()):
        with scope:
            model = make(run.name, cases.for_players(run.name, lambda: keras.optimizers.SGD(1.0, global_clipnorm=0.05)))
        model.fit(batches, verbose=0)
        found.append([v.numpy() for v in [*model.trainable_variables, *moving(model)]])
    for variable, one, two in zip([*model.trainable_variables, *moving(model)], *found):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=3e-4, err_msg=variable.path)  # unclipped: 5e-2


@few_methods
def test_an_overflow_on_one_replica_is_known_to_all(run, two_replicas):
    keras.config.set_dtype_policy("mixed_float16")
    with two_replicas.scope():
        model = make(run.name, cases.for_players(run.name, lambda: scaled(1.0)))
        part_teacher_from_student(model)
    watched = [*model.trainable_variables, *moving(model)]
    before = [v.numpy() for v in watched]

    def objective(*inputs):  # finite on the first replica, infinite on the second
        # straight from a weight: through synchronized batch norm or gathered negatives both replicas would see it
        added = ops.mean(ops.cast(model.trainable_variables[0], "float32"))
        outputs = type(model).objective(model, *inputs)
        outputs = outputs if isinstance(outputs, dict) else {"loss": outputs}
        broken = ops.where(keras_ssl.distribute.replica() == 1, np.float32(np.inf), 0.0)
        return outputs | {"loss": keras.tree.map_structure(lambda loss: loss + added * broken, outputs["loss"])}

    model.objective = objective
    model.fit(cases.dataset(run.batches[:1]), verbose=0)
    assert model.optimizer.iterations.numpy() == 0
    assert_still(watched, before)


def test_a_last_batch_that_is_smaller_trains(run):
    model = run.eager()
    columns = cases.columns(run.name, 2 * BATCH - 3)
    losses = train(model, [keras.tree.map_structure(lambda x: x[part], columns) for part in np.split(ROWS, [BATCH])])
    assert np.isfinite(losses).all()


ROWS = np.arange(2 * BATCH - 3)


def test_views_made_by_the_pipeline_are_those_of_the_model(run):
    batch = next(iter(cases.pipeline(run.name)))
    alike = total(run.eager()(batch, training=True))
    expected = total(run.eager()(run.batches[0], training=True))
    assert float(alike) == pytest.approx(float(expected), rel=1e-3, abs=1e-4)


@few_methods
def test_views_made_by_the_pipeline_train_alike(run):
    """The only steps that are compiled with the augmentation inside."""
    model, states = make(run.name), run.straight.states
    model.fit(cases.pipeline(run.name), verbose=0)
    for key, variable in zip(state(model), model.variables):
        if variable.trainable:
            np.testing.assert_allclose(variable, states[1][key], rtol=1e-3, atol=1e-4, err_msg=variable.path)
    batch = next(iter(keras_ssl.data.views(cases.pipeline(run.name), run.case.views())))
    for found, expected in zip(keras.tree.flatten(batch["views"]), keras.tree.flatten(run.batches[0]["views"])):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


@few_methods
def test_wrong_encoders_are_refused(run):
    method, options = type(run.eager()), cases.options(run.name)
    with pytest.raises(ValueError, match="not built"):
        method(keras.Sequential([keras.layers.Dense(3)]), **options)
    with pytest.raises(ValueError, match="features of shape"):
        method(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]), **options)
    with pytest.raises(ValueError, match="must be a keras.Model"):
        method("resnet18", **options)
    with pytest.raises(ValueError, match="must hold the views"):
        method(run.case.encoder(), **options)(run.case.samples(2), training=True)
