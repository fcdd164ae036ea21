"""QB-Heat: arXiv 2211.13228."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from tests import cases

CASE = cases.Case({"size": 12, "width": 8, "depth": 1, "heads": 2}, encoder=cases.padded_encoder, views=cases.one_crop)

DECODER = {"width": 8, "depth": 1, "heads": 2}


def vit(**options):
    options = {"patch": 2, "width": 8, "depth": 1, "heads": 2, "pooling": "mean"} | options
    return encoders.vit((8, 12, 3), **options)


def convolution(channels=6):
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(channels, 3, strides=2, padding="same")(keras.layers.Rescaling(1 / 127.5, -1)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))


ENCODERS = {"vit": (vit, {}), "convolution": (convolution, {"size": (8, 12)})}
each_encoder = pytest.mark.parametrize("kind", ENCODERS)


def make(kind="convolution", encoder=None, optimizer=None, **options):
    build, size = ENCODERS[kind]
    model = keras_ssl.QBHeat(encoder or build(), **DECODER | size | options)
    model.compile(optimizer=optimizer or keras.optimizers.Adam(0.01), run_eagerly=True)
    draw = np.random.default_rng(1)
    for operator in (model.across, model.down):
        operator.kernel.assign(draw.normal(0, 0.5, operator.kernel.shape))
    return model


def pictures(batch=8, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 8, 12, 3)).astype("float32")


def hidden(corners):
    """The mask of each image in pixels, `(batch, 8, 12, 1)`, one pixel at a time."""
    masks = np.ones((len(corners), 8, 12, 1), bool)
    for mask, corner in zip(masks, corners):
        top, left = 4 * (corner // 2), 6 * (corner % 2)
        mask[top : top + 4, left : left + 6] = False
    return masks


CORNERS = np.arange(8, dtype="int32") % 4


@each_encoder
def test_hidden_pixels_are_not_seen(kind):
    model = make(kind)
    images, masks = pictures(), hidden(CORNERS)
    z = model.encode(images, CORNERS).numpy()
    assert z.shape == (8, 2, 3, 8 if kind == "vit" else 6)
    np.testing.assert_array_equal(z, model.encode(np.where(masks, 0, images), CORNERS))
    assert (np.abs(z - model.encode(np.where(masks, images, 0), CORNERS)) > 1e-4).any(axis=(1, 2, 3)).all()


def test_a_convolution_sees_the_quarter_as_an_image():
    model = make()
    cut = np.array([x[4 * (c // 2) :, 6 * (c % 2) :][:4, :6] for x, c in zip(pictures(), CORNERS)])
    z = model.encode(pictures(), CORNERS).numpy()
    np.testing.assert_allclose(z.mean(axis=(1, 2)), model.encoder(cut), rtol=1e-4, atol=1e-5)


def test_a_vit_knows_where_the_quarter_is():
    model = make("vit")
    same = np.tile(pictures()[:, :4, :6], (1, 2, 2, 1))  # four quarters alike
    z = [model.encode(same, np.full(8, corner, "int32")).numpy() for corner in range(4)]
    assert min(np.abs(z[i] - z[j]).max() for i in range(4) for j in range(i)) > 1e-3
    blind = make("vit", vit(positions=None))
    z = [blind.encode(same, np.full(8, corner, "int32")).numpy() for corner in range(4)]
    np.testing.assert_allclose(z[3], z[0], atol=1e-5)


@each_encoder
def test_every_quarter_is_a_linear_function_of_the_visible_one(kind):
    model = make(kind)
    a, b = (x.kernel.numpy().astype("float64").T for x in (model.across, model.down))
    size, one = len(a), np.eye(len(a))
    z = np.random.default_rng(0).normal(size=(8, 2, 3, size)).astype("float32")
    found = model.extrapolate(z, CORNERS).numpy()
    for features, whole, corner in zip(z, found, CORNERS):
        for row in range(4):
            for column in range(6):
                dy, dx = row // 2 - corner // 2, column // 3 - corner % 2  # -1, 0 or 1 blocks
                operator = (one + dy * b) @ (one + dx * a)
                expected = operator @ features[row % 2, column % 3]
                np.testing.assert_allclose(whole[row, column], expected, rtol=1e-4, atol=1e-4)
    parameters = [v for x in (model.across, model.down) for v in x.weights]
    assert sum(np.prod(v.shape) for v in parameters) == 2 * size**2
    other = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    both = model.extrapolate(2 * z - 3 * other, CORNERS)
    np.testing.assert_allclose(both, 2 * found - 3 * model.extrapolate(other, CORNERS), rtol=1e-3, atol=1e-3)


def test_a_step_there_and_back_loses_the_square():
    model = make()
    z = np.random.default_rng(0).normal(size=(8, 2, 3, 6)).astype("float32")
    there = model.advance(model.across, z, np.zeros(8, "int32"))
    back = model.advance(model.across, there, np.ones(8, "int32")).numpy()
    a = model.across.kernel.numpy()
    np.testing.assert_allclose(back, z - z @ a @ a, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("normalize", [False, True])
@each_encoder
def test_the_loss_is_the_squared_error_of_the_hidden_pixels(kind, normalize):
    model = make(kind, normalize=normalize)
    model.corners = lambda seeds: tf.constant(CORNERS)
    images = pictures()
    side = model.patch
    predicted = model.predictions(images, CORNERS).numpy()
    standard = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    errors = []
    for image, rows, mask in zip(standard, predicted, hidden(CORNERS)):
        for number, vector in enumerate(rows):
            i, j = number // (12 // side) * side, number % (12 // side) * side
            target = image[i : i + side, j : j + side].ravel()
            if normalize:
                target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + 1e-6)
            if mask[i, j]:
                errors.append(np.mean((vector - target) ** 2))
    assert len(errors) == 0.75 * predicted.shape[0] * predicted.shape[1]
    with tf.GradientTape() as tape:
        loss = model({"views": [images]}, training=True)["loss"]
    assert float(loss) == pytest.approx(np.mean(errors), rel=1e-4)
    for weight, slope in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
        assert slope is not None and np.abs(slope).max() > 0, weight.path


def test_all_corners_are_drawn():
    model = make()
    found = []
    model.predictions = lambda images, corners: found.append(corners) or type(model).predictions(model, images, corners)
    for _ in range(2):
        model({"views": [np.zeros((400, 8, 12, 3), "float32")]}, training=True)
    counts = np.bincount(found[0].numpy())
    assert len(counts) == 4 and counts.min() > 65  # 100 on average, 4 standard deviations are 35
    assert (found[0].numpy() != found[1].numpy()).mean() > 0.6


def test_the_matrices_learn_more_than_copies():
    draw = np.random.default_rng(0)
    slope = draw.uniform(-6, 6, (64, 2, 3))  # colors that change evenly across the image
    y, x = np.meshgrid(np.arange(8) - 3.5, np.arange(12) - 5.5, indexing="ij")
    change = slope[:, :1, None] * y[None, :, :, None] + slope[:, 1:, None] * x[None, :, :, None]
    images = np.clip(128 + change, 0, 255).astype("float32")

    def error(copying):
        keras.utils.set_random_seed(0)
        model = make(encoder=convolution(16), width=32, depth=0)  # no attention that could extrapolate instead
        if copying:
            for operator in (model.across, model.down):
                operator.kernel.assign(operator.kernel * 0)
                operator.trainable = False
        model.compile(optimizer=keras.optimizers.Adam(0.01))
        for _ in range(150):
            model.train_on_batch({"views": [images]})
        return float(model({"views": [images]}, training=True)["loss"])

    assert error(copying=False) < 0.75 * error(copying=True)


@pytest.mark.parametrize("normalize", [False, True])
@each_encoder
def test_reconstruct_keeps_what_is_seen_and_moves_nothing(kind, normalize):
    model = make(kind, normalize=normalize)
    before = [v.numpy() for v in model.variables]
    images = pictures().astype("uint8")
    masks, found = model.reconstruct(images)
    grid = (4, 6)
    assert masks.dtype == bool and masks.shape == (8, *grid) and found.shape == images.shape
    assert (masks.mean(axis=(1, 2)) == 0.75).all()
    large = masks.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(found[~large], images[~large])
    assert found.min() >= 0 and found.max() <= 255 and np.abs(found[large] - images[large]).mean() > 1
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(variable.numpy(), value)
    np.testing.assert_array_equal(model.reconstruct(images)[0], masks)
    assert (model.reconstruct(images, seed=1)[0] != masks).any()
    model.predictions = lambda x, corners, training: model.targets(x)  # a perfect model makes the image
    np.testing.assert_allclose(model.reconstruct(images)[1], images, atol=0.05)


def test_bad_sizes_and_encoders_are_refused():
    with pytest.raises(ValueError, match="pass size=32"):
        make(size=None)
    for size in (7, (8, 0)):
        with pytest.raises(ValueError, match="even numbers of pixels"):
            make(size=size)
    with pytest.raises(ValueError, match=r"takes images of 8 x 12 pixels. Received: size=8"):
        make("vit", size=8)
    odd = encoders.vit((6, 6, 3), patch=2, width=8, depth=1, heads=2)
    with pytest.raises(ValueError, match="even numbers of rows"):
        make("vit", odd)
    images = keras.Input((None, None, 3))
    flat = keras.Model(images, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(images)))
    with pytest.raises(ValueError, match="'dense.*Take an encoder"):
        make(encoder=flat)
    whole = encoders.resnet18((32, 32, 3), width=8, stem="cifar")
    with pytest.raises(ValueError, match=r"takes images of shape \(32, 32, 3\) and a view has \(16, 16, 3\)"):
        keras_ssl.QBHeat(whole, **DECODER)
    assert keras_ssl.QBHeat(encoders.resnet18((None, None, 3), width=8, stem="cifar"), size=32, **DECODER).patch == 8
    pooled = encoders.pool(keras.Model(images, keras.layers.Conv2D(3, 2, strides=2)(images)))
    assert np.isfinite(make(encoder=pooled).train_on_batch({"views": [pictures()]}))
    for kind in ("vit", "convolution"):
        with pytest.raises(ValueError, match="view must fit the encoder.*Received: shape="):
            make(kind)({"views": [pictures()[..., :2]]}, training=True)
