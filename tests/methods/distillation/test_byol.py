"""BYOL: arXiv 2006.07733."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.reference import losses as reference

CASE = cases.Case({"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20}, base=True)


def encoder():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.Flatten()(x))


def make(**options):
    model = keras_ssl.BYOL(encoder(), **{"hidden": 12, "dim": 5, "momentum": 0.9} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=True)
    return model


def view(seed=0, batch=6, low=0, high=255):
    return np.random.default_rng(seed).uniform(low, high, (batch, 8, 8, 3)).astype("float32")


def train(model, *views):
    return float(model.train_on_batch({"views": views}))


def loss_of(model, *views):
    return float(model({"views": views}, training=True)["loss"])


def moved_by_follow(model):
    """The target's weights beside the online ones that they follow."""
    return [(slow, fast) for slow, fast in zip(model.target.weights, model.online.weights) if "moving" not in fast.path]


def test_the_loss_is_the_papers():
    model = make()
    train(model, view(0), view(1))  # online and target differ from here on
    views = view(2), view(3)
    predictions = [model.predictor(model.online(x, training=True), training=True).numpy() for x in views]
    targets = [model.target(x, training=True).numpy() for x in views]
    expected = sum(reference.cosine_regression(p, z) for p, z in zip(predictions, reversed(targets)))
    assert loss_of(model, *views) == pytest.approx(expected, rel=1e-4)
    assert loss_of(model, *reversed(views)) == pytest.approx(expected, rel=1e-4)


def test_no_gradient_reaches_the_target():
    model = make()
    target, trained = [v.value for v in model.target.weights], [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(target + trained)
        loss = model({"views": [view(0), view(1)]}, training=True)["loss"]
    gradients = tape.gradient(loss, target + trained)
    assert gradients[: len(target)] == [None] * len(target)
    assert all(g is not None for g in gradients[len(target) :])
    assert not {id(v) for v in model.target.weights} & {id(v) for v in model.trainable_variables}


def test_the_target_is_the_online_network_without_the_predictor():
    model = make()
    assert [v.shape for v in model.target.weights] == [v.shape for v in model.online.weights]
    for first, second in zip(model.target.get_weights(), model.online.get_weights()):
        np.testing.assert_array_equal(first, second)
    others = {id(v) for v in (*model.target.weights, *model.online.weights)}
    assert not others & {id(v) for v in model.predictor.weights}
    for head, inputs in ((model.online.layers[-1], 3 * 3 * 6), (model.predictor, 5)):
        dense, norm, _, output = head.layers
        assert dense.kernel.shape == (inputs, 12) and dense.use_bias and norm.center and norm.scale
        assert output.kernel.shape == (12, 5) and not output.use_bias


def test_momentum_one_never_moves_the_target():
    model = make(momentum=1.0)
    before = [slow.numpy() for slow, _ in moved_by_follow(model)]
    for _ in range(2):
        train(model, view(0), view(1))
    for (slow, fast), value in zip(moved_by_follow(model), before):
        np.testing.assert_array_equal(slow, value)
        assert np.abs(fast.numpy() - value).max() > 0, fast.path


def test_momentum_zero_makes_the_target_the_stepped_online_network():
    model = make(momentum=0.0)
    before = [fast.numpy() for _, fast in moved_by_follow(model)]
    train(model, view(0), view(1))
    for (slow, fast), value in zip(moved_by_follow(model), before):
        np.testing.assert_allclose(slow, fast, atol=1e-6)
        assert np.abs(fast.numpy() - value).max() > 0, fast.path


def test_the_momentum_rises_along_the_cosine():
    model = make(momentum=0.6, steps=4)
    expected = [slow.numpy().astype("float64") for slow, _ in moved_by_follow(model)]
    for k in range(6):  # beyond the end, too
        train(model, view(2 * k), view(2 * k + 1))
        tau = 1 - (1 - 0.6) * (np.cos(np.pi * min(k / 4, 1)) + 1) / 2
        pairs = moved_by_follow(model)
        expected = [tau * old + (1 - tau) * fast.numpy() for old, (_, fast) in zip(expected, pairs)]
        for (slow, _), value in zip(pairs, expected):
            np.testing.assert_allclose(slow, value, atol=1e-6, err_msg=f"step {k}: {slow.path}")


def test_the_loss_runs_from_zero_to_eight():
    model = make()
    images = view()
    for scale, expected in ((3.0, 0.0), (0.1, 0.0), (-2.0, 8.0)):
        model.predictor = lambda x, training, scale=scale: scale * x
        assert loss_of(model, images, images) == pytest.approx(expected, abs=1e-5)


def test_the_target_has_batch_statistics_of_its_own():
    model = make(momentum=1.0)
    first, second = view(0, high=100), view(1, low=100)
    norms = [next(x for x in m.layers if hasattr(x, "moving_mean")) for m in (model.encoder, model.target.layers[1])]
    means = []
    for images in (first, second):
        inside = keras.Model(model.encoder.input, norms[0].input)
        means.append(np.asarray(inside(images)).mean(axis=(0, 1, 2)))
    train(model, first, second)
    online, target = (norm.moving_mean.numpy() for norm in norms)
    np.testing.assert_allclose(online, 0.09 * means[0] + 0.1 * means[1], atol=1e-5)
    np.testing.assert_allclose(target, 0.09 * means[1] + 0.1 * means[0], atol=1e-5)
    assert np.abs(online - target).max() > 1e-3


def spread_after_training(collapsing):
    """The standard deviation of the unit projections after 100 steps, 1 where they are spread evenly."""
    keras.utils.set_random_seed(0)
    model = keras_ssl.BYOL(encoder(), hidden=32, dim=8, momentum=0.0 if collapsing else 0.95)
    if collapsing:
        model.predictor.trainable = False
        model.predictor = lambda x, training: x
    model.compile(optimizer=keras.optimizers.SGD(0.3, momentum=0.9))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (64, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)

    def views():
        light, noise = draw.uniform(0.7, 1.3, (64, 1, 1, 3)), draw.normal(0, 20, smooth.shape)
        return (smooth * light + noise).astype("float32")

    for _ in range(100):
        train(model, views(), views())
    projections = model.online(views(), training=True).numpy()
    projections /= np.linalg.norm(projections, axis=1, keepdims=True)
    return projections.std(axis=0).mean() * np.sqrt(8)


def test_it_collapses_without_target_and_predictor_and_not_with_them():
    assert spread_after_training(collapsing=True) < 0.3  # 0.09 to 0.17 for other seeds
    assert spread_after_training(collapsing=False) > 0.7  # 0.88 to 0.95
