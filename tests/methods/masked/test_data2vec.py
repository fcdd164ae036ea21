"""data2vec, arXiv 2202.03555, version 1 for images."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, losses
from keras_ssl.augment.places import partition
from tests import cases
from tests.reference import predictive as reference

CASE = cases.Case(
    {"target_blocks": 2, "ratio": 0.5, "momentum": 0.9}, encoder=cases.vit_of_one_size, views=cases.one_crop
)

SIZE, PATCH = 12, 3  # 4 x 4 patches


def vit(**options):
    options = {"patch": PATCH, "width": 8, "depth": 3, "heads": 2, "pooling": "mean"} | options
    return encoders.vit((SIZE, SIZE, 3), **options)


def make(encoder=None, optimizer=None, **options):
    options = {"target_blocks": 2, "ratio": 0.5, "momentum": 0.9} | options
    model = keras_ssl.Data2Vec(encoder or vit(), **options)
    draw = np.random.default_rng(0)
    for variable in [*model.trainable_variables, *model.teacher.weights]:  # apart, and without zeros
        if "float" in variable.dtype:
            variable.assign(variable + 0.3 * draw.normal(size=variable.shape).astype("float32"))
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def images(batch=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, SIZE, SIZE, 3), "uint8")


def some_masks(model, batch=3):
    return model.mask(images(batch), np.arange(2 * batch, dtype="int32").reshape(batch, 2)).numpy()


def with_masks(model, masks):
    model.mask.call = lambda images, seeds, **options: tf.constant(masks)
    return masks


def hidden_of(model, masks):
    return partition(masks, model.mask.masked)[1].numpy()


def pixels_of(masks):
    return masks.repeat(PATCH, axis=1).repeat(PATCH, axis=2)[..., None]


def loss_of(model, pixels):
    return {key: float(value) for key, value in model({"views": [pixels]}, training=True).items()}


def test_the_loss_is_the_loop_in_value_and_gradient():
    model, pixels = make(beta=0.7), images()
    masks = with_masks(model, some_masks(model))
    with tf.GradientTape() as tape:
        loss = model({"views": [pixels]}, training=True)["loss"]
    weights = model.trainable_variables
    draw = np.random.default_rng(1)
    way = [draw.normal(size=v.shape) for v in weights]
    slope = sum(float(np.sum(d * g)) for d, g in zip(way, tape.gradient(loss, weights)))
    standard = np.asarray(losses.standard_pixels(pixels), "float64")
    shape = {"patch": PATCH, "depth": 3, "heads": 2, "layers": 2, "beta": 0.7}

    def expected(step):
        moved = {id(v): v.numpy().astype("float64") + step * d for v, d in zip(weights, way)}
        mask_token, head = moved[id(model.mask_token.token)][0], [moved[id(v)] for v in model.head.weights]
        student, teacher = named(model.encoder, moved), named(model.teacher)
        return reference.data2vec(standard, masks, student, teacher, mask_token, head, **shape)

    assert float(loss) == pytest.approx(expected(0), rel=2e-5)
    assert slope == pytest.approx((expected(1e-5) - expected(-1e-5)) / 2e-5, rel=1e-3)


def named(model, moved=None):
    values = {id(v): v.numpy().astype("float64") for v in model.weights} | (moved or {})
    return {"/".join(v.path.split("/")[-2:]): values[id(v)] for v in model.weights}


@pytest.mark.parametrize("options", [{}, {"class_token": False}, {"registers": 2}])
def test_targets_are_normalized_tokens_of_the_patches(options):
    model = make(vit(**options))
    targets = model.targets(images()).numpy()
    assert targets.shape == (3, 16, 8)
    np.testing.assert_allclose(targets.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(targets.var(axis=-1), 1, atol=1e-3)


@pytest.mark.parametrize("options", [{"class_token": False}, {"registers": 2}])
def test_one_layer_is_the_last_block_before_the_last_normalization(options):
    model, pixels = make(vit(**options), target_blocks=1), images()
    blocks = model.teacher.get_layer("blocks")
    norm = blocks.get_layer("norm")
    end = blocks(model.teacher_positions(model.teacher_patches(pixels)))[:, -16:]
    plain = (end.numpy() - norm.beta.numpy()) / norm.gamma.numpy()  # without the weights of the normalization
    np.testing.assert_allclose(model.targets(pixels), plain, atol=1e-2)


def test_targets_are_of_the_whole_image_and_predictions_of_what_is_shown():
    model, pixels = make(), images()
    masks = some_masks(model)
    assert (masks.sum(axis=(1, 2)) == 8).all()
    hidden = hidden_of(model, masks)
    before, targets = model.predictions(pixels, masks, hidden).numpy(), model.targets(pixels).numpy()
    other = np.where(pixels_of(masks), images(seed=9), pixels)
    np.testing.assert_array_equal(model.predictions(other, masks, hidden), before)
    assert np.abs(model.targets(other) - targets).max() > 0.1
    other = np.where(pixels_of(masks), pixels, images(seed=9))
    assert np.abs(model.predictions(other, masks, hidden) - before).max() > 0.1
    drawn = []
    model.predictions = lambda images, masks, hidden: drawn.append(masks.numpy()) or tf.zeros((3, 8, 8))
    seen = [loss_of(model, pixels)["target_std"] for _ in range(2)]
    assert (drawn[0] != drawn[1]).any() and seen[0] == seen[1] == pytest.approx(targets.std(axis=0).mean(), rel=1e-4)


def test_hidden_patches_alone_have_a_loss():
    model, pixels = make(), images()
    masks = with_masks(model, some_masks(model))
    targets, before = model.targets(pixels).numpy(), loss_of(model, pixels)["loss"]
    where = masks.reshape(3, 16, 1)
    model.targets = lambda images: tf.constant(np.where(where, targets, targets + 5))
    assert loss_of(model, pixels)["loss"] == pytest.approx(before, rel=1e-6)
    model.targets = lambda images: tf.constant(np.where(where, targets + 5, targets))
    assert loss_of(model, pixels)["loss"] > before + 1


def test_a_prediction_stands_where_its_patch_is():
    model, pixels = make(), images()
    masks = some_masks(model)
    hidden = hidden_of(model, masks)
    patches, positions, blocks = model.stages
    tokens = blocks(positions(model.mask_token(patches(pixels), masks)))
    found = model.predictions(pixels, masks, hidden).numpy()
    for image, number in ((0, 0), (2, 5)):
        token = tokens[image, 1 + hidden[image, number]]  # after the class token
        np.testing.assert_allclose(found[image, number], model.head(token[None])[0], atol=1e-5)


def test_the_teacher_has_no_dropout_and_no_gradient():
    model, pixels = make(vit(dropout=0.5, drop_path=0.5)), images()
    masks = with_masks(model, some_masks(model))
    hidden = hidden_of(model, masks)
    np.testing.assert_array_equal(model.targets(pixels), model.targets(pixels))
    predictions = [model.predictions(pixels, masks, hidden).numpy() for _ in range(2)]
    assert np.abs(predictions[0] - predictions[1]).max() > 0.1
    kept = [v.value for v in model.teacher.weights if "float" in v.dtype]
    with tf.GradientTape() as tape:
        tape.watch(kept)
        loss = model({"views": [pixels]}, training=True)["loss"]
    assert tape.gradient(loss, kept) == [None] * len(kept)


@pytest.mark.parametrize("ramp", [0, 2])
def test_the_teacher_follows_after_the_step(ramp):
    model = make(start_momentum=0.5, ramp_steps=ramp)
    expected = [v.numpy() for v in model.teacher.weights]
    for step in range(3):
        model.train_on_batch({"views": [images(seed=step)]})
        tau = 0.5 + 0.4 * min(step / ramp, 1) if ramp else 0.9
        expected = [tau * slow + (1 - tau) * fast.numpy() for slow, fast in zip(expected, model.encoder.weights)]
        for found, value in zip(model.teacher.weights, expected):
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5, err_msg=f"step {step}: {found.path}")


def test_the_student_is_the_result():
    model = make()
    assert model.evaluated_encoder is model.encoder


def test_targets_that_are_equal_for_all_images_are_seen():
    model, pixels = make(), images()
    assert loss_of(model, pixels)["target_std"] > 0.1
    assert loss_of(model, pixels[[0] * 3])["target_std"] == pytest.approx(0, abs=1e-5)
    (kernel,) = [w for w in model.teacher.weights if w.path.endswith("patches/kernel")]
    kernel.assign(0 * kernel)  # a teacher that sees nothing of its images
    assert loss_of(model, pixels)["target_std"] == pytest.approx(0, abs=1e-5)


def test_it_starts_as_the_authors_do():
    model = keras_ssl.Data2Vec(vit(width=96, initializer=0.0108))
    for found in (model.head.weights[0], model.mask_token.token, model.encoder.get_layer("patches").kernel):
        assert np.std(found) == pytest.approx(0.010791, rel=0.2)  # scipy.stats.truncnorm(-1, 1, scale=0.02).std()


def test_wrong_arguments_are_refused():
    for encoder, options, message in (
        (vit(), {"target_blocks": 4}, "target_blocks must be at most 3.* target_blocks=4"),
        (vit(), {"target_blocks": 0}, "target_blocks must be a positive int or None"),
        (vit(), {"ratio": 1.0}, "ratio must be"),
        (vit(), {"beta": -1}, "beta must be"),
        (vit(), {"ramp_steps": -1}, "ramp_steps must be"),
        (encoders.resnet18((32, 32, 3), width=8), {}, "has the layers"),
    ):
        with pytest.raises(ValueError, match=message):
            make(encoder, **options)
    assert len(make(target_blocks=None).teacher_blocks.outputs) == 3  # all there are
