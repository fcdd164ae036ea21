"""Augmentation: values against NumPy loops, distributions, and the same views wherever they are computed."""

import colorsys
import importlib.util
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ssl import augment, data
from tests.reference import augment as reference

RECIPES = ["simclr", "simclr_cifar", "moco_v1", "moco_v2", "moco_cifar", "byol", "byol_cifar", "cifar"]


def images(batch=8, height=20, width=24, channels=3, seed=0):
    """Smooth images with some noise: colors of all hues, flat and busy places, black and white borders."""
    draws = np.random.default_rng(seed)
    coarse = draws.integers(0, 256, (batch, 3, 4, channels)).repeat(height // 3 + 1, 1).repeat(width // 4 + 1, 2)
    noise = draws.normal(0, 20, (batch, height, width, channels))
    return np.clip(coarse[:, :height, :width] + noise, 0, 255).astype("uint8")


def seeds(batch=8, seed=0):
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (batch, 2)).astype("int32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def close(x, y, atol=1e-2):
    np.testing.assert_allclose(numpy(x), y, rtol=0, atol=atol)


# Random numbers


def test_random_numbers_are_those_of_the_definition():
    s = np.concatenate([seeds(), [[0, 0], [-1, 2**31 - 1], [-(2**31), 1]]]).astype("int32")
    for compiled in (augment.uniform, tf.function(augment.uniform), tf.function(augment.uniform, jit_compile=True)):
        np.testing.assert_array_equal(numpy(compiled(s, 5)), [reference.uniform(row, 5) for row in s])
    for stream in (0, 1, 7, 1234567):
        np.testing.assert_array_equal(numpy(augment.fold(s, stream)), [reference.fold(row, stream) for row in s])


@pytest.mark.parametrize("kind", ["first", "second", "both", "random"])
def test_random_numbers_are_uniform_and_independent(kind):
    n = 50_000
    count = np.arange(n, dtype="int32")
    zero = np.zeros_like(count)
    pairs = {"first": (count, zero), "second": (zero, count), "both": (count, count), "random": seeds(n).T}
    s = np.stack(pairs[kind], axis=1)
    streams = [numpy(augment.uniform(x, 4)) for x in (s, augment.fold(s, 0), augment.fold(s, 1), augment.fold(s, 2))]
    columns = np.concatenate(streams, axis=1)  # (n, 16): numbers of an image, in four streams
    assert columns.min() >= 0 and columns.max() < 1
    # Five standard errors of a mean, a variance, a correlation.
    assert np.abs(columns.mean(0) - 1 / 2).max() < 5 / np.sqrt(12 * n)
    assert np.abs(columns.var(0) - 1 / 12).max() < 5 / np.sqrt(180 * n)
    table = np.corrcoef(np.concatenate([columns[:-1].T, columns[1:].T]))  # with the next image too
    assert np.abs(table - np.eye(32)).max() < 5 / np.sqrt(n)
    cells = np.histogram2d(columns[:-1, 0], columns[1:, 0], bins=16)[0] / (n / 256)
    assert (n / 256) * ((cells - 1) ** 2).sum() < 255 + 5 * np.sqrt(2 * 255)


def test_seeds_have_no_duplicates_beyond_chance():
    n = 100_000
    s = np.stack([np.full(n, 7), np.arange(n)], axis=1).astype("int32")
    folded = np.concatenate([numpy(augment.fold(s, stream)) for stream in range(10)])
    assert len(np.unique(folded.view("int64"))) == 10 * n
    for half in folded.T:  # of 32 bits: a million draws meet n^2 / 2^33 = 116 times
        assert len(half) - len(np.unique(half)) < 116 + 5 * np.sqrt(116)
    numbers = numpy(augment.uniform(s[:1000], 1000)).ravel()  # of 24 bits
    expected = 2**24 * (1 - np.exp(-len(numbers) / 2**24))
    assert abs(len(np.unique(numbers)) - expected) < 5 * np.sqrt(len(numbers) - expected)


# Values


@pytest.mark.parametrize("size, shape", [((9, 7), (20, 24)), ((32, 40), (13, 11)), ((8, 8), (5, 60)), ((6, 6), (1, 9))])
@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_crop_is_that_of_the_reference(size, shape, flip):
    x, s = images(12, *shape), seeds(12)
    layer = augment.RandomResizedCrop(size, scale=(0.1, 1.0), ratio=(0.5, 1.5), flip=flip)
    expected = [reference.random_resized_crop(*pair, size, (0.1, 1.0), (0.5, 1.5), flip) for pair in zip(x, s)]
    close(layer(x, seeds=s), expected)


def test_crop_resizes_as_pillow():
    x, s = images(6, 40, 50), seeds(6)
    for size in (8, 16, 64):
        layer = augment.RandomResizedCrop(size)
        for pixels, seed, found in zip(x, s, numpy(layer(x, seeds=s))):
            draws = reference.uniform(seed, 23)
            top, left, height, width, _ = reference.crop_box(draws, 40, 50, layer.scale, layer.ratio)
            for channel in range(3):
                box = Image.fromarray(pixels[top : top + height, left : left + width, channel].astype("float32"))
                close(found[..., channel], np.asarray(box.resize((size, size), Image.Resampling.BILINEAR)))


def test_crop_falls_back_to_the_middle():
    x, s = images(4, 10, 90), seeds(4)
    layer = augment.RandomResizedCrop(10, scale=(0.99, 1.0), ratio=(1.0, 1.0))
    close(layer(x, seeds=s), x[:, :, 40:50], atol=1e-3)
    close(layer(x.transpose(0, 2, 1, 3), seeds=s), x[:, :, 40:50].transpose(0, 2, 1, 3), atol=1e-3)


@pytest.mark.parametrize("p", [1.0, 0.5])
@pytest.mark.parametrize(
    "strengths", [(0.8, 0.8, 0.8, 0.2), (0.4, 0.4, 0.2, 0.1), (1.5, 0, 0, 0.5), (0.4, 0.4, 0, 0), (0, 0, 0, 0.3)]
)
def test_jitter_is_that_of_the_reference(strengths, p):
    x, s = images(16, 6, 7), seeds(16)
    expected = [reference.color_jitter(*pair, *strengths, p) for pair in zip(x, s)]
    close(augment.ColorJitter(*strengths, p=p)(x, seeds=s), expected)


def test_hue_is_exact_for_every_color():
    values = np.array([0, 1, 64, 127, 128, 200, 254, 255], "float32")
    x = np.stack(np.meshgrid(values, values, values), -1).reshape(1, 16, 32, 3)
    for shift in (-0.5, -0.1, 0.0, 1 / 6, 0.5):
        turned = augment.image.color.turn(keras.ops.unstack(x, axis=-1), np.array([shift], "float32"))
        expected = [
            colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
            for hue, saturation, value in (colorsys.rgb_to_hsv(*pixel / 255) for pixel in x.reshape(-1, 3))
        ]
        close(keras.ops.stack(turned, axis=-1) / 255, np.reshape(expected, x.shape), atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 5, 11])
def test_blur_is_that_of_the_reference(kernel):
    x, s = images(8, 7, 12), seeds(8)
    expected = [reference.gaussian_blur(*pair, kernel, (0.1, 2.0), 0.5) for pair in zip(x, s)]
    close(augment.GaussianBlur(kernel, p=0.5)(x, seeds=s), expected)


def test_blur_kernel_is_a_tenth_of_the_image():
    for side, kernel in [(32, 3), (12, 3), (96, 9), (224, 23)]:
        point = np.zeros((1, side, side, 3), "uint8")
        point[0, side // 2, side // 2] = 255
        blurred = numpy(augment.GaussianBlur(sigma=(4.0, 4.0), p=1.0)(point))[0, :, side // 2, 0]
        assert np.count_nonzero(blurred) == kernel


def test_the_other_layers_are_those_of_the_reference():
    x, s = images(32, 5, 6), seeds(32)
    for layer, expected in [
        (augment.Solarize(100, p=0.3), [reference.solarize(*pair, 100, 0.3) for pair in zip(x, s)]),
        (augment.Grayscale(0.4), [reference.grayscale(*pair, 0.4) for pair in zip(x, s)]),
        (augment.RandomFlip(0.6), [reference.random_flip(*pair, 0.6) for pair in zip(x, s)]),
    ]:
        close(layer(x, seeds=s), expected)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels(channels):
    x, s = images(6, 9, 8, channels), seeds(6)
    close(
        augment.ColorJitter(0.4, 0.4, p=0.8)(x, seeds=s),
        [reference.color_jitter(*pair, 0.4, 0.4, 0, 0, 0.8) for pair in zip(x, s)],
    )
    view = augment.View(
        [augment.RandomResizedCrop(8, flip=0.5), augment.GaussianBlur(), augment.Solarize(), augment.RandomFlip()]
    )
    assert view(x, seeds=s).shape == (6, 8, 8, channels)


# Distributions


def test_boxes_have_the_distribution_of_the_definition():
    n = 20_000
    layer = augment.RandomResizedCrop(8, scale=(0.1, 0.5))
    draws = augment.uniform(seeds(n), 23)
    top, left, height, width = (numpy(side)[:, 0] for side in layer.boxes(draws, 1000, 1000))
    area = np.sort(height * width / 1e6)
    ratio = np.sort(np.log(width / height) / np.log(4 / 3))
    grid = (np.arange(n) + 0.5) / n  # all boxes fit: area and log-ratio are uniform, by Kolmogorov and Smirnov
    assert np.abs((area - 0.1) / 0.4 - grid).max() < 2 / np.sqrt(n)
    assert np.abs((ratio + 1) / 2 - grid).max() < 2 / np.sqrt(n)
    for start, length in [(top, height), (left, width)]:
        place = np.sort((start + 0.5) / (1000 - length + 1))
        assert np.abs(place - grid).max() < 2 / np.sqrt(n)
        assert (start >= 0).all() and (start + length <= 1000).all()


def test_boxes_are_those_of_torchvision():
    n = 2000
    for (height, width), scale in [((32, 32), (0.08, 1.0)), ((17, 90), (0.2, 1.0)), ((60, 9), (0.5, 1.0))]:
        layer = augment.RandomResizedCrop(8, scale=scale)
        s = seeds(n)
        found = np.concatenate([numpy(x) for x in layer.boxes(augment.uniform(s, 23), height, width)], axis=1)
        expected = [
            reference.crop_box(reference.uniform(row, 23), height, width, scale, layer.ratio)[:4] for row in s
        ]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "layer, rate",
    [
        (augment.RandomFlip(0.3), 0.3),
        (augment.RandomResizedCrop(4, scale=(0.99999, 1.0), ratio=(1.0, 1.0), flip=0.6), 0.6),
        (augment.ColorJitter(0.5, 0.5, 0.5, 0.2, p=0.8), 0.8),
        (augment.Grayscale(0.2), 0.2),
        (augment.GaussianBlur(3, sigma=(1.0, 2.0), p=0.5), 0.5),
        (augment.Solarize(10, p=0.1), 0.1),
    ],
    ids=lambda x: getattr(x, "name", None),
)
def test_layers_change_the_images_concerned_only(layer, rate):
    n = 4000
    x = np.tile(images(1, 4, 4), (n, 1, 1, 1))
    found = numpy(layer(x, seeds=seeds(n)))
    changed = np.abs(found - x).max(axis=(1, 2, 3)) > 1e-3
    assert abs(changed.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / n)
    if not isinstance(layer, augment.RandomResizedCrop):
        np.testing.assert_array_equal(found[~changed], x[~changed])


# Views


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe):
    x, s = images(6, 32, 36), seeds(6)
    views = getattr(augment, recipe)(size=32)
    first, second = (numpy(view) for view in views({"image": x, "seed": s}))
    for view in (first, second):
        assert view.shape == (6, 32, 32, 3) and view.dtype == "float32"
        assert view.min() >= 0 and view.max() <= 255.001
    assert (np.abs(first - second).max(axis=(1, 2, 3)) > 1).all()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(views))
    assert again.get_config() == views.get_config()
    close(again(x, seeds=s)[1], second, atol=0)
    alone = views(x[3:4], seeds=s[3:4])[1]  # the neighbors in the batch have no part in it
    close(alone, second[3:4], atol=1e-2)


def test_recipes_are_the_lists_of_the_papers():
    def layers(views):
        rows = views.views if isinstance(views.views, list) else [views.views] * views.count
        return [[type(layer).__name__ for layer in view.layers] for view in rows]

    crop, jitter, gray, blur, solarize = (
        "RandomResizedCrop", "ColorJitter", "Grayscale", "GaussianBlur", "Solarize"
    )  # fmt: skip
    expected = {
        "simclr": [[crop, jitter, gray, blur]] * 2,
        "simclr_cifar": [[crop, jitter, gray]] * 2,
        "moco_v1": [[crop, gray, jitter]] * 2,
        "moco_v2": [[crop, jitter, gray, blur]] * 2,
        "moco_cifar": [[crop, jitter, gray]] * 2,
        "byol": [[crop, jitter, gray, blur], [crop, jitter, gray, blur, solarize]],
        "byol_cifar": [[crop, jitter, gray], [crop, jitter, gray, solarize]],
        "cifar": [[crop, jitter, gray]] * 2,
    }
    for recipe in RECIPES:
        assert layers(getattr(augment, recipe)(size=32)) == expected[recipe], recipe
    view = augment.simclr_cifar().views
    assert [view.layers[1].get_config()[what] for what in ("brightness", "hue", "p")] == [0.4, 0.1, 0.8]
    assert [view.layers[3].p for view in augment.byol(224).views] == [1.0, 0.1]
    assert augment.moco_v2(224).views.layers[0].scale == (0.2, 1.0)
    assert augment.byol(224).views[1].layers[0].scale == augment.moco_cifar().views.layers[0].scale == (0.08, 1.0)


def test_views_of_several_sizes():
    views = augment.Views([augment.RandomResizedCrop(16), augment.View([augment.RandomResizedCrop((8, 12))])])
    large, small = views(images())
    assert large.shape == (8, 16, 16, 3) and small.shape == (8, 8, 12, 3)


def test_the_same_seed_gives_the_same_views_everywhere():
    x, s = images(16, 24, 24), seeds(16)
    views = augment.simclr(16, blur_p=0.5)
    expected = [numpy(view) for view in views(x, seeds=s)]
    for view, value in zip(tf.function(views)({"image": x, "seed": s}), expected, strict=True):
        close(view, value)
    dataset = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s})
    for batch, calls in [(4, None), (5, 3)]:
        batches = list(dataset.batch(batch).map(views, num_parallel_calls=calls))
        for number, value in enumerate(expected):
            close(tf.concat([views[number] for views in batches], axis=0), value)


@pytest.mark.parametrize(
    "views",
    [
        augment.simclr(64, kernel=5),  # resampled in blocks
        augment.byol((12, 10)),
        augment.Views([augment.RandomFlip(), augment.moco_v1(8).views, augment.RandomFlip()], seed=2),
        augment.Solarize(p=0.5),
    ],
    ids=["simclr", "byol", "list", "layer"],
)
def test_the_compiled_pipeline_makes_the_same_views(views):
    x, s = images(7, 70, 24), seeds(7)
    expected = views(x, seeds=s)
    size = 4 if isinstance(views, augment.Solarize) else 7  # a smaller last batch is compiled by itself: once is enough
    batches = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s, "label": np.arange(7)}).batch(size)
    for pipeline in [data.views(batches, views), data.views(batches, views, jit_compile=False)]:
        assert [label for batch in pipeline for label in batch["label"].numpy()] == list(range(7))
        found = [tf.concat(views, axis=0) for views in zip(*[batch["views"] for batch in pipeline], strict=True)]
        for one, other in zip(found, expected if isinstance(expected, tuple) else [expected], strict=True):
            close(one, other, atol=0.1)


def test_the_compiled_pipeline_skips_what_is_not_drawn():
    # An image that is neither blurred nor jittered takes no part in them: its bad values come through untouched.
    class Poison(augment.Augmentation):
        def draw(self, seeds, size):
            return {"chosen": seeds[:, 0] > 0}

        def transform(self, images, chosen):
            return augment.layer.change(images, chosen, lambda images: tf.debugging.check_numerics(images, "") / 0)

    x, s = images(4, 6, 6), np.array([[1, 0], [-1, 0], [1, 0], [-1, 0]], "int32")
    batches = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s}).batch(4)
    (view,) = next(iter(data.views(batches, Poison())))["views"]
    np.testing.assert_array_equal(np.isfinite(view).all((1, 2, 3)), [False, True, False, True])
    close(view[1], x[1], atol=0)


def test_the_compiled_pipeline_draws_seeds_of_its_own():
    batches = tf.data.Dataset.from_tensors({"image": np.tile(images(1, 12, 12), (6, 1, 1, 1))}).repeat(2)
    rows = [view for batch in data.views(batches, augment.cifar(8, seed=5)) for view in batch["views"]]
    assert len(np.unique(np.concatenate(rows).reshape(24, -1), axis=0)) == 24


def test_only_what_compiles_is_compiled():
    foreign = augment.Views(augment.View([augment.RandomResizedCrop(8), keras.layers.Rescaling(1.0)]), 2)
    ragged = tf.data.Dataset.from_generator(
        lambda: iter([{"image": images(2, 9, 9), "seed": seeds(2)}, {"image": images(2, 9, 7), "seed": seeds(2)}]),
        output_signature={"image": tf.TensorSpec((2, 9, None, 3), "uint8"), "seed": tf.TensorSpec((2, 2), "int32")},
    )
    batches = tf.data.Dataset.from_tensor_slices({"image": images(), "seed": seeds()}).batch(4)
    for pipeline, layer in [(batches, foreign), (batches, lambda batch: batch["image"]), (ragged, augment.cifar(8))]:
        assert len(list(data.views(pipeline, layer))) == 2
        with pytest.raises(ValueError, match="jit_compile=True needs"):
            data.views(pipeline, layer, jit_compile=True)


@pytest.mark.parametrize("jit", [False, True])
def test_the_same_views_under_fit(jit):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.views = augment.Views(augment.moco_v2(12).views, 1)  # one, because XLA compiles it for seconds
            self.one = self.add_weight(shape=(), initializer="ones", autocast=False)

        def call(self, batch):
            return tuple(view * self.one for view in self.views(batch))

    x, s = images(8, 16, 16), seeds(8)
    model = Model()
    expected = tuple(numpy(view) for view in model.views(x, seeds=s))
    model.compile(keras.optimizers.SGD(0.0), loss=["mae"], jit_compile=jit)
    batches = tf.data.Dataset.from_tensor_slices(({"image": x, "seed": s}, expected)).batch(4)
    assert model.fit(batches, epochs=1, verbose=0, shuffle=False).history["loss"][0] < 1e-2


def test_the_same_views_under_mixed_precision():
    x, s = images(), seeds()
    expected = augment.simclr(16)(x, seeds=s)
    keras.config.set_dtype_policy("mixed_bfloat16")
    for view, value in zip(augment.simclr(16)({"image": x, "seed": s}), expected, strict=True):
        assert view.dtype == "float32"
        close(view, numpy(value), atol=0)


def test_views_survive_saving_in_a_model(tmp_path):
    inputs = {"image": keras.Input((16, 18, 3), dtype="uint8", name="image")}
    inputs["seed"] = keras.Input((2,), dtype="int32", name="seed")
    model = keras.Model(inputs, [keras.layers.Flatten()(view) for view in augment.byol((12, 10), seed=3)(inputs)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    batch = {"image": images(4, 16, 18), "seed": seeds(4)}
    for one, other in zip(model(batch), again(batch), strict=True):
        assert one.shape == (4, 12 * 10 * 3)
        close(one, numpy(other), atol=0)


def test_own_seeds():
    x = np.tile(images(1, 24, 24), (6, 1, 1, 1))
    views = augment.cifar(16, seed=5)
    first, second = views(x), views(x)
    rows = np.concatenate([numpy(view) for view in (*first, *second)]).reshape(24, -1)
    assert len(np.unique(rows, axis=0)) == 24  # other views of each image, of each row, at each call
    repeated = augment.cifar(16, seed=5)
    for call in (first, second):
        for one, other in zip(call, repeated(x), strict=True):
            close(one, numpy(other), atol=0)
    assert np.abs(numpy(augment.cifar(16, seed=6)(x)[0]) - numpy(first[0])).max() > 1
    compiled = tf.function(augment.cifar(16, seed=5))
    close(compiled(x)[0], numpy(first[0]))
    close(compiled(x)[0], numpy(second[0]))  # the state moves in a graph too


def test_layers_of_keras_and_keras_cv_in_a_view():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras_cv
    x, s = images(6, 24, 24), seeds(6)
    view = augment.View(
        [
            augment.RandomResizedCrop(16, flip=0.5),
            keras_cv.layers.RandomColorJitter((0, 255), 0.2, 0.2, 0.2, 0.1),
            keras.layers.RandomGrayscale(factor=1.0),
            keras.layers.Rescaling(1.0),
        ]
    )
    policies = augment.View([augment.RandomResizedCrop(16), keras_cv.layers.RandAugment((0, 255), 1)])
    batches = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s}).batch(3)
    for batch in batches.map(augment.Views([view, policies]), num_parallel_calls=2):
        for found in batch:
            assert found.shape == (3, 16, 16, 3) and found.dtype == "float32"
            assert 20 < numpy(found).mean() < 255 and numpy(found).max() <= 255.001
        close(batch[0][..., 0], numpy(batch[0][..., 1]), atol=1e-3)  # gray, as only in training

    model = keras.Sequential([view, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(x, np.zeros((6, 1)), batch_size=3, verbose=0, shuffle=False)


def test_a_layer_that_needs_values_names_the_other_place():
    class Loops(keras.layers.Layer):  # as RandAugment and others of KerasCV
        def call(self, images):
            return images if keras.ops.max(images) > 300 else 255 - images

    view, x = augment.View([augment.RandomFlip(), Loops()]), images(4)

    class Model(keras.Model):
        def call(self, x, training=False):
            return keras.ops.mean(view(x), axis=(1, 2, 3))[:, None]

    model = Model()
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.raises(ValueError, match="The layer Loops asks for the value .*keras_ssl.data.views"):
        model.fit(x, np.zeros((4, 1)), verbose=0)


ELSEWHERE = ["CutMix", "FourierMix", "MixUp", "Mosaic", "RandomAspectRatio", "RepeatedAugmentation"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_layer_of_keras_cv_that_cannot_be_in_a_view_says_why(name):
    keras_cv = pytest.importorskip("keras_cv")
    options = {"RandomAspectRatio": ((0.8, 1.25),), "RepeatedAugmentation": ([keras_cv.layers.RandomFlip()] * 2,)}
    layer = getattr(keras_cv.layers, name)(*options.get(name, ()))
    why = {"RandomAspectRatio": "unequal sizes", "RepeatedAugmentation": "one sample of each"}.get(name, "mixes labels")
    with pytest.raises(ValueError, match=f"The layer {name} .*{why}"):
        augment.View([layer])(images(4))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda x: {"images": x}, "must give one tensor .* Received: dict"),
        (lambda x: keras.ops.concatenate([x, x]), "must give one sample of each"),
        (lambda x: keras.ops.mean(x), "must give one sample of each"),
    ],
)
def test_what_a_layer_of_others_makes_is_looked_at(made, why):
    class Other(keras.layers.Layer):
        def call(self, images):
            return made(images)

    with pytest.raises(ValueError, match=f"The layer Other {why}"):
        augment.View([Other()])(images(4))


# Replicas and backends

REPLICAS = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from keras_ssl import augment
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    views = augment.Views(augment.View([augment.RandomResizedCrop(8), augment.Solarize(p=0.5)]), 2, seed=1)
image = np.random.default_rng(0).integers(0, 256, (1, 12, 12, 3)).repeat(3, 0).astype("uint8")
run = tf.function(lambda: strategy.run(lambda: views(image)))
rows = []
for call in range(3):
    for view in run():
        rows += [x.numpy().reshape(3, -1) for x in strategy.experimental_local_results(view)]
print("unique", len(np.unique(np.concatenate(rows), axis=0)))
seed = np.arange(6, dtype="int32").reshape(3, 2)
first, _ = strategy.run(lambda: views({"image": image, "seed": seed}))
one, two = strategy.experimental_local_results(first)
print("equal", bool(np.array_equal(one.numpy(), two.numpy())))
"""

OTHER_BACKEND = """
import sys
import keras
import numpy as np
from keras_ssl import augment
given = np.load(sys.argv[1])
views = augment.simclr(12)({"image": given["image"], "seed": given["seed"]})
results = {"uniform": augment.uniform(given["seed"], 9), "first": views[0], "second": views[1]}
np.savez(sys.argv[2], **{name: keras.ops.convert_to_numpy(value) for name, value in results.items()})
"""


def run(code, *arguments, **environment):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_replicas_draw_other_views():
    # 3 rows, 2 views, 2 replicas, 3 calls of the same image; with given seeds the replicas agree.
    assert run(REPLICAS).split() == ["unique", "36", "equal", "True"]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_views(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    x, s = images(6, 20, 20), seeds(6)
    np.savez(tmp_path / "given.npz", image=x, seed=s)
    run(OTHER_BACKEND, tmp_path / "given.npz", tmp_path / "found.npz", KERAS_BACKEND=backend)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found["uniform"], numpy(augment.uniform(s, 9)))
    for name, view in zip(("first", "second"), augment.simclr(12)(x, seeds=s), strict=True):
        close(view, found[name])


# Configurations and errors


@pytest.mark.parametrize(
    "layer",
    [
        augment.RandomResizedCrop((8, 6), scale=[0.3, 0.9], ratio=(0.9, 1.1), flip=0.25, seed=4, name="crop"),
        augment.RandomFlip(0.3, seed=1),
        augment.ColorJitter(0.1, 0.2, 0.3, 0.4, p=0.5, seed=2),
        augment.Grayscale(0.7),
        augment.GaussianBlur(5, sigma=(0.5, 1.0), p=0.9),
        augment.Solarize(99, p=0.4),
        augment.View([augment.Solarize(3), keras.layers.Rescaling(2.0)], seed=9),
        augment.Views(augment.Grayscale(0.5), 3),
        augment.Views([augment.Grayscale(0.5), augment.Solarize(7)]),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configurations(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.name == layer.name
    for found, expected in zip(
        keras.tree.flatten(again(images(), seeds=seeds())), keras.tree.flatten(layer(images(), seeds=seeds()))
    ):
        close(found, numpy(expected), atol=0)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: augment.RandomResizedCrop(-3), "size must be a positive int or a pair of them. Received: size=-3"),
        (lambda: augment.RandomResizedCrop((3, 4, 5)), "size must be a positive int or a pair"),
        (lambda: augment.RandomResizedCrop(8, scale=(0.5, 0.1)), "scale must be a pair"),
        (lambda: augment.RandomResizedCrop(8, scale=(0.5, 1.1)), "at most 1"),
        (lambda: augment.RandomResizedCrop(8, ratio=2), "ratio must be a pair"),
        (lambda: augment.RandomResizedCrop(8, flip=2), "flip must be a probability"),
        (lambda: augment.RandomFlip(1.5), "p must be a probability from 0 to 1. Received: p=1.5"),
        (lambda: augment.ColorJitter(-0.1), "brightness must not be negative"),
        (lambda: augment.ColorJitter(hue=0.6), "hue must be from 0 to 0.5"),
        (lambda: augment.GaussianBlur(4), "kernel must be an odd positive int"),
        (lambda: augment.GaussianBlur(sigma=(0, 1)), "sigma must be a pair"),
        (lambda: augment.GaussianBlur(43)(images()), "kernel must be smaller"),
        (lambda: augment.Solarize(300), "threshold must be"),
        (lambda: augment.View(augment.Grayscale()), "layers must be a list"),
        (lambda: augment.View(["flip"]), "layers must be a list"),
        (lambda: augment.View([]), "layers must be a list"),
        (lambda: augment.Views(augment.Grayscale()), "count must be a positive int"),
        (lambda: augment.Views([augment.Grayscale()], 2), "count goes with a single view"),
        (lambda: augment.Views([keras.layers.Rescaling(1.0)]), "views must be a list"),
        (lambda: augment.Grayscale()(images(channels=1)), "3 channels"),
        (lambda: augment.ColorJitter(hue=0.1)(images(channels=4)), "3 channels"),
        (lambda: augment.ColorJitter(saturation=0.1)(images(channels=1)), "3 channels"),
        (lambda: augment.RandomFlip()(images()[0]), "expects a batch of images"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        build()
