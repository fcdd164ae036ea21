"""Patches: cuts and orders against loops with the same draws, and the same patches everywhere."""

import importlib.util
import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from PIL import Image

from keras_ssl.augment import ColorJitter, Grayscale, RandomResizedCrop, View, Views, patchify, unpatchify
from keras_ssl.augment.image import patches
from keras_ssl.augment.random import split
from tests.reference import augment as reference_augment
from tests.reference import patches as reference


def images(batch=6, height=40, width=44, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, height, width, channels)).astype("uint8")


def seeds(batch=6, seed=0):
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (batch, 2)).astype("int32")


def numpy(x):
    return ops.convert_to_numpy(x)


def coordinates(batch, height, width):
    """Images whose pixels say where they are: row, column and number of the image."""
    x = np.zeros((batch, height, width, 3), "float32")
    x[..., 0], x[..., 1] = np.arange(height)[:, None], np.arange(width)
    x[..., 2] = np.arange(batch)[:, None, None]
    return x


# Patches


@pytest.mark.parametrize("size, pair", [(4, (4, 4)), ((8, 11), (8, 11)), (1, (1, 1))])
def test_patchify(size, pair):
    x = images()
    found = patchify(x, size)
    np.testing.assert_array_equal(numpy(found), [reference.patchify(image, *pair) for image in x])
    grid = (40 // pair[0], 44 // pair[1])
    np.testing.assert_array_equal(numpy(unpatchify(found, size, grid)), x)
    square = images(2, 24, 24)
    np.testing.assert_array_equal(numpy(unpatchify(patchify(square, 8), 8)), square)


GRIDS = [  # the papers', at a fifth to a tenth of the size, with room to move or without
    ("context prediction", (3, 9), {"gap": 4, "jitter": 1}, (9, 4 + 9, -1, 1)),
    ("jigsaw", (3, 8), {"stride": 11, "jitter": (0, 3)}, (8, 11, 0, 3)),
    ("CPC", (5, 8), {"stride": 4}, (8, 4, 0, 0)),
    ("counting", (2, 20), {}, (20, 20, 0, 0)),
    ("JigClu", (2, 30), {"stride": 6}, (30, 6, 0, 0)),
    ("uneven", ((2, 4), 7), {"jitter": (-3, -1)}, (7, 7, -3, -1)),
]


@pytest.mark.parametrize("name, arguments, options, numbers", GRIDS, ids=lambda x: x if isinstance(x, str) else "")
def test_grids_are_those_of_the_reference(name, arguments, options, numbers):
    x, s = images(), seeds()
    layer = patches.PatchGrid(*arguments, **options)
    grid = arguments[0] if isinstance(arguments[0], tuple) else (arguments[0], arguments[0])
    expected = [reference.patch_grid(*pair, grid, *numbers)[0] for pair in zip(x, s)]
    np.testing.assert_array_equal(numpy(layer(x, seeds=s)), expected)


def test_patches_are_at_all_the_places_they_may_be_at():
    n = 3000
    x = coordinates(n, 16, 13)
    found = numpy(patches.PatchGrid(2, 3, gap=2, jitter=1)(x, seeds=seeds(n)))
    corners = found[:, :, 0, 0, :2].reshape(n, 2, 2, 2)
    across = corners[:, :, 1, 1] - corners[:, :, 0, 1]
    assert set(np.unique(across)) == set(range(3, 8))  # 5 from a patch to the next, less 2 to 2 more
    # Two moves of -1, 0 or 1: the differences are a triangle. 0.222 is the standard deviation of a part of 1/3 by n.
    parts = [(across == distance).mean() for distance in range(3, 8)]
    np.testing.assert_allclose(parts, np.array([1, 2, 3, 2, 1]) / 9, atol=5 * np.sqrt(0.222 / n))
    assert corners[..., 0].min() == 0 and corners[..., 0].max() == 13  # the whole image is in use
    assert corners[..., 1].min() == 0 and corners[..., 1].max() == 10
    fixed = numpy(patches.PatchGrid(3, 64, stride=85, jitter=(0, 21))(coordinates(40, 255, 255), seeds=seeds(40)))
    corners = fixed[:, :, 0, 0, :2].reshape(40, 3, 3, 2)
    cells = corners - 85 * np.stack(np.meshgrid(range(3), range(3), indexing="ij"), axis=-1)
    assert cells.min() == 0 and cells.max() == 21  # each tile in its cell of 85 pixels


def test_every_patch_is_an_image_for_a_layer():
    x, s = images(4, 24, 24), seeds(4)
    cut = patches.PatchGrid(2, 12)(x)
    layer = View([RandomResizedCrop(8), ColorJitter(0.4, 0.4, p=1.0), Grayscale(0.5)])
    found = numpy(patches.PerPatch(layer)(cut, seeds=s))
    assert found.shape == (4, 4, 8, 8, 3)
    for number, own in enumerate(split(s, range(4))):
        np.testing.assert_allclose(found[:, number], numpy(layer(cut[:, number], seeds=own)), atol=1e-3)
    same = np.repeat(cut[:, :1], 4, axis=1)
    changed = numpy(patches.PerPatch(ColorJitter(0.4, 0.4, p=1.0))(same, seeds=s)).reshape(16, -1)
    assert len(np.unique(changed, axis=0)) == 16  # every patch by draws of its own


# Orders


def test_shuffled_patches():
    n = 600
    cut = patches.PatchGrid(2, 2)(coordinates(n, 4, 4))
    orders = patches.permutations(4, 5)
    shuffled, labels = map(numpy, patches.ShufflePatches(orders)(cut, seeds=seeds(n)))
    back = np.argsort(orders[labels], axis=1)
    np.testing.assert_array_equal(np.take_along_axis(shuffled, back[:, :, None, None, None], axis=1), numpy(cut))
    counts = np.bincount(labels, minlength=5)
    assert len(counts) == 5 and np.abs(counts / n - 0.2).max() < 5 * np.sqrt(0.16 / n)
    shuffled, order = map(numpy, patches.ShufflePatches()(cut, seeds=seeds(n)))
    np.testing.assert_array_equal(shuffled, np.take_along_axis(numpy(cut), order[:, :, None, None, None], axis=1))
    _, counts = np.unique(order, axis=0, return_counts=True)
    assert len(counts) == 24 and np.abs(counts / n - 1 / 24).max() < 5 * np.sqrt(1 / 24 / n)  # any of the 4!


@pytest.mark.parametrize("average", [False, True])
def test_permutations_are_chosen_greedily(average):
    chosen = [tuple(order) for order in patches.permutations(5, 30, average)]
    assert len(set(chosen)) == 30 and (0, 1, 2, 3, 4) not in chosen
    for number in range(1, 30):

        def worth(order):
            distances = [sum(a != b for a, b in zip(order, other)) for other in chosen[:number]]
            return sum(distances) if average else (min(distances), sum(distances))

        free = set(itertools.permutations(range(5))) - {*chosen[:number], (0, 1, 2, 3, 4)}
        assert worth(chosen[number]) == max(map(worth, free))


def test_permutations_of_nine_tiles():
    for count, average, mean, least in [(64, False, 8.1235, 7), (64, True, 8.125, 2), (100, False, 8.080, 6)]:
        chosen = patches.permutations(9, count, average)
        distances = (chosen[:, None] != chosen).sum(axis=2)[np.triu_indices(count, 1)]
        assert abs(distances.mean() - mean) < 1e-3 and distances.min() == least
    np.testing.assert_array_equal(patches.permutations(9, 100)[:64], patches.permutations(9, 64))
    assert len(patches.permutations(4, 23)) == 23


# Patches of other images


def test_replaced_patches():
    n = 900
    cut = patches.PatchGrid(3, 2)(coordinates(n, 6, 6))
    found = numpy(patches.ReplacePatches(2)(cut, seeds=seeds(n)))
    np.testing.assert_array_equal(found[..., :2], numpy(cut)[..., :2])  # each patch at its place
    image = found[:, :, 0, 0, 2]
    assert (found[..., 2] == image[:, :, None, None]).all()
    foreign = image != np.arange(n)[:, None]
    counts = np.bincount(foreign.sum(axis=1), minlength=3)
    assert len(counts) == 3 and np.abs(counts / n - 1 / 3).max() < 5 * np.sqrt(2 / 9 / n)
    assert np.abs(foreign.mean(axis=0) - 1 / 9).max() < 5 * np.sqrt(8 / 81 / n)
    for row, other in zip(image, foreign):
        assert len(set(row[other])) <= 1  # of one other image
    np.testing.assert_array_equal(numpy(patches.ReplacePatches(0)(cut)), numpy(cut))


def test_montages_tell_where_their_patches_are_from():
    x = coordinates(50, 8, 8)
    cut = patches.PatchGrid(2, 4)(x)
    montages, image, place = map(numpy, patches.Montage()(cut, seeds=seeds(50)))
    assert montages.shape == x.shape and image.dtype == place.dtype == "int32"
    for number, cell in np.ndindex(50, 4):
        y, x0 = 4 * (cell // 2), 4 * (cell % 2)
        found = montages[number, y : y + 4, x0 : x0 + 4]
        np.testing.assert_array_equal(found, numpy(cut)[image[number, cell], place[number, cell]])
    assert sorted(zip(image.ravel(), place.ravel())) == [(i, p) for i in range(50) for p in range(4)]
    assert (image == np.arange(50)[:, None]).mean() < 0.1  # the patches are spread over the batch
    assert 0.1 < (place == np.arange(4)).mean() < 0.4
    row = numpy(patches.Montage((1, 4))(cut, seeds=seeds(50))[0])
    assert row.shape == (50, 4, 16, 3)


def test_montages_of_two_replicas_are_those_of_one(two_replicas):
    cut, s = numpy(patches.PatchGrid(2, 4)(coordinates(6, 8, 8))), seeds()
    with two_replicas.scope():
        layer = patches.Montage()
    expected = layer(cut, seeds=s)

    def local():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        half = lambda x: tf.slice(x, [3 * number] + [0] * (x.ndim - 1), [3, *x.shape[1:]])
        return layer(half(cut), seeds=half(s))

    found = two_replicas.run(tf.function(local))
    for part, value in zip(found, expected, strict=True):
        joined = np.concatenate([x.numpy() for x in two_replicas.experimental_local_results(part)])
        np.testing.assert_array_equal(joined, numpy(value))


# Pixels


def test_channels_are_shifted():
    x, s = images(8, 9, 10), seeds(8)
    expected = [reference.shift_channels(image, seed, 2) for image, seed in zip(x, s)]
    np.testing.assert_array_equal(numpy(patches.ShiftChannels(2)(x, seeds=s)), expected)


def test_the_axis_from_green_to_magenta_is_gone():
    x = images().astype("float32")
    found = numpy(patches.ProjectColors()(x))
    np.testing.assert_allclose(found @ [-1, 2, -1], 0, atol=1e-3)
    np.testing.assert_allclose(found @ [1, 1, 1], x @ [1.0, 1.0, 1.0], atol=1e-2)
    np.testing.assert_allclose(found @ [1, 0, -1], x @ [1.0, 0.0, -1.0], atol=1e-2)
    matrix = [[0.8333, 0.3333, -0.1667], [0.3333, 0.3333, 0.3333], [-0.1667, 0.3333, 0.8333]]
    np.testing.assert_allclose(found, x @ np.transpose(matrix), atol=0.1)


@pytest.mark.parametrize("per_channel", [False, True])
def test_standardized_patches(per_channel):
    x = images()
    x[0] = 17
    found = numpy(patches.Standardize(100, 50, per_channel)(x))
    axes = (1, 2) if per_channel else (1, 2, 3)
    np.testing.assert_allclose(found[1:].mean(axis=axes), 100, atol=1e-2)
    np.testing.assert_allclose(found[1:].std(axis=axes), 50, atol=1e-2)
    np.testing.assert_array_equal(found[0], 100.0 + 0 * found[0])


def test_coarse_images_are_those_of_the_reference():
    x, s = images(12, 14, 11), seeds(12)
    for p in (0.4, 1.0):
        expected = [reference.coarsen(image.astype("float64"), seed, (4, 200), p) for image, seed in zip(x, s)]
        np.testing.assert_allclose(numpy(patches.Coarsen((4, 200), p)(x, seeds=s)), expected, atol=1e-2)


@pytest.mark.parametrize("factor", [2, 3])
def test_downsampled_images_are_those_of_pillow(factor):
    x, s = images(40, 12, 18, 1), seeds(40)
    found = numpy(patches.Downsample(factor)(x, seeds=s))[..., 0]
    kinds = [Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
    numbers = [int(reference_augment.uniform(seed, 1)[0] * 4) for seed in s]
    assert set(numbers) == {0, 1, 2, 3}
    for image, number, small in zip(x[..., 0], numbers, found):
        expected = Image.fromarray(image.astype("float32")).resize((18 // factor, 12 // factor), kinds[number])
        np.testing.assert_allclose(small, np.clip(expected, 0, 255), atol=1e-2 if number < 2 else 0.5)


# The same patches everywhere

LAYERS = [
    patches.PatchGrid([3, 2], 9, gap=2, jitter=[-1, 2], seed=2, name="own"),
    View([patches.PatchGrid(2, 16), patches.PerPatch(View([RandomResizedCrop(8), Grayscale(0.5)]))]),
    View([patches.PatchGrid(2, 16), patches.ShufflePatches([[1, 0, 2, 3], [3, 2, 1, 0]])]),
    View([patches.PatchGrid(2, 16), patches.ReplacePatches(1), patches.ShufflePatches()]),
    View([patches.PatchGrid(2, 16), patches.Montage()]),
    View([patches.ShiftChannels(1), patches.ProjectColors(0.5), patches.Standardize(deviation=40.0)]),
    View([patches.Coarsen((50, 500), 0.5), patches.Downsample(2)]),
]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda x: type(getattr(x, "layers", [x])[-1]).__name__)


@every_layer
def test_the_same_seeds_give_the_same_patches(layer):
    x, s = images(), seeds()
    expected = [numpy(part) for part in keras.tree.flatten(layer(x, seeds=s))]
    for run in (tf.function(layer), tf.function(layer, jit_compile=True)):
        for found, value in zip(keras.tree.flatten(run(x, seeds=s)), expected, strict=True):
            np.testing.assert_allclose(found.numpy(), value, atol=1e-2)
    mixes = any(isinstance(x, (patches.Montage, patches.ReplacePatches)) for x in getattr(layer, "layers", []))
    data = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s}).batch(6 if mixes else 4)
    batches = [keras.tree.flatten(batch) for batch in data.map(layer, num_parallel_calls=2)]
    for parts, value in zip(zip(*batches), expected, strict=True):
        np.testing.assert_allclose(np.concatenate(parts), value, atol=1e-2)


@every_layer
def test_configurations(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.name == layer.name
    parts = (keras.tree.flatten(x(images(), seeds=seeds())) for x in (again, layer))
    for one, other in zip(*parts, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))


def test_own_seeds():
    cut = np.zeros((5, 4, 6, 6, 3)) + np.arange(4)[:, None, None, None]
    layer, again = patches.ShufflePatches(seed=1), patches.ShufflePatches(seed=1)
    calls = [numpy(layer(cut)[1]) for _ in range(8)]
    assert len(np.unique(np.concatenate(calls), axis=0)) > 15
    for order in calls:
        np.testing.assert_array_equal(numpy(again(cut)[1]), order)


def test_patches_as_views():
    views = Views([RandomResizedCrop(16), View([patches.PatchGrid(3, 8, gap=4), patches.ShufflePatches()])])
    whole, (pieces, order) = views({"image": images(), "seed": seeds()})
    assert whole.shape == (6, 16, 16, 3) and pieces.shape == (6, 9, 8, 8, 3) and order.shape == (6, 9)


OTHER_BACKEND = """
import sys
import keras
import numpy as np
from keras_ssl.augment import View, patchify, places, unpatchify
from keras_ssl.augment.image import masks, mixing, patches
given = np.load(sys.argv[1])
layers = [
    masks.RandomMask(6, 0.5), masks.BlockMask(14, (0.1, 0.5), p=0.8), masks.RegionMask(12, cell=4.0),
    masks.HoleMask(8, 3), masks.MultiBlockMask(8), mixing.MixUp(0.5), mixing.CutMix(per_batch=False),
    View([patches.PatchGrid(3, 8, stride=10, jitter=1), patches.ReplacePatches(2), patches.ShufflePatches()]),
    View([patches.PatchGrid(2, 16), patches.PerPatch(patches.Coarsen((20, 200))), patches.Montage()]),
    View([patches.ShiftChannels(2), patches.ProjectColors(0.5), patches.Standardize(), patches.Downsample(2)]),
]
inputs = {"image": keras.Input((40, 44, 3), dtype="uint8", name="image")}
inputs["seed"] = keras.Input((2,), dtype="int32", name="seed")
class All(keras.layers.Layer):  # in `predict` layers that augment are not in training
    def call(self, columns):
        return keras.tree.flatten([layer(columns, training=True) for layer in layers])
model = keras.Model(inputs, All()(inputs))  # one program: JAX compiles for long
found = model.predict({key: given[key] for key in ("image", "seed")}, verbose=0)
mask = masks.RandomMask(6, 0.5)(given["image"], seeds=given["seed"])
lists = places.partition(mask, 18)
found += [*lists, *places.masked_indices(mask, 20), places.select(masks.enlarge(mask, 2), lists[0][:, :5] % 6)]
found += [unpatchify(patchify(given["image"][:, :, :40], 4), 4, (10, 10))]
np.savez(sys.argv[2], *[keras.ops.convert_to_numpy(x) for x in found])
"""


@pytest.fixture(scope="module")
def of_backends(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backends")
    np.savez(folder / "given.npz", image=images(), seed=seeds())
    running = {}
    others = [backend for backend in ("jax", "torch") if importlib.util.find_spec(backend)]
    for backend in others and ["tensorflow", *others]:
        command = [sys.executable, "-c", OTHER_BACKEND, folder / "given.npz", folder / f"{backend}.npz"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend}
        environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        running[backend] = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    found = {}
    for backend, process in running.items():
        errors = process.communicate(timeout=200)[1]
        assert process.returncode == 0, errors[-2000:]
        found[backend] = list(np.load(folder / f"{backend}.npz").values())
    return found


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_masks_patches_and_mixtures(of_backends, backend):
    if backend not in of_backends:
        pytest.skip(f"{backend} is not installed")
    for one, other in zip(of_backends[backend], of_backends["tensorflow"], strict=True):
        assert one.shape == other.shape and (one.dtype == bool) == (other.dtype == bool)
        differences = np.abs(one.astype("float64") - other.astype("float64"))
        assert differences.max() < 0.01 or (one.dtype == bool and differences.mean() < 0.01)  # RegionMask's rounding


def cut(**options):
    return patches.PatchGrid(2, 8, **options)(images())


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: patchify(images(), 7), "size must divide the height and the width"),
        (lambda: unpatchify(np.zeros((2, 6, 48)), 4), "patches must be"),
        (lambda: unpatchify(np.zeros((2, 4, 47)), 4), "patches must be"),
        (lambda: patches.PatchGrid(0, 8), "grid must be a positive int"),
        (lambda: patches.PatchGrid(2, -1), "size must be a positive int"),
        (lambda: patches.PatchGrid(2, 8, stride=0), "stride must be a positive int or None"),
        (lambda: patches.PatchGrid(2, 8, stride=8, gap=1), "goes without a stride"),
        (lambda: patches.PatchGrid(2, 8, jitter=-1), "jitter must be an int from 0"),
        (lambda: patches.PatchGrid(2, 8, jitter=0.5), "jitter must be an int from 0"),
        (lambda: patches.PatchGrid(3, 14)(images()), "at least 42 pixels along the height"),
        (lambda: patches.PatchGrid(2, 17, gap=4, jitter=2)(images()), "at least 42 pixels along the height"),
        (lambda: patches.PerPatch(keras.layers.Rescaling(1.0)), "layer must be an augmentation layer"),
        (lambda: patches.PerPatch(Grayscale())(images()), "expects patches of shape"),
        (lambda: patches.ShufflePatches([[0, 0, 1]]), "orders must be permutations"),
        (lambda: patches.ShufflePatches([]), "orders must be permutations"),
        (lambda: patches.ShufflePatches([[1, 0]])(cut()), "permutations of the 4 patches"),
        (lambda: patches.ReplacePatches(-1), "max_patches must be an int from 0"),
        (lambda: patches.ReplacePatches(5)(cut()), "max_patches must not be larger than the 4 patches"),
        (lambda: patches.Montage(3)(cut()), "fill the grid of 3 x 3"),
        (lambda: patches.ProjectColors()(images(channels=1)), "3 channels"),
        (lambda: patches.ShiftChannels(-1), "pixels must be an int from 0"),
        (lambda: patches.ShiftChannels(40)(images()), "must be larger than 40 pixels"),
        (lambda: patches.Standardize(deviation=0), "deviation must be positive"),
        (lambda: patches.Coarsen((0, 5)), "pixels must be a pair"),
        (lambda: patches.Downsample(0), "factor must be a positive int"),
        (lambda: patches.Downsample(3)(images()), "factor must divide the sides"),
        (lambda: patches.permutations(11, 5), "tiles must be an int from 2 to 10"),
        (lambda: patches.permutations(4, 24), "count must be an int from 1 to 23"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()
