"""MSN: arXiv 2204.07141."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from tests import cases
from tests.reference import clustering as reference

CASE = cases.Case(
    {
        "hidden": 16, "dim": 8, "prototype_count": 6, "temperature": 0.5, "drop": 0.3, "momentum": 0.9, "steps": 20,
    },
    encoder=cases.small_vit, views=cases.multi_crop,
)


def vit(**options):
    options = {"patch": 2, "width": 8, "depth": 1, "heads": 2, "grid": 4} | options
    return encoders.vit((None, None, 3), **options)


def make(optimizer=None, encoder=None, **options):
    options = {"hidden": 12, "dim": 6, "prototype_count": 7, "momentum": 0.9} | options
    model = keras_ssl.MSN(encoder or vit(), **options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.2), run_eagerly=True)
    return model


def views(sides=(8, 8, 4, 4), seed=0, batch=6):
    draw = np.random.default_rng(seed)
    return [draw.uniform(0, 255, (batch, side, side, 3)).astype("float32") for side in sides]


def train(model, *crops):
    return model.train_on_batch({"views": crops}, return_dict=True)["loss"]


def loss_of(model, *crops):
    return {key: float(value) for key, value in model({"views": crops}, training=True).items()}


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def scores(model, features, head):
    kernel = model.prototypes.kernel.numpy()
    return unit(np.asarray(head(features, training=True))) @ (kernel / np.linalg.norm(kernel, axis=0))


def of_target(model, view):
    _, encoder, head = model.target.layers
    return scores(model, encoder(view), head)


@pytest.mark.parametrize("iterations", [0, 3])
def test_the_loss_is_the_papers(iterations):
    model = make(drop=0, iterations=iterations, entropy_weight=0.5)
    train(model, *views(seed=1))
    target, large, *focal = crops = views()
    p = np.array([reference.softmax(row / 0.1) ** 4 for row in of_target(model, target)])
    p /= p.sum(axis=1, keepdims=True)
    if iterations:
        p = reference.sinkhorn(np.log(p), 1.0, iterations)
    anchors = np.concatenate(
        [scores(model, model.encoder(x), model.head) for x in (large, np.concatenate(focal))]  # a batch of each size
    )
    expected = np.mean([reference.cross_entropy(p, anchor, 0.1) for anchor in np.split(anchors, 3)])
    gap = reference.mean_entropy_gap(anchors, 0.1)
    found = loss_of(model, *crops)
    assert found["cross_entropy"] == pytest.approx(expected, rel=1e-3)
    assert found["entropy_gap"] == pytest.approx(gap, rel=1e-3)
    assert found["loss"] == pytest.approx(expected + 0.5 * gap, rel=1e-3)


def test_an_anchor_that_is_the_target_has_its_entropy_as_loss():
    model = make(drop=0, sharpening=1.0, iterations=0)
    view = views()[0]
    p = np.array([reference.softmax(row / 0.1) for row in of_target(model, view)])
    expected = -np.mean(np.sum(p * np.log(p), axis=1))
    assert loss_of(model, view, view)["cross_entropy"] == pytest.approx(expected, rel=1e-3)


def test_sharp_targets_name_one_prototype():
    model = make(sharpening=1e-4, iterations=0)
    view = views()[0]
    targets = model.assign(view).numpy()
    np.testing.assert_allclose(targets, np.eye(7)[of_target(model, view).argmax(axis=1)], atol=1e-3)


@pytest.mark.parametrize("drop, left", [(0.15, 13), (0.5, 8), (0.7, 4), (0.9, 1)])
def test_anchors_lose_patches_of_their_own(drop, left):
    model = make(drop=drop)
    tokens = np.arange(17, dtype="float32")[None, :, None] + np.zeros((256, 17, 8), "float32")
    seen = model.visible(tf.constant(tokens)).numpy()[:, :, 0].astype(int)
    assert seen.shape == (256, 1 + left) and (seen[:, 0] == 0).all()
    assert all(len(set(row)) == 1 + left for row in seen)
    assert set(seen[:, 1:].ravel()) == set(range(1, 17)) and len({frozenset(row) for row in seen}) > 10
    again = model.visible(tf.constant(tokens)).numpy()[:, :, 0].astype(int)
    assert (np.sort(again) != np.sort(seen)).any()


def test_views_of_the_targets_size_are_masked_and_focal_ones_are_whole():
    model = make(drop=0.5)
    shapes = []
    blocks, call = model.stages.blocks, model.stages.blocks.call
    blocks.call = lambda tokens, **options: (shapes.append(tuple(tokens.shape)), call(tokens, **options))[1]
    loss_of(model, *views((8, 8, 8, 4, 4)))
    assert sorted(shapes) == [(12, 5, 8), (12, 9, 8)]  # two focal views of 4 patches, two anchors of 8 of 16


def test_the_whole_sequence_gives_the_features_of_the_encoder():
    model = make(drop=1e-9)  # every patch stays, in another order
    view = views()[0]
    patches = model.stages.positions(model.stages.patches(view))
    model.visible = lambda tokens: tf.gather(tokens, [0, *range(16, 0, -1)], axis=1)
    assert patches.shape == (6, 17, 8)
    np.testing.assert_allclose(model.partly([view]), model.encoder(view), atol=1e-4)


def test_the_gradient_reaches_the_prototypes_through_the_anchors_only():
    model = make()
    frozen = [v.value for v in model.target.weights]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(frozen)
        targets = model.assign(views()[0])
        loss = model({"views": views()}, training=True)["loss"]
    assert tape.gradient(targets, model.prototypes.kernel.value) is None
    assert tape.gradient(loss, frozen) == [None] * len(frozen)
    assert np.abs(tape.gradient(loss, model.prototypes.kernel.value)).max() > 0


def test_the_target_follows_along_a_straight_line():
    model = make(momentum=0.6, steps=4)

    def pairs():
        every = zip(model.target.weights, model.anchor.weights, strict=True)
        return [(slow, fast) for slow, fast in every if "moving" not in fast.path]

    expected = [slow.numpy() for slow, _ in pairs()]
    for step in range(6):
        train(model, *views(seed=step))
        tau = 0.6 + 0.4 * min(step / 4, 1)
        expected = [tau * old + (1 - tau) * fast.numpy() for old, (_, fast) in zip(expected, pairs())]
        for (slow, _), value in zip(pairs(), expected):
            np.testing.assert_allclose(slow, value, rtol=1e-5, atol=1e-5, err_msg=f"step {step}: {slow.path}")


def test_head_and_prototypes_are_those_of_the_paper():
    model = keras_ssl.MSN(vit())
    block = ["Dense", "BatchNormalization", "Activation"]
    for head in (model.head, model.target.layers[-1]):
        assert [type(layer).__name__ for layer in head.layers] == [*block, *block, "Dense"]
        assert [layer.units for layer in head.layers if hasattr(layer, "units")] == [2048, 2048, 256]
        activations = [layer.activation for layer in head.layers if type(layer).__name__ == "Activation"]
        assert activations == [keras.activations.gelu] * 2
    kernel = model.prototypes.kernel.numpy()  # uniform in +- 1 / sqrt(256)
    assert kernel.shape == (256, 1024)
    assert 0.999 / 16 < np.abs(kernel).max() <= 1 / 16 and abs(kernel.mean()) < 1e-3
    assert kernel.std() == pytest.approx(1 / 16 / np.sqrt(3), rel=0.01)


def test_encoders_without_a_class_token_are_refused():
    with pytest.raises(ValueError, match="pooling='token'"):
        make(encoder=vit(pooling="mean"))
    images = keras.Input((None, None, 3))
    plain = keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images)))
    with pytest.raises(ValueError, match="'patches', 'positions' and 'blocks'"):
        make(encoder=plain)
    assert np.isfinite(train(make(encoder=plain, drop=0), *views()))
    with pytest.raises(ValueError, match=r"drop must be in \[0, 1\).*drop=1"):
        make(drop=1)


def test_the_head_starts_from_a_normal_distribution():
    model = make(hidden=256, dim=128)
    for layer in (layer for layer in model.head.layers if isinstance(layer, keras.layers.Dense)):
        kernel = layer.kernel.numpy()
        assert kernel.std() == pytest.approx(0.02, rel=0.05) and np.abs(kernel).max() > 0.05
