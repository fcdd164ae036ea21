"""Fine-tuning: the papers' factors by hand, their steps in NumPy, drop path put in, and digits learned."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_ssl import augment, encoders, optimizers
from keras_ssl import eval as evaluation
from keras_ssl.eval import fine_tuning
from tests import cases
from tests.reference import optimizers as reference

# Keras's own saving meets NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

rng = np.random.default_rng


def small_vit(depth=2, **options):
    return encoders.vit((8, 8, 1), 4, width=16, depth=depth, heads=2, **options)


def small_swin(**options):
    return encoders.swin((16, 16, 3), patch=2, width=8, depths=(1, 2), heads=(1, 2), window=4, **options)


def small_conv_vit(**options):
    return encoders.conv_vit((16, 16, 3), (1, 2, 2), width=(8, 8, 16), depth=(1, 1, 2), heads=2, **options)


def with_head(encoder):
    return keras.Sequential([encoder, keras.layers.Dense(3, name="head")])


def plain():
    """A model of unknown names, 3 layers with kernels and a normalization before and behind the first."""
    parts = ["BatchNormalization", "Dense", "BatchNormalization", "Dense", "Dense"]
    units = lambda kind: {"units": 4} if kind == "Dense" else {}
    return keras.Sequential([keras.Input((4,)), *[getattr(keras.layers, kind)(**units(kind)) for kind in parts]])


# Layer decay


def factors(model, decay=0.5):
    """Factors by layer; one number a layer."""
    found = {}
    for v, factor in zip(model.trainable_variables, optimizers.layer_decay(model, decay), strict=True):
        assert found.setdefault(v.path.split("/")[-2], factor) == factor
    return found


@pytest.mark.parametrize("make, expected", [
    (lambda: small_vit(positions="learned"), {
        "patches": 1 / 8, "table": 1 / 8, "class_token": 1 / 8, "block1_norm1": 1 / 4, "block1_output": 1 / 4,
        "block2_query": 1 / 2, "block2_projection": 1 / 2, "norm": 1.0, "head": 1.0,
    }),
    (lambda: encoders.resnet18((8, 8, 3), width=2), {
        "stem_conv": 1 / 32, "stem_bn": 1 / 32, "stage1_block1_conv1": 1 / 16, "stage1_block2_bn2": 1 / 16,
        "stage2_block1_shortcut_conv": 1 / 8, "stage3_block1_conv1": 1 / 4, "stage4_block1_shortcut_bn": 1 / 2,
        "stage4_block2_bn2": 1 / 2, "head": 1.0,
    }),
    (small_swin, {
        "patches_projection": 1 / 16, "patches": 1 / 16, "stage1_block1_table": 1 / 8, "stage2_merge_norm": 1 / 8,
        "stage2_merge": 1 / 8, "stage2_block1_norm1": 1 / 4, "stage2_block2_output": 1 / 2, "norm": 1.0, "head": 1.0,
    }),
    (small_conv_vit, {
        "stage1_patches": 1 / 8, "stage2_block1_output": 1 / 8, "stage1_early": 1 / 8, "projection": 1 / 8,
        "block1_query": 1 / 4, "block2_output": 1 / 2, "fused_norm": 1.0, "head": 1.0,
    }),
], ids=["vit", "resnet", "swin", "conv_vit"])
def test_factors_by_hand(make, expected):
    encoder = make()
    alone, model = factors(encoder), factors(with_head(encoder))
    assert expected.items() <= model.items()
    assert model == alone | {"head": 1.0}
    assert set(optimizers.layer_decay(encoder, 1)) == {1.0}


def test_factors_of_the_papers_vit_b():
    """Blocks of 0.75 ** 12 to 0.75, what is before them 0.75 ** 13."""
    found = factors(small_vit(depth=12), 0.75)
    for block in range(1, 13):
        assert found[f"block{block}_query"] == pytest.approx(0.75 ** (13 - block))
    assert found["patches"] == pytest.approx(0.023757264)


def test_factors_of_other_models_follow_the_order_of_the_layers():
    assert optimizers.layer_decay(plain(), 0.5) == [0.25] * 6 + [0.5] * 2 + [1.0] * 2
    deep = keras.Sequential([keras.Input((2,)), *[keras.layers.Dense(2, use_bias=False) for _ in range(27)]])
    assert optimizers.layer_decay(deep, 0.5) == [0.5 ** (13 - i // 2) for i in range(27)]  # 13 groups of two, the last


def test_frozen_layers_have_no_factor():
    encoder = small_vit()
    encoders.freeze_patches(encoder)
    found = factors(encoder)
    assert "patches" not in found and found["class_token"] == 1 / 8 and found["norm"] == 1
    with pytest.raises(ValueError, match="one factor for each trainable variable"):
        optimizers.AdamW(0.1, rates=optimizers.layer_decay(encoder, 0.5)).build(small_vit().trainable_variables)


@pytest.mark.parametrize("call, error, match", [
    (lambda: optimizers.layer_decay("vit", 0.5), TypeError, "built keras.Model"),
    (lambda: optimizers.layer_decay(small_vit(), 0), ValueError, "decay=0"),
    (lambda: optimizers.layer_decay(small_vit(), 1.1), ValueError, "decay=1.1"),
    (lambda: optimizers.layer_decay(keras.Sequential([keras.layers.Dense(2)]), 0.5), ValueError, "no trainable"),
    (lambda: optimizers.AdamW(0.1, rates=0.5), ValueError, "rates=0.5"),
    (lambda: optimizers.AdamW(0.1, rates=[1.0, -1.0]), ValueError, r"rates\[1\]=-1.0"),
    (lambda: encoders.with_drop_path(small_vit(), 1.0), ValueError, "drop_path=1.0"),
    (lambda: encoders.with_drop_path(encoders.resnet18((8, 8, 3), width=2), 0.1), ValueError, "vit, swin or conv_vit"),
])
def test_errors_of_the_parts(call, error, match):
    with pytest.raises(error, match=match):
        call()


# The optimizer


@pytest.mark.parametrize("mode", ["eager", "xla"])
def test_steps_equal_the_loop_with_a_rate_for_each_layer(mode):
    model = with_head(small_vit())
    variables, rates = model.trainable_variables, optimizers.layer_decay(model, 0.5)
    schedule = optimizers.warmup_cosine(0.1, 6, 2)
    optimizer = optimizers.AdamW(schedule, 0.3, rates=rates, exclude="class_token/")
    optimizer.build(variables)
    step = lambda *gradients: optimizer.apply(list(gradients), variables)
    step = tf.function(step, jit_compile=True) if mode == "xla" else step
    gradients = [[rng(100 * t + i).normal(size=v.shape) for i, v in enumerate(variables)] for t in range(4)]
    before = [v.numpy().astype("float64") for v in variables]
    for now in gradients:
        step(*[tf.constant(g, "float32") for g in now])
    for i, (v, w, rate) in enumerate(zip(variables, before, rates, strict=True)):
        excluded = w.ndim <= 1 or "class_token" in v.path
        scaled = [rate * float(schedule(t)) for t in range(4)]
        loop = reference.adamw([w], lambda t, _: [gradients[t][i]], [excluded], scaled, [0.3] * 4)
        np.testing.assert_allclose(v.numpy(), loop[-1][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_rates_survive_a_file(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = plain()
    rates = optimizers.layer_decay(model, 0.5)
    model.compile(optimizers.AdamW(optimizers.warmup_cosine(0.1, 9), 0.1, rates=tuple(rates)), "mse", run_eagerly=True)
    x, y = rng(0).normal(size=(2, 8, 4)).astype("float32")
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inner = getattr(again.optimizer, "inner_optimizer", again.optimizer)
    assert inner.rates == rates
    for each in (model, again):
        each.train_on_batch(x, y)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# Drop path


def dropped(model):
    return {x.name: x for x in model._flatten_layers() if "drop_path" in x.name}


def rates_of(model):
    return {name: (layer.rate, tuple(layer.noise_shape)) for name, layer in dropped(model).items()}


@pytest.mark.parametrize("make", [small_vit, small_swin, small_conv_vit])
def test_drop_path_is_that_of_an_encoder_built_with_it(make):
    encoder, built = make(), make(drop_path=0.4)
    copy = encoders.with_drop_path(encoder, 0.4)
    images = rng(0).integers(0, 256, (16, *encoder.input_shape[1:]), "uint8")
    expected = encoder(images).numpy()
    np.testing.assert_array_equal(copy(images).numpy(), expected)
    assert rates_of(copy) == rates_of(built) and rates_of(copy)
    built.set_weights(encoder.get_weights())
    for name, layer in dropped(built).items():
        layer.seed_generator.state.assign(dropped(copy)[name].seed_generator.state)
    found = copy(images, training=True).numpy()
    np.testing.assert_allclose(found, built(images, training=True).numpy(), rtol=1e-4, atol=1e-5)
    assert np.abs(found - expected).max() > 0.01
    assert rates_of(encoders.with_drop_path(copy, 0.2)) == rates_of(make(drop_path=0.2))
    np.testing.assert_array_equal(encoders.with_drop_path(copy, 0)(images, training=True).numpy(), expected)


# Fine-tuning


def digits():
    x, y = load_digits(return_X_y=True)
    return (x * 15.9).astype("uint8").reshape(-1, 8, 8, 1), y.astype("int32")


def test_digits_are_learned_and_the_encoder_is_left_alone():
    x, y = digits()
    encoder = small_vit(depth=1, pooling="mean")
    encoders.freeze_patches(encoder)
    before = encoder.get_weights()
    train = tf.data.Dataset.from_tensor_slices({"image": x[:800], "label": y[:800]}).batch(100)
    score, model = evaluation.fine_tune(
        encoder, train, (x[1200:], y[1200:]), epochs=20, batch_size=40, learning_rate=0.06, layer_decay=0.9,
        augment=False, return_model=True,
    )
    assert score.accuracy > 0.5 and score.n == 597 and score.name == "fine-tuning"
    for one, other in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(encoder.trainable_variables) == len(model.trainable_variables) - 4  # patches and head train too
    moved = [np.any(a != b) for a, b in zip(model.layers[0].get_weights(), before, strict=True)]
    assert all(moved)
    assert np.mean(np.argmax(model.predict(x[1200:], verbose=0), axis=1) == y[1200:]) == float(score)


def tuned(encoder, monkeypatch, **options):
    compile = fine_tuning.Augmented.compile  # 4 steps are not worth XLA
    monkeypatch.setattr(fine_tuning.Augmented, "compile", functools.partialmethod(compile, jit_compile=False))
    x, y = digits()
    return evaluation.fine_tune(
        encoder, (x[:60], y[:60]), (x[60:90], y[60:90]), epochs=2, batch_size=30, return_model=True, **options
    )[1]


def test_the_seed_decides(monkeypatch):
    parts = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(8), keras.layers.Dropout(0.5)]
    encoder = keras.Sequential([keras.Input((8, 8, 1)), *parts])
    found = []
    for number, seed in enumerate((0, 0, 1)):
        keras.utils.set_random_seed(number)
        found.append(np.concatenate([w.ravel() for w in tuned(encoder, monkeypatch, seed=seed).get_weights()]))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.any(found[0] != found[2])


def test_drop_path_is_put_in_and_acts(monkeypatch):
    model = tuned(small_vit(), monkeypatch, drop_path=0.5, augment=augment.RandomCrop(8, padding=1))
    assert rates_of(model) == rates_of(small_vit(drop_path=0.5))
    starts, draws = zip(*[layer.seed_generator.state.numpy() for layer in dropped(model).values()])
    assert draws == (4, 4) and len(set(starts)) == 2  # one draw a step, of two streams


def test_the_batches_are_a_pure_function_of_seed_and_number():
    labels = np.arange(10) % 3
    batches = fine_tuning.Batches({"image": np.arange(10)}, labels, 3, 4, seed=7)
    drawn = {number: batches[number] for number in (*range(12), 0, 5)}
    twin = fine_tuning.Batches({"image": np.arange(10)}, labels, 3, 4, seed=7)
    again = {number: twin[number] for number in (11, 5, 0)}
    for number, (inputs, targets) in again.items():
        for key in ("image", "seed"):
            np.testing.assert_array_equal(inputs[key], drawn[number][0][key])
        np.testing.assert_array_equal(targets, np.eye(3)[labels[inputs["image"]]])
    for epoch in range(4):
        images = np.concatenate([drawn[3 * epoch + step][0]["image"] for step in range(3)])
        assert len(set(images)) == 9  # nothing twice, the remainder is dropped
    assert len(batches) == 12 and len({tuple(d[0]["seed"][0]) for d in drawn.values()}) == 12


class Stubborn(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return self.layer(x)


@pytest.mark.parametrize("change, error, match", [
    ({"encoder": None}, TypeError, "keras.Model"),
    ({"encoder": "resnet"}, TypeError, "keras.Model"),
    ({"encoder": Stubborn}, TypeError, "trains a copy"),
    ({"encoder": lambda _: small_vit(pooling=None)}, ValueError, "pool its"),
    ({"encoder": lambda _: encoders.vit((12, 12, 1), 4, width=16, depth=1, heads=2)}, ValueError, "encoder takes"),
    ({"train": "unlabeled"}, ValueError, "train set has no labels"),
    ({"test": "unlabeled"}, ValueError, "test set has no labels"),
    ({"epochs": 0}, ValueError, "epochs=0"),
    ({"batch_size": 2.5}, ValueError, "batch_size=2.5"),
    ({"learning_rate": 0}, ValueError, "learning_rate=0"),
    ({"weight_decay": -1}, ValueError, "weight_decay=-1"),
    ({"layer_decay": 0}, ValueError, "layer_decay=0"),
    ({"warmup": 100}, ValueError, "warmup=100"),
    ({"label_smoothing": 1}, ValueError, "label_smoothing=1"),
    ({"drop_path": -0.1}, ValueError, "drop_path=-0.1"),
    ({"augment": "flip"}, TypeError, "Received: 'flip'"),
    ({"augment": augment.Views(augment.RandomFlip(), 2)}, ValueError, "one view of each image. Received: 2"),
    ({"augment": augment.RandomResizedCrop(4)}, ValueError, r"train images of shape \(4, 4, 1\)"),
])
def test_errors(change, error, match):
    x, y = digits()
    given = {"encoder": small_vit(depth=1), "train": (x[:20], y[:20]), "test": (x[:20], y[:20]), **change}
    given = {name: x[:20] if isinstance(value, str) and value == "unlabeled" else value
             for name, value in given.items()}
    if callable(given["encoder"]) and not isinstance(given["encoder"], keras.Model):
        given["encoder"] = given["encoder"](small_vit(depth=1))
    with pytest.raises(error, match=match):
        evaluation.fine_tune(**given)


def test_epochs_go_on_where_the_last_one_ended(monkeypatch):
    """Keras is told of epochs, so that it shows them; the batches are those of one run all the same."""
    asked, get = [], fine_tuning.Batches.__getitem__
    monkeypatch.setattr(
        fine_tuning.Batches, "__getitem__", lambda self, number: asked.append(number) or get(self, number)
    )
    images, labels = np.zeros((10, 12, 12, 3), "uint8"), np.arange(10) % 2
    evaluation.fine_tune(cases.small_encoder(size=12), (images, labels), (images, labels), epochs=3, batch_size=3)
    assert asked[-9:] == list(range(9))
