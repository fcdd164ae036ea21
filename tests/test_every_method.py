"""What every method must do. A new method is tested by one line in `METHODS`."""

import functools
import inspect
import tempfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl.augment.image import patches, recipes

# How to make each public method small. Every method of the package must be listed here.
METHODS = {
    "SimCLR": {"hidden": 16, "dim": 8, "temperature": 0.5},
    "SimCLRv2": {"hidden": 16, "dim": 8, "temperature": 0.5, "queue_size": 20, "momentum": 0.9},
    "MoCoV1": {"dim": 8, "queue_size": 20, "momentum": 0.9},
    "MoCoV2": {"hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "symmetric": True},
    "MoCoV3": {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20},
    "SupCon": {"hidden": 16, "dim": 8, "classes": 3},
    "DecoupledContrastive": {"hidden": 16, "dim": 8, "temperature": 0.5, "weighted": True},
    "DebiasedContrastive": {"hidden": 16, "dim": 8, "tau_plus": 0.1},
    "HardNegativeContrastive": {"hidden": 16, "dim": 8, "tau_plus": 0.1, "beta": 1.0, "steps": 6},
    "FlatNCE": {"hidden": 16, "dim": 8, "temperature": 0.5},
    "AlignUniform": {"dim": 8},
    "InvaSpread": {"dim": 8, "temperature": 0.5},
    "InstDisc": {"samples": 32, "dim": 8, "negatives": 5, "temperature": 0.5, "proximal": 0.1},
    "PIRL": {"samples": 32, "dim": 8, "negatives": 5, "temperature": 0.5},
    "CMC": {"samples": 32, "dim": 8, "negatives": 5, "temperature": 0.5},
    "CLIP": {"dim": 8, "text_encoder": lambda: keras_ssl.encoders.text_transformer(12, 6, 8, depth=1, heads=2)},
    "NNCLR": {"projector_hidden": 48, "hidden": 48, "dim": 8, "queue_size": 20, "temperature": 0.5},
    "PCL": {
        "hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "samples": 32, "clusters": (4, 6), "negatives": 2,
    },
    "MoCHi": {
        "hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "hardest": 6, "mixtures": 5, "query_mixtures": 3,
        "warmup": 2,
    },
    "IMix": {"hidden": 16, "dim": 8, "input_mix": 2},
    "IMixMoCo": {
        "hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "symmetric": True, "cutmix": True, "head_norm": True,
    },
    "SwAV": {"hidden": 16, "dim": 8, "prototype_count": 6, "temperature": 0.5, "queue_size": 20, "queue_start": 1},
    "BYOL": {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20},
    "IMixBYOL": {"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20},
    "SimSiam": {"hidden": 16, "dim": 8, "depth": 2, "predictor_hidden": 16},
    "DINO": {
        "hidden": 16, "bottleneck": 8, "dim": 12, "temperature": 0.5, "teacher_temperature": 0.4,
        "warmup_temperature": 0.2, "warmup": 6, "momentum": 0.9, "steps": 20,
    },
    "IBOT": {
        "hidden": 16, "bottleneck": 8, "dim": 12, "grid": 3, "masked_views": 0.8, "temperature": 0.5,
        "teacher_temperature": 0.4, "warmup_temperature": 0.2, "warmup": 6, "momentum": 0.9, "steps": 20,
    },
    "MSN": {
        "hidden": 16, "dim": 8, "prototype_count": 6, "temperature": 0.5, "drop": 0.3, "momentum": 0.9, "steps": 20,
    },
    "MP3": {"ratio": 0.5},
    "QBHeat": {"size": 12, "width": 8, "depth": 1, "heads": 2},
    "BarlowTwins": {"hidden": 16, "dim": 8},
    "VICReg": {"hidden": 16, "dim": 8, "invariance_weight": 1.0, "variance_weight": 1.0, "covariance_weight": 0.04},
    "WMSE": {"hidden": 16, "dim": 2, "sub_batch": 8},
    "MAE": {"width": 16, "depth": 1, "heads": 2},
    "ConvMAE": {"width": 16, "depth": 1, "heads": 2},
    "LocalMIM": {"taps": (1, 2), "scales": (2, 1 / 3), "width": 16, "heads": 2},
    "DeepMIM": {"width": 16, "depth": 1, "heads": 2},
    "SimMIM": {"unit": 4},
    "BEiT": {
        "tokenizer": lambda: keras_ssl.DiscreteVAE(stride=4, vocabulary=12, dim=6, width=8, blocks=0),
    },
}
# What a method needs other than the usual: its views, an encoder other than the small convolutional one, and weights
# that training may leave alone (the ends of their paths).
VIEWS = {
    "InstDisc": lambda size: keras_ssl.augment.moco_v1(size, count=1),
    "PIRL": lambda size: keras_ssl.augment.Views([keras_ssl.augment.RandomResizedCrop(size), jigsaw(size)]),
    "CMC": recipes.cmc,
    "SwAV": lambda size: crops(size, size, 8, 8),
    "DINO": lambda size: crops(size, size, 8, 8),
    "IBOT": lambda size: crops(size, size, 8, 8),
    "MP3": lambda size: crops(size),
    "QBHeat": lambda size: crops(size),
    "MSN": lambda size: crops(size, size, 8, 8),
    "CLIP": lambda size: keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(size), 1),
    "MAE": recipes.mae,
    "ConvMAE": recipes.mae,
    "LocalMIM": recipes.mae,
    "DeepMIM": recipes.mae,
    "SimMIM": recipes.simmim,
    "BEiT": lambda size: recipes.beit(size, size),
}
ENCODERS = {
    "PIRL": lambda: small_encoder(size=None, padding="same"),
    "SwAV": lambda: small_encoder(size=None),
    "DINO": lambda: small_vit(),
    "IBOT": lambda: small_vit(),
    "MP3": lambda: vit_without_positions(),
    "QBHeat": lambda: small_encoder(size=None, padding="same"),
    "MSN": lambda: small_vit(),
    "CMC": lambda: [small_encoder(channels=1), small_encoder(channels=2)],
    "MAE": lambda: small_vit((SIZE, SIZE, 3)),
    "LocalMIM": lambda: small_vit((SIZE, SIZE, 3)),
    "DeepMIM": lambda: small_vit((SIZE, SIZE, 3)),
    "ConvMAE": lambda: keras_ssl.encoders.conv_vit(
        (SIZE, SIZE, 3), (1, 2, 2), width=(4, 8, 16), depth=(1, 1, 1), heads=2
    ),
    "SimMIM": lambda: small_vit((SIZE, SIZE, 3)),
    "BEiT": lambda: small_vit((SIZE, SIZE, 3)),
}
STILL = {
    "PCL": ("assignments", "prototypes", "concentrations", "clustered"),  # its callback moves them
    "BEiT": (  # its tokenizer is trained before
        "/usage", "/step", "codebook/kernel",
        *(f"{layer}/{weight}" for layer in ("down1", "down2", "logits", "start", "up1", "up2", "pixels")
          for weight in ("kernel", "bias")),
    ),
}
SIZE, BATCH, STEPS = 12, 8, 4

# One process tests all of a method: its tests share the run of `straight`.
every_method = pytest.mark.parametrize("name", [pytest.param(x, marks=pytest.mark.xdist_group(x)) for x in METHODS])


def small_encoder(seed=0, size=SIZE, channels=3, padding="valid"):
    images = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = keras.layers.Conv2D(8, 3, strides=2, padding=padding, use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=keras_ssl.distribute.replicas() > 1)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(16, 3, padding=padding)(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def small_vit(shape=(None, None, 3)):
    return keras_ssl.encoders.vit(shape, patch=4, width=16, depth=2, heads=2, grid=SIZE // 4)


def vit_without_positions():
    options = {"positions": None, "class_token": False, "pooling": "mean"}
    return keras_ssl.encoders.vit((SIZE, SIZE, 3), patch=4, width=16, depth=2, heads=2, **options)


def jigsaw(size):
    return keras_ssl.augment.View([patches.PatchGrid(3, size // 3), patches.ShufflePatches()])


def options(name):
    """The arguments of a method; what is a function makes a part of the model, a new one for each."""
    return {key: value() if inspect.isfunction(value) else value for key, value in METHODS[name].items()}


def views(name):
    return VIEWS[name](SIZE) if name in VIEWS else crops(SIZE, SIZE)


def crops(*sizes):
    """Views of few operations: the time of these tests is that of tracing."""
    layer = {size: keras_ssl.augment.RandomResizedCrop(size, (0.3, 1.0), flip=0.5) for size in set(sizes)}
    return keras_ssl.augment.Views([layer[size] for size in sizes])


def new(name, **changes):
    """The method, with other values of some of its arguments."""
    model = getattr(keras_ssl, name)(ENCODERS.get(name, small_encoder)(), views(name), **options(name) | changes)
    if name == "PCL":  # until its callback has, there is nothing to contrast
        model.keep_clusters([clusters(number, model.samples, model.dim) for number in model.clusters])
    return model


def clusters(count, samples, dim):
    """Random prototypes, assignments and concentrations, the same for all models."""
    draw = np.random.default_rng(count)
    prototypes = draw.normal(size=(count, dim))
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    return prototypes, draw.integers(0, count, samples), draw.uniform(0.3, 0.6, count)


def make(name, optimizer=None, seed=0, **compile):
    keras.utils.set_random_seed(seed)
    model = new(name)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.05, momentum=0.9), **compile)
    return model


class Straight(NamedTuple):
    states: list  # at the start and after each epoch
    losses: list  # of each epoch
    first_loss: float  # of the first step
    saved: bytes  # the file after the first epoch
    config: dict


@functools.cache
def straight(name):
    """A run of three epochs."""
    model = make(name)
    states, steps, files = [state(model)], [], []

    def end_epoch(epoch, logs):
        states.append(state(model))
        if epoch == 0:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "run.keras")
                model.save(file)
                files.append(file.read_bytes())

    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=end_epoch, on_train_batch_end=lambda batch, logs: steps.append(logs["loss"])
    )
    losses = model.fit(pipeline(), epochs=3, callbacks=[keep], verbose=0).history["loss"]
    assert int(model.optimizer.iterations) == 3 * STEPS
    return Straight(states, losses, steps[0], files[0], model.get_config())


def images(count=BATCH * STEPS):
    """Smooth random images, so that crops of one image are alike."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), "uint8")
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)


def columns(count):
    return {"image": images(count), "label": np.arange(count) % 3, "index": np.arange(count), "text": texts(count)}


def texts(count=BATCH * STEPS):
    """A few different token ids for each image."""
    return np.random.default_rng(0).integers(0, 12, (count, 6)).astype("int32")


def pipeline(**options):
    labels = np.arange(BATCH * STEPS) % 3
    made = keras_ssl.data.arrays(images(), BATCH, seed=1, labels=labels, index=True, **options)
    return made.map(lambda batch: {**batch, "text": tf.gather(texts(), batch["index"])})


def state(model):
    """Everything a run is made of, by a name that another instance shares: weights, optimizer, random state."""
    values = {f"model/{i}/{v.path.split('/')[-1]}": v.numpy() for i, v in enumerate(model.variables)}
    return values | {f"optimizer/{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)}


def as_lists(config):
    """The config as a file gives it back: Keras writes lists for tuples."""
    if isinstance(config, dict):
        return {key: as_lists(value) for key, value in config.items()}
    return [as_lists(value) for value in config] if isinstance(config, (list, tuple)) else config


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
    others = {id(v) for v in [*model.metrics_variables, model.step]}  # the base moves its own counter
    return [v for v in kept if id(v) not in others]


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
def test_a_run_that_diverged_is_seen_in_its_loss(name):
    model = make(name)
    for weight in model.encoder.trainable_variables:
        weight.assign(weight * np.nan)
    batch = next(iter(pipeline()))
    if name == "WMSE":  # it cannot even be computed
        with pytest.raises(ValueError, match="cannot be whitened"):
            model(batch, training=True)
    else:
        assert not np.isfinite(model(batch, training=True)["loss"])


@every_method
def test_training_moves_what_it_should(name):
    states, losses = straight(name)[:2]
    assert np.isfinite(losses).all()
    start = {key: value for key, value in states[0].items() if key.startswith("model/")}
    paths = [variable.path for variable in make(name).variables]
    still = [paths[int(key.split("/")[1])] for key, value in start.items() if np.array_equal(value, states[2][key])]
    allowed = ("seed_generator_state", "pointer", "/total", "/count", *STILL.get(name, ()))
    allowed = [path for path in still if path.endswith(allowed)]
    assert still == allowed


@every_method
def test_the_hook_alone_moves_the_frozen_state(name):
    model = make(name, run_eagerly=True)
    model.after_step = lambda outputs: None
    before = [v.numpy() for v in moving(model)]
    for batch in pipeline().take(2):
        model.train_on_batch(batch)
    for variable, value in zip(moving(model), before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


@every_method
def test_predict_is_the_encoder(name):
    model = make(name)
    expected = model.evaluated_encoder.predict(images(), verbose=0)
    np.testing.assert_allclose(model.predict(images(), batch_size=BATCH, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(pipeline(shuffle=False), verbose=0), expected, atol=1e-5)


@every_method
def test_resumed_run_equals_the_uninterrupted(name, tmp_path):
    run = straight(name)
    (tmp_path / "run.keras").write_bytes(run.saved)
    second = keras_ssl.load(tmp_path / "run.keras")
    assert_same(run.states[1], state(second))
    for key, value in run.config.items():
        assert as_lists(second.get_config()[key]) == as_lists(value)
    second.fit(pipeline(epoch=1), epochs=2, verbose=0)
    assert_same(run.states[3], state(second))


@every_method
def test_another_seed_starts_elsewhere(name):
    states = straight(name).states
    assert_same(states[0], state(make(name)))  # the same seed, the same start
    other = state(make(name, seed=1))
    kernels = [key for key in other if key.endswith("/kernel")]
    assert kernels and not any(np.array_equal(states[0][key], other[key]) for key in kernels)


@every_method
def test_eager_equals_graph_equals_xla(name):
    graph, eager, compiled = make(name), make(name, run_eagerly=True), make(name, jit_compile=True)
    if hasattr(graph, "shuffle"):  # the compiled random numbers of the order are others; the keys are the same
        eager.shuffle = graph.shuffle = compiled.shuffle = False
        loss = graph.fit(pipeline(), verbose=0).history["loss"]
        expected, first = state(graph) | {"loss": loss}, None
    else:
        run = straight(name)
        expected, first = run.states[1] | {"loss": run.losses[:1]}, run.first_loss
    loss = compiled.fit(pipeline(), verbose=0).history["loss"]
    found = state(compiled) | {"loss": loss}
    kept = [key for key in expected if "seed_generator" not in key]
    assert_same({key: expected[key] for key in kept}, {key: found[key] for key in kept}, rtol=2e-3, atol=2e-4)
    if first is not None:
        found = eager.train_on_batch(next(iter(pipeline())), return_dict=True)["loss"]
        assert found == pytest.approx(first, rel=2e-3, abs=2e-4)


@every_method
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(name, policy):
    expected, steps = straight(name).first_loss, []
    keras.config.set_dtype_policy(policy)
    model = make(name)
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(logs["loss"]))
    model.fit(pipeline(), callbacks=[keep], verbose=0)
    assert steps[0] == pytest.approx(expected, rel=0.03, abs=0.005)
    assert np.isfinite(steps).all()
    assert {v.dtype for v in model.variables if "float" in v.dtype} == {"float32"}


@every_method
def test_an_overflow_moves_nothing(name):
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=2.0**40)
    model = make(name, optimizer, run_eagerly=True)
    part_teacher_from_student(model)
    watched = [*model.trainable_variables, *moving(model)]
    before = [v.numpy() for v in watched]
    model.train_on_batch(next(iter(pipeline())))
    assert int(optimizer.iterations) == 0 and float(optimizer.dynamic_scale) == 2.0**39
    for variable, value in zip(watched, before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


@every_method
def test_gradient_accumulation_moves_the_teacher_once_an_update(name):
    model = make(name, keras.optimizers.SGD(0.05, gradient_accumulation_steps=2), run_eagerly=True)
    part_teacher_from_student(model)
    batches = list(pipeline())
    before = [v.numpy() for v in moving(model)]
    model.train_on_batch(batches[0])
    for variable, value in zip(moving(model), before):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    model.train_on_batch(batches[1])
    assert int(model.optimizer.iterations) == 1
    for variable, value in zip(moving(model), before):
        still = variable.path.endswith(("pointer", *STILL.get(name, ())))
        assert still or not np.array_equal(variable.numpy(), value), variable.path


@every_method
def test_one_replica_equals_two(name, two_replicas):
    states, losses = straight(name)[:2]
    with two_replicas.scope():
        model = make(name)
    found = model.fit(pipeline(), verbose=0).history["loss"]
    # 1e-4 of float32 noise after four steps; negatives of the own replica only differ by more than 1e-2
    assert_same(
        states[1] | {"losses": np.array(losses[:1])}, state(model) | {"losses": np.array(found)}, rtol=1e-3, atol=1e-4
    )
    for variable in [*model.trainable_variables, *moving(model)]:
        first, second = (x.numpy() for x in two_replicas.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second, err_msg=variable.path)


# What gathers is in `distribute`; these are the ways of using it.
@pytest.mark.parametrize(
    "name",
    ["SimCLR", "SimCLRv2", "MoCoV2", "SupCon", "InstDisc", "CLIP", "NNCLR", "SwAV", "BYOL", "DINO", "MSN", "MAE", "MP3",
     "BEiT", "BarlowTwins", "VICReg", "WMSE", "AlignUniform"],
)  # fmt: skip
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


# What skips a step is the base class; these have the kinds of state that it must leave alone.
@pytest.mark.parametrize("name", ["SimCLR", "MoCoV2", "InstDisc", "SwAV", "BYOL", "DINO"])
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
    model = make(name, run_eagerly=True)
    history = model.fit(columns(2 * BATCH - 3), batch_size=BATCH, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@every_method
def test_views_made_by_the_pipeline_train_alike(name):
    states = straight(name).states
    model = make(name)
    model.augment = None
    model.fit(keras_ssl.data.views(pipeline(), views(name)), verbose=0)
    for key, variable in zip(state(model), model.variables):
        if variable.trainable:
            np.testing.assert_allclose(variable, states[1][key], rtol=1e-3, atol=1e-4, err_msg=variable.path)


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
        method(ENCODERS.get(name, small_encoder)(), **options(name))({"image": images()}, training=True)
