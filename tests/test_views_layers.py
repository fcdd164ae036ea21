"""Filters, color spaces, geometry, erasing and policies: values against NumPy and Pillow, and the same everywhere."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ssl import data
from keras_ssl.augment.image.channels import SplitChannels, ToLab, ToYCbCr
from keras_ssl.augment.image.crop import RandomFlip, RandomResizedCrop
from keras_ssl.augment.image.drop import ChannelDrop, RandomErasing
from keras_ssl.augment.image.filters import Sobel
from keras_ssl.augment.image.geometry import CenterCrop, RandomCrop, RandomRotate, Resize, Rotations
from keras_ssl.augment.image.policies import OPERATIONS, AutoAugment, RandAugment, each, one_of
from keras_ssl.augment.random import uniform
from keras_ssl.augment.shared import SharedViews
from keras_ssl.augment.view import View, Views
from tests.reference import augment as draws_of
from tests.reference import views as reference
from tests.test_augment import close, images, numpy, seeds

# One of each, for images of any number of channels.
LAYERS = [
    Sobel(keep=True),
    SplitChannels((2, 4)),
    RandomCrop((10, 14), padding=3, reflect=True, flip=0.5),
    Resize((9, 7)),
    CenterCrop(11, part=0.875),
    Rotations((0, 45, 270)),
    RandomRotate((0, 45, 90, 135)),
    RandomErasing(p=0.7),
    ChannelDrop(keep=2, p=0.6),
    RandAugment(operations=[name for name in OPERATIONS if name != "color"]),
    AutoAugment([[("shear_y", 0.5, 9), ("equalize", 0.9, 1)], [("invert", 0.8, 3), ("sharpness", 0.4, 7)]], fill=0),
    SharedViews([RandomResizedCrop(8, flip=0.5), RandomResizedCrop(16, flip=0.5)]),
]
named = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)


# Filters and channels


@pytest.mark.parametrize("fill, channels", [(None, 3), (100.0, 3), (None, 1), (0.0, 6)])
def test_sobel_is_that_of_the_reference(fill, channels):
    x = images(3, 7, 9, channels)
    close(Sobel(fill)(x), [reference.sobel(image, fill) for image in x], atol=1e-2)
    kept = numpy(Sobel(fill, keep=True)(x))
    np.testing.assert_array_equal(kept[..., 2:], x)


def test_sobel_sees_slopes_only():
    ramp = np.tile(np.arange(12, dtype="float32")[None, None, :, None] * 10, (1, 8, 1, 3))
    found = numpy(Sobel()(ramp))[0]
    close(found[:, 1:-1, 0], np.full((8, 10), -80.0), atol=1e-3)  # brighter to the right: minus 8 times the step
    close(found[..., 1], np.zeros((8, 12)), atol=1e-3)


def test_lab_is_that_of_the_definition():
    palette = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype("uint8")
    palette[0, 0, :6] = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [2, 3, 1]]
    expected = np.array([reference.lab(*pixel) for pixel in palette.reshape(-1, 3)]).reshape(palette.shape)
    close(ToLab()(palette), expected, atol=1e-3)
    close(ToLab(pixels=True)(palette), expected * [2.55, 1, 1] + [0, 128, 128], atol=3e-3)
    published = [[0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20], [87.74, -86.18, 83.18], [32.30, 79.19, -107.86]]
    close(ToLab()(palette)[0, 0, :5], published, atol=0.02)
    keras.config.set_dtype_policy("mixed_float16")
    close(ToLab()(palette), expected, atol=1e-3)


def test_lab_is_that_of_scikit_image():
    """Values of `skimage.color.rgb2lab`, scikit-image 0.26.0, D65 and 2 degrees."""
    published = {
        (0, 0, 0): (0.0, 0.0, 0.0),
        (1, 2, 3): (0.5098, -0.1225, -0.4705),
        (5, 3, 8): (1.0381, 1.2182, -1.7077),
        (10, 11, 9): (2.923, -0.55, 0.6724),
        (12, 0, 40): (2.0895, 12.8877, -21.7861),
        (30, 20, 10): (7.211, 3.344, 6.7557),
        (128, 128, 128): (53.585, -0.0015, 0.0028),
        (200, 100, 50): (53.6295, 36.3052, 45.3805),
        (17, 201, 180): (73.0129, -45.7152, -1.1808),
        (250, 240, 130): (93.5627, -11.0062, 53.9556),
        (255, 0, 0): (53.2406, 80.0923, 67.2028),
        (0, 255, 0): (87.7351, -86.183, 83.1797),
        (0, 0, 255): (32.2957, 79.1856, -107.8573),
        (255, 255, 255): (100.0, -0.0025, 0.0047),
    }
    close(ToLab()(np.array([[list(published)]], "uint8"))[0, 0], list(published.values()), atol=1e-3)


def test_ycbcr_of_the_primaries():
    x = np.array([[[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]]], "uint8")
    published = [[16, 128, 128], [235, 128, 128], [81.5, 90.2, 240], [144.6, 53.8, 34.2], [41, 240, 109.8]]
    close(ToYCbCr()(x)[0, 0], published, atol=0.1)


def test_channels_are_split():
    x = images(2, 5, 6, 6)
    first, second, third = SplitChannels((1, 2, 3))(x)
    for view, part in [(first, x[..., :1]), (second, x[..., 1:3]), (third, x[..., 3:])]:
        np.testing.assert_array_equal(numpy(view), part)


@pytest.mark.parametrize("keep, channels, fill", [(1, 3, 0.0), (2, 6, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)), (1, 3, None)])
def test_channels_are_dropped(keep, channels, fill):
    n = 2000
    x = np.tile(images(1, 4, 4, channels), (n, 1, 1, 1))
    found = numpy(ChannelDrop(keep, fill=fill, p=0.75)(x, seeds=seeds(n)))
    left = (found == x).all(axis=(1, 2))  # (n, channels)
    counts = left.sum(axis=1)
    assert set(counts) == {keep, channels}
    assert abs((counts == keep).mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / n)
    rate = keep / channels
    assert np.abs(left[counts == keep].mean(axis=0) - rate).max() < 5 * np.sqrt(rate / n)
    lost = found[~left.repeat(16, axis=0).reshape(n, 4, 4, channels)]
    if fill is None:
        assert lost.min() >= 0 and lost.max() < 255 and abs(lost.mean() - 127.5) < 5 * 74 / np.sqrt(lost.size)
    else:
        assert set(lost) <= set(np.atleast_1d(fill))


# Geometry


@pytest.mark.parametrize(
    "size, shape, padding, reflect, flip",
    [((9, 7), (9, 7), 2, False, 0.5), ((16, 20), (12, 15), 4, True, 0.0), ((6, 6), (11, 9), 0, False, 1.0)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_crop_with_padding_is_that_of_the_reference(size, shape, padding, reflect, flip, channels):
    x, s = images(24, *shape, channels), seeds(24)
    found = RandomCrop(size, padding, reflect, fill=50.0, flip=flip)(x, seeds=s)
    expected = [reference.random_crop(*pair, size, padding, reflect, 50.0, flip) for pair in zip(x, s)]
    np.testing.assert_array_equal(numpy(found), expected)


def test_crop_takes_all_places_alike():
    n = 9000
    place = np.arange(64, dtype="float32").reshape(1, 8, 8, 1)
    corner = numpy(RandomCrop(6)(np.tile(place, (n, 1, 1, 1)), seeds=seeds(n)))[:, 0, 0, 0]
    found, counts = np.unique(corner, return_counts=True)
    np.testing.assert_array_equal(found, place[0, :3, :3, 0].ravel())
    assert ((counts - n / 9) ** 2 / (n / 9)).sum() < 8 + 5 * np.sqrt(16)


def test_center_crop_and_resize_are_pillows():
    for (height, width), size, part in [((40, 60), 28, 0.875), ((33, 20), (12, 18), 1.0), ((16, 16), 24, 1.0)]:
        x = images(2, height, width).astype("float32")
        h, w = size if isinstance(size, tuple) else (size, size)
        unit = min(height / h, width / w) * part
        box_h, box_w = round(unit * h), round(unit * w)
        top, left = (height - box_h) // 2, (width - box_w) // 2
        for layer, box in [
            (CenterCrop(size, part), (left, top, left + box_w, top + box_h)),
            (Resize(size), (0, 0, width, height)),
        ]:
            found = numpy(layer(x))
            for one, image in zip(found, x):
                for channel in range(3):
                    expected = Image.fromarray(image[..., channel]).crop(box).resize((w, h), Image.Resampling.BILINEAR)
                    close(one[..., channel], np.asarray(expected), atol=0.05)


def test_center_crop_of_images_of_unknown_size():
    x = images(2, 30, 40)
    program = tf.function(CenterCrop(16), input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    close(program(x), numpy(CenterCrop(16)(x)))


def test_rotations_move_pixels_only():
    for x in (images(2, 9, 9), images(2, 6, 9, 1)):
        for k, view in enumerate(Rotations()(x)):
            np.testing.assert_array_equal(numpy(view), np.rot90(x, k, axes=(1, 2)))
    square = images(2, 8, 8)
    around = square
    for _ in range(4):
        around = Rotations((90,))(around)[0]
    np.testing.assert_array_equal(numpy(around), square)
    flipped = Rotations((270,))(square[:, :, ::-1])[0]  # why a flip must come before
    np.testing.assert_array_equal(numpy(Rotations((90,))(square)[0])[:, :, ::-1], numpy(flipped))


@pytest.mark.parametrize("shape", [(16, 16), (17, 24), (15, 15)])
def test_rotations_by_45_degrees_have_no_corners(shape):
    x = images(2, *shape)
    degrees = (0, 45, 90, 135, 180, 225, 270, 315)
    views = Rotations(degrees)(x)
    assert len({view.shape for view in views}) == 1
    for angle, view in zip(degrees, views):
        close(view, [reference.rotated_square(image, angle) for image in x], atol=1e-2)
    flat = np.full((1, 20, 20, 3), 200, "uint8")
    for view in Rotations(degrees)(flat):
        close(view, np.full(view.shape, 200.0), atol=1e-3)


@pytest.mark.parametrize("degrees", [(0, 90, 180, 270), (90, 270), (0, 45, 135, 180, 315), (0, -90)])
def test_random_rotations_are_the_labeled_ones(degrees):
    n = 400
    x = np.tile(images(1, 6, 6), (n, 1, 1, 1))
    found, label = (numpy(part) for part in RandomRotate(degrees, label=True)(x, seeds=seeds(n)))
    every = np.stack([numpy(view) for view in Rotations(degrees)(x[:1])])[:, 0]
    np.testing.assert_allclose(found, every[label], atol=1e-4)
    rates = np.bincount(label, minlength=len(degrees)) / n
    assert label.dtype == "int32" and np.abs(rates - 1 / len(degrees)).max() < 5 * np.sqrt(0.25 / n)
    np.testing.assert_array_equal(numpy(RandomRotate(degrees)(x, seeds=seeds(n))), found)


def test_half_turns_need_no_square():
    x, s = images(8, 5, 9), seeds(8)
    found, label = RandomRotate((0, 180), label=True)(x, seeds=s)
    for one, image, turned in zip(numpy(found), x, numpy(label)):
        np.testing.assert_array_equal(one, image[::-1, ::-1] if turned else image)


# Erasing


@pytest.mark.parametrize("shape, scale", [((24, 12), (0.02, 0.4)), ((9, 30), (0.3, 0.9)), ((4, 4), (0.01, 0.02))])
def test_erasing_is_that_of_the_reference(shape, scale):
    x, s = images(64, *shape), seeds(64)
    ratio = (0.3, 10 / 3)
    masks = np.array([reference.erased(image.shape, seed, scale, ratio, 0.5) for image, seed in zip(x, s)])
    found = RandomErasing(scale, ratio, fill=(1.0, 2.0, 3.0))(x, seeds=s)
    np.testing.assert_array_equal(numpy(found), np.where(masks, np.array([1.0, 2.0, 3.0]), x))
    noisy = numpy(RandomErasing(scale, ratio)(x, seeds=s))
    np.testing.assert_array_equal(noisy[~masks], x[~masks])
    noise = noisy[masks]
    assert abs(noise.mean() - 127.5) < 5 * 74 / np.sqrt(noise.size) and len(np.unique(noise)) > 0.99 * noise.size


def test_noise_is_that_of_the_definition():
    s = seeds(3)
    for count in (50, 200, keras.ops.convert_to_tensor(90, "int32")):  # few numbers, many, a number not yet known
        np.testing.assert_array_equal(numpy(uniform(s, count)), [draws_of.uniform(row, int(count)) for row in s])


# Policies

AMOUNTS = {
    "rotate": (-30, 7.3), "shear_x": (0.3, -0.17), "shear_y": (0.3, -0.17), "translate_x": (0.45, -0.21),
    "translate_y": (0.45, -0.21), "color": (0.1, 1.9), "contrast": (0.1, 1.9), "brightness": (0.1, 1.9),
    "sharpness": (0.1, 1.9), "posterize": (4, 6), "solarize": (0, 100, 256),
    "solarize_add": (0, 11, 110),
}  # fmt: skip
MIXES = ("color", "contrast", "brightness", "sharpness")


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_pillows(name):
    x = images(3, 14, 18)
    x[0, :, :, 1] = 77  # a channel without contrast
    number = OPERATIONS.index(name)
    for amount in AMOUNTS.get(name, (0,)):
        expected = np.array([reference.operation(image, name, amount) for image in x])
        given = OPERATIONS, tf.fill([3], number), tf.fill([3], float(amount)), 128.0
        together = numpy(each(tf.cast(x, "float32"), *given))
        given = OPERATIONS, tf.constant([number]), tf.constant([float(amount)]), 128.0
        alone = np.concatenate([numpy(one_of(tf.cast(image[None], "float32"), *given)) for image in x])
        np.testing.assert_allclose(alone, together, atol=1e-3)
        # Pillow cuts off what is behind the point where it mixes; its gray image is of whole numbers.
        close(together, expected, atol=1.5 if name in MIXES else 1.0 if name == "autocontrast" else 0)


def test_equalize_does_what_it_does_also_to_dull_images():
    dull = np.random.default_rng(0).choice([100, 101, 140], (1, 20, 20, 3), p=[0.9, 0.05, 0.05]).astype("uint8")
    tiny = images(1, 5, 5)  # too few pixels for the formula: left as it is
    for x in (dull, tiny, np.full((1, 6, 6, 3), 9, "uint8")):
        found = RandAugment(1, operations=("equalize",))(x)
        np.testing.assert_array_equal(numpy(found)[0], reference.operation(x[0], "equalize", 0))


def test_a_policy_is_its_operations_one_after_the_other():
    x, s = images(40, 12, 12), seeds(40)
    for layer in (RandAugment(3, 8, deviation=2.0, p=0.7), AutoAugment()):
        drawn = layer.draw(s, (12, 12))
        found = numpy(layer(x, seeds=s))
        operation, amount = numpy(drawn["operation"]), numpy(drawn["amount"])
        changed = 0
        for i, image in enumerate(tf.cast(x, "float32")):
            image = image[None]
            for step in range(operation.shape[1]):
                image = one_of(image, layer.operations, operation[i, None, step], amount[i, None, step], layer.fill)
            close(found[i], numpy(image)[0], atol=1e-2)
            changed += np.abs(found[i] - x[i]).max() > 1
        assert changed > 20


def test_rand_augment_draws_all_alike():
    n = 8000
    layer = RandAugment(2, 6, deviation=1.0, p=0.5)
    drawn = {name: numpy(value) for name, value in layer.draw(seeds(n), (8, 8)).items()}
    operation, amount = drawn["operation"], drawn["amount"]
    assert len(layer.operations) == 14 and operation.shape == amount.shape == (n, 2)
    assert abs((operation >= 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(2 * n)
    counts = np.bincount(operation[operation >= 0], minlength=14)
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 13 + 5 * np.sqrt(26)
    assert abs(np.corrcoef(operation.T)[0, 1]) < 5 / np.sqrt(n)
    angles = amount[operation == layer.operations.index("rotate")]
    assert abs((angles > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(len(angles))
    assert abs(np.abs(angles).mean() / 3 - 6) < 5 / np.sqrt(len(angles))
    assert abs((np.abs(angles) / 3).std() - 1) < 5 / np.sqrt(2 * len(angles))
    posterized = amount[operation == layer.operations.index("posterize")]
    assert set(posterized) <= {4, 5, 6, 7, 8}


def test_the_strongest_and_the_weakest_magnitude():
    for magnitude, expected in [
        (10, {"rotate": 30, "shear_x": 0.3, "translate_y": 0.45, "color": 0.9, "posterize": 4, "solarize": 0}),
        (0, {"rotate": 0, "shear_x": 0, "translate_y": 0, "color": 0, "posterize": 8, "solarize": 256}),
    ]:
        for name, value in expected.items():
            amount = numpy(RandAugment(1, magnitude, operations=(name,)).draw(seeds(8), (8, 8))["amount"])
            close(np.abs(amount - 1) if name == "color" else np.abs(amount), np.full((8, 1), value), atol=1e-5)


def test_auto_augment_draws_its_pairs():
    n = 5000
    layer = AutoAugment()
    assert len(layer.policy) == 25
    drawn = {name: numpy(value) for name, value in layer.draw(seeds(n), (8, 8)).items()}
    first, second = drawn["operation"].T
    of = layer.operations.index
    pairs = {(of(a[0]), of(b[0])) for a, b in layer.policy}
    assert set(zip(first[(first >= 0) & (second >= 0)], second[(first >= 0) & (second >= 0)])) <= pairs
    # The only inversions in the first place are of the pairs 14 and 23, with probability 0.6.
    for operation, rate in [(of("invert"), 2 / 25 * 0.6), (of("posterize"), (0.4 + 0.6 + 0.8) / 25)]:
        assert abs((first == operation).mean() - rate) < 5 * np.sqrt(rate / n)


# The same everywhere


def test_shared_views_have_the_same_draws():
    x, s = images(6, 32, 32), seeds(6)
    large, small = SharedViews([RandomResizedCrop(32, flip=0.5), RandomResizedCrop(16, flip=0.5)])(x, seeds=s)
    halved = numpy(large).reshape(6, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - numpy(small)).mean() < 6
    alone = Views([RandomResizedCrop(32, flip=0.5), RandomResizedCrop(16, flip=0.5)])(x, seeds=s)
    halved = numpy(alone[0]).reshape(6, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - numpy(alone[1])).mean() > 20


@named
def test_configurations(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.name == layer.name
    x, s = images(4, 16, 16, 6), seeds(4)
    for found, expected in zip(keras.tree.flatten(again(x, seeds=s)), keras.tree.flatten(layer(x, seeds=s))):
        close(found, numpy(expected), atol=0)


@named
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_any_number_of_channels(layer, channels):
    if isinstance(layer, SplitChannels):
        layer = SplitChannels((channels,))
    x, s = images(4, 16, 16, channels), seeds(4)
    if isinstance(layer, ChannelDrop) and channels < layer.keep:
        layer = ChannelDrop()
    for view in keras.tree.flatten(layer(x, seeds=s)):
        assert view.shape[0] == 4 and view.dtype == "float32" and np.isfinite(numpy(view)).all()
        assert view.shape[-1] in ((channels, channels + 2) if isinstance(layer, Sobel) else (channels,))
    alone = layer(x[2:3], seeds=s[2:3])
    for view, one in zip(keras.tree.flatten(layer(x, seeds=s)), keras.tree.flatten(alone)):
        close(one, numpy(view)[2:3], atol=1e-2)


@pytest.mark.parametrize("jit", [False, True])
def test_the_same_views_compiled(jit):
    x, s = images(4, 16, 16, 6), seeds(4)
    views = Views(LAYERS)
    expected = keras.tree.flatten(views(x, seeds=s))
    found = keras.tree.flatten(tf.function(views, jit_compile=jit)(x, seeds=s))
    for one, other in zip(found, expected, strict=True):
        close(one, numpy(other), atol=0.1)


def test_the_same_views_in_a_pipeline():
    x, s = images(6, 12, 12), seeds(6)
    view = View([RandAugment(1), RandomCrop(10, padding=1), RandomErasing(), Sobel()])
    assert view.separable and not SplitChannels((1, 2)).separable and not View([Rotations()]).separable
    batches = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s}).batch(3, drop_remainder=True)
    several = View([RandomFlip(), SplitChannels((1, 2))])
    for augment in (Views(view, 1), several):
        made = list(data.views(batches, augment))
        expected = augment(x, seeds=s)
        assert len(expected) == len(made[0]["views"]) == (1 if augment is not several else 2)
        for number, value in enumerate(expected):
            close(tf.concat([batch["views"][number] for batch in made], 0), numpy(value), atol=0.5)


def test_filters_stand_in_an_encoder(tmp_path):
    inputs = keras.Input((16, 16, 3), dtype="uint8")
    encoder = keras.Sequential([inputs, Sobel(), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()])
    assert [weight.shape for weight in encoder.trainable_weights] == [(3, 3, 2, 4), (4,)]
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    close(again(images(2, 16, 16)), numpy(encoder(images(2, 16, 16))), atol=0)


OTHER_BACKEND = """
import sys
import keras
import numpy as np
from keras_ssl.augment.view import Views
from tests.test_views_layers import LAYERS
given = np.load(sys.argv[1])
views = keras.tree.flatten(Views(LAYERS)({"image": given["image"], "seed": given["seed"]}))
np.savez(sys.argv[2], *[keras.ops.convert_to_numpy(view) for view in views])
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_views(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    x, s = images(4, 16, 16, 6), seeds(4)
    np.savez(tmp_path / "given.npz", image=x, seed=s)
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", OTHER_BACKEND, tmp_path / "given.npz", tmp_path / "found.npz"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found = list(np.load(tmp_path / "found.npz").values())
    for one, other in zip(found, keras.tree.flatten(Views(LAYERS)(x, seeds=s)), strict=True):
        close(one, numpy(other), atol=0.1)


# Errors


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: ToLab()(images(channels=1)), "ToLab needs images with 3 channels"),
        (lambda: ToYCbCr()(images(channels=6)), "ToYCbCr needs images with 3 channels"),
        (lambda: SplitChannels((0, 3)), "sizes must be a list of positive ints"),
        (lambda: SplitChannels((1, 1))(images()), "sizes must add up to the channels"),
        (lambda: ChannelDrop(keep=0), "keep must be a positive int"),
        (lambda: ChannelDrop(keep=4)(images()), "keep must be at most the number of channels"),
        (lambda: RandomErasing(scale=(0.5, 1.5)), "at most 1"),
        (lambda: RandomErasing(p=2), "p must be a probability"),
        (lambda: RandomCrop(8, padding=-1), "padding must be an int, 0 or more. Received: padding=-1"),
        (lambda: RandomCrop(30, padding=2)(images()), "size must be at most the image's with its padding"),
        (lambda: RandomCrop(20, padding=20, reflect=True)(images()), "a reflected padding less than the image"),
        (lambda: Resize(0), "size must be a positive int"),
        (lambda: CenterCrop(8, part=1.1), "part must be above 0 and at most 1"),
        (lambda: Rotations((30,)), "degrees must be a list of multiples of 45"),
        (lambda: RandomRotate(90), "degrees must be a list of multiples of 45"),
        (lambda: RandomRotate()(images()), "must be square"),
        (lambda: Rotations((45,))(images(height=1, width=1)), "too small to rotate"),
        (lambda: RandAugment(0), "count must be a positive int"),
        (lambda: RandAugment(magnitude=11), "magnitude must be from 0 to 10"),
        (lambda: RandAugment(deviation=-1), "deviation must not be negative"),
        (lambda: RandAugment(operations=("twist",)), "operations must be a list of some of"),
        (lambda: RandAugment()(images(channels=1)), "operation 'color' of RandAugment needs images"),
        (lambda: AutoAugment()(images(channels=6)), "operation 'color' of AutoAugment needs images"),
        (lambda: AutoAugment([]), "policy must be a list of pairs"),
        (lambda: AutoAugment([[("rotate", 0.5)]]), "policy must be a list of pairs"),
        (lambda: AutoAugment([[("rotate", 1.5, 3)]]), "must be a probability"),
        (lambda: AutoAugment([[("rotate", 0.5, 10)]]), "must be from 0 to 9"),
        (lambda: AutoAugment([[("twist", 0.5, 1)]]), "operations must be a list of some of"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()
