"""MoCo v3: arXiv 2104.02057."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import encoders, losses
from tests import cases
from tests.reference import moco_v3 as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

CASE = cases.Case({"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20})


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def encoder(**options):
    return encoders.vit((8, 8, 3), 4, **{"width": 8, "depth": 1, "heads": 2} | options)


def make(optimizer=None, run_eagerly=True, network={}, **options):
    keras.utils.set_random_seed(0)
    model = keras_ssl.MoCoV3(encoder(**network), **{"hidden": 12, "dim": 5, "momentum": 0.9} | options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.2), run_eagerly=run_eagerly)
    return model


def view(seed=0, batch=6):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 8, 8, 3)).astype("float32")


def train(model, *views):
    return float(model.train_on_batch({"views": views}))


def loss_of(model, *views):
    return float(model({"views": views}, training=True)["loss"])


# The loss


@pytest.mark.parametrize("batch, dim, temperature", [(2, 3, 1.0), (5, 4, 0.2), (8, 16, 0.1)])
def test_info_nce_in_batch(batch, dim, temperature):
    q, k = vectors(batch, dim), vectors(batch, dim, seed=1)
    queries, keys = tf.constant(q, "float32"), tf.constant(k, "float32")
    with tf.GradientTape() as tape:
        tape.watch((queries, keys))
        value = losses.info_nce_in_batch(queries, keys, temperature)
    slope, of_keys = tape.gradient(value, (queries, keys))
    assert float(value) == pytest.approx(reference.info_nce_in_batch(q, k, temperature), rel=1e-5)
    np.testing.assert_allclose(slope, gradient(lambda x: reference.info_nce_in_batch(x, k, temperature), q), atol=1e-5)
    assert of_keys is None


def test_info_nce_in_batch_of_equal_keys_is_log_of_their_number():
    q = vectors(7, 4)
    assert float(losses.info_nce_in_batch(q, np.ones((7, 4)), 0.5)) == pytest.approx(np.log(7), rel=1e-6)
    half = ops.cast(q, "float16")
    assert losses.info_nce_in_batch(half, half).dtype == "float32"


def test_info_nce_in_batch_of_two_replicas_is_that_of_the_whole_batch(two_replicas):
    q, k = (vectors(6, 5, seed=seed).astype("float32") for seed in (0, 1))

    def value_and_slope(queries, keys):
        with tf.GradientTape() as tape:
            tape.watch(queries)
            loss = losses.info_nce_in_batch(queries, keys, 0.2) / keras_ssl.distribute.replicas()
        return loss, tape.gradient(loss, queries)

    loss, slope = value_and_slope(tf.constant(q), tf.constant(k))
    (one, first), (two, second) = on_replicas(two_replicas, value_and_slope, q, k)
    assert one != two and one + two == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(np.concatenate([first, second]), slope, atol=1e-6)


# The method


def test_the_loss_is_the_papers_and_symmetric():
    model = make()
    train(model, view(0), view(1))  # query and key encoder differ from here on
    views = view(2), view(3)
    queries = [model.predictor(model.query_encoder(x, training=True), training=True).numpy() for x in views]
    keys = [model.key_encoder(x, training=True).numpy() for x in views]
    expected = sum(reference.info_nce_in_batch(q, k, 0.2) for q, k in zip(queries, reversed(keys)))
    assert loss_of(model, *views) == pytest.approx(expected, rel=1e-4)
    assert loss_of(model, *reversed(views)) == pytest.approx(expected, rel=1e-4)


def test_the_patch_projection_stays_and_all_else_moves():
    model = make(keras.optimizers.AdamW(0.01))
    networks = model.query_encoder, model.predictor, model.key_encoder
    start = [(v, v.numpy()) for network in networks for v in network.weights]
    for step in range(3):
        train(model, view(2 * step), view(2 * step + 1))
    for variable, value in start:
        assert np.array_equal(variable, value) == ("patches" in variable.path), variable.path
    student, twin = (m.get_layer("vit").get_layer("patches") for m in (model.query_encoder, model.key_encoder))
    np.testing.assert_array_equal(student.kernel, twin.kernel)
    assert student is model.encoder.get_layer("patches") and twin is not student

    model = make(freeze_patches=False)
    kernel = model.encoder.get_layer("patches").kernel.numpy()
    train(model, view(0), view(1))
    assert np.abs(model.encoder.get_layer("patches").kernel - kernel).max() > 0


def test_the_momentum_follows_the_cosine_of_the_step_to_come():
    model = make(momentum=0.6, steps=4)
    trained = {id(v) for v in model.query_encoder.trainable_variables}

    def pairs():
        both = zip(model.key_encoder.weights, model.query_encoder.weights)
        return [(slow.numpy(), fast.numpy()) for slow, fast in both if id(fast) in trained]

    expected = [slow.astype("float64") for slow, _ in pairs()]
    for k in range(5):  # beyond the end, too
        train(model, view(2 * k), view(2 * k + 1))
        m = reference.momentum(0.6, k + 1, 4)
        now = pairs()
        expected = [m * old + (1 - m) * fast for old, (_, fast) in zip(expected, now)]
        for value, (slow, _) in zip(expected, now):
            np.testing.assert_allclose(slow, value, atol=1e-6, err_msg=f"step {k}")
    assert reference.momentum(0.6, 4, 4) == 1


def test_keys_have_no_predictor_and_no_gradient():
    model = make()
    assert [v.shape for v in model.key_encoder.weights] == [v.shape for v in model.query_encoder.weights]
    frozen = [v.value for v in model.key_encoder.weights]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        loss = model({"views": [view(0), view(1)]}, training=True)["loss"]
    assert tape.gradient(loss, frozen) == [None] * len(frozen)


def test_heads_are_the_authors():
    def layers(head):
        return [type(layer).__name__ for layer in head.layers]

    hidden, norm = ["Dense", "BatchNormalization", "ReLU"], ["BatchNormalization"]
    vit, resnet = keras_ssl.MoCoV3(encoder()), keras_ssl.MoCoV3(encoder(), depth=2, predictor_norm=False)
    projectors = [model.query_encoder.get_layer("projector") for model in (vit, resnet)]
    assert layers(projectors[0]) == hidden * 2 + ["Dense"] + norm
    assert layers(projectors[1]) == hidden + ["Dense"] + norm
    assert layers(vit.predictor) == hidden + ["Dense"] + norm and layers(resnet.predictor) == hidden + ["Dense"]
    assert [layer.units for layer in projectors[0].layers if hasattr(layer, "units")] == [4096, 4096, 256]
    assert [layer.units for layer in vit.predictor.layers if hasattr(layer, "units")] == [4096, 256]
    for head in (*projectors, vit.predictor, resnet.predictor):
        for layer in head.layers:
            assert not getattr(layer, "use_bias", False)
    for head in (*projectors, vit.predictor):
        assert not head.layers[-1].center and not head.layers[-1].scale and head.layers[1].center


def test_a_vit_trains_compiled_and_resumes(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = {"depth": 2, "drop_path": 0.2}
    model = make(keras.optimizers.AdamW(0.003), run_eagerly=False, network=network, steps=20)
    x = view(batch=8)
    first = [train(model, x, x) for _ in range(12)]
    assert np.isfinite(first).all() and first[-1] < first[0]
    model.save(tmp_path / "run.keras")
    again = keras_ssl.load(tmp_path / "run.keras")
    assert not again.encoder.get_layer("patches").trainable
    # the next step draws the same paths, and moves the same
    assert train(again, x, x) == pytest.approx(train(model, x, x), rel=1e-5)
    for v, w in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-5, atol=1e-6, err_msg=v.path)


def test_a_vit_on_two_replicas_equals_one(two_replicas):
    found = []
    data = tf.data.Dataset.from_tensor_slices({"views": (view(0, 16), view(1, 16))}).batch(8)
    for scope in (contextlib.nullcontext(), two_replicas.scope()):
        # A small step: the gradient of the class token, which starts near 0 before a layer normalization, is large.
        with scope:
            model = make(keras.optimizers.SGD(1e-3), run_eagerly=False, steps=4)
        found.append([*model.fit(data, epochs=2, verbose=0).history["loss"], *model.get_weights()])
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4)
