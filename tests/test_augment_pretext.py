"""Views of pretext tasks: each guard takes away what it should. Nothing is trained: a cheat looks for one cue."""

import keras
import numpy as np
import pytest

from keras_ssl import augment
from keras_ssl.augment import Coarsen, PatchGrid
from tests.methods.pretext.test_context_prediction import PLACES

GRAY = np.ones(3, "float32")


def noise(count, size, grain, seed=0):
    """Gray images of rows that have nothing in common, each smooth over about `grain` pixels."""
    rough = np.random.default_rng(seed).normal(size=(count, size, size))
    rough = sum(np.roll(rough, step, axis=2) for step in range(grain))
    rough = rough - rough.min()
    return (255 * rough / rough.max()).astype("float32")[..., None] * GRAY


def seeds(count):
    return np.random.default_rng(1).integers(-(2**31), 2**31, (count, 2)).astype("int32")


def views(make, x, **options):
    found = make(**options)(x, seeds=seeds(len(x)))
    return [np.asarray(view) for view in found]


# Edges that go on


def right_neighbor(first, others):
    """Which of the patches goes on at the right edge of the first one."""
    return int(np.argmin([np.abs(first[:, -1] - other[:, 0]).mean() for other in others]))


def found_by_edges(patches):
    """How often the patch in the middle of the grid is told its right neighbor among the eight others."""
    others = [0, 1, 2, 3, 5, 6, 7, 8]
    return np.mean([right_neighbor(image[4], image[others]) == others.index(5) for image in patches])


OPEN = {"coarsen_p": 0.0, "standardize": False, "colors": "keep", "scale": (1.0, 1.0)}


@pytest.mark.parametrize("guards, solved", [({}, True), ({"jitter": 2}, False), ({"gap": 6}, False)])
def test_gap_and_jitter_hide_the_edges_from_context_prediction(guards, solved):
    options = OPEN | {"size": 40, "patch": 8, "gap": 0, "jitter": 0} | guards
    (patches,) = views(augment.context_prediction, noise(100, 40, grain=8), **options)
    share = found_by_edges(patches)
    assert share > 0.9 if solved else share < 0.6, share


@pytest.mark.parametrize("jitter, solved", [(0, True), (4, False)])
def test_the_jitter_hides_the_edges_from_jigsaw(jitter, solved):
    options = {"scale": (1.0, 1.0), "grayscale_p": 0.0, "shift": 0, "standardize": False}
    (tiles,) = views(augment.jigsaw, noise(100, 36, grain=8), size=36, patch=12 - jitter, jitter=jitter, **options)
    share = found_by_edges(tiles)
    assert share > 0.9 if solved else share < 0.5, share


# Brightness


@pytest.mark.parametrize("make", [augment.context_prediction, augment.jigsaw])
def test_every_piece_has_its_own_brightness_and_contrast(make):
    sky = np.linspace(230, 20, 48, dtype="float32")[None, :, None, None] + 0.05 * noise(4, 48, 2)
    options = {"colors": "keep", "coarsen_p": 0.0} if make is augment.context_prediction else {"grayscale_p": 0.0}
    options |= {"size": 48, "scale": (1.0, 1.0)}
    light = {flag: views(make, sky, standardize=flag, **options)[0].mean(axis=(2, 3, 4)) for flag in (True, False)}
    rows = light[False].reshape(4, 3, 3).mean(axis=2)
    assert (np.diff(rows, axis=1) < -30).all()  # without it, the mean is the row
    np.testing.assert_allclose(light[True], 127.5, atol=0.1)
    (pieces,) = views(make, sky, **options)
    np.testing.assert_allclose(pieces.std(axis=(2, 3, 4)), 50, atol=1)


# The aberration of lenses


def aberrated(count, size, seed=0):
    """Red and blue lie further out than green, by a pixel at the left and right edges."""
    fine = np.random.default_rng(seed).integers(0, 256, (count, size + 4, size + 4)).astype("float32")
    column = np.arange(size)
    out = np.where(column < size // 3, 1, np.where(column >= 2 * size // 3, -1, 0))
    green, other = fine[:, 2:-2, 2 + column], fine[:, 2:-2, 2 + column + out]
    return np.stack([other, green, other], axis=-1)


def guessed_column(patch):
    """0, 1 or 2 by the shift at which red and green agree best; nothing where there is no difference."""
    red, green = patch[..., 0], patch[..., 1]
    errors = [np.abs(np.roll(red, shift, axis=1)[:, 2:-2] - green[:, 2:-2]).mean() for shift in (1, 0, -1)]
    return int(np.argmin(errors))


def found_by_colors(patches):
    return np.mean([guessed_column(image[tile]) == tile % 3 for image in patches for tile in range(9)])


@pytest.mark.parametrize("colors, solved", [("keep", True), ("drop", False), ("project", False), ("gray", False)])
def test_colors_hide_the_aberration_from_context_prediction(colors, solved):
    options = OPEN | {"size": 48, "patch": 12, "gap": 4, "jitter": 0, "colors": colors}
    (patches,) = views(augment.context_prediction, aberrated(12, 48), **options)
    share = found_by_colors(patches)
    assert share > 0.9 if solved else share < 0.5, share


@pytest.mark.parametrize("guards, solved", [({}, True), ({"shift": 2}, False), ({"grayscale_p": 1.0}, False)])
def test_shifts_and_gray_hide_the_aberration_from_jigsaw(guards, solved):
    options = {"scale": (1.0, 1.0), "grayscale_p": 0.0, "shift": 0, "standardize": False} | guards
    x = aberrated(12, 48 + options["shift"])
    (tiles,) = views(augment.jigsaw, x, size=48, patch=16, jitter=0, **options)
    share = found_by_colors(tiles)
    assert share > 0.9 if solved else share < 0.6, share


def test_one_channel_of_a_patch_is_left_and_does_not_tell_how_bright_it_was():
    dark = aberrated(4, 48) / 4
    (patches,) = views(augment.context_prediction, dark, size=48, coarsen_p=0.0)
    np.testing.assert_allclose(patches.mean(axis=(2, 3)), 127.5, atol=0.1)
    deviations = np.sort(patches.std(axis=(2, 3)), axis=-1)
    np.testing.assert_allclose(deviations, [[[0, 0, 50 * np.sqrt(3)]] * 9] * 4, atol=0.5)
    kept = patches.std(axis=(2, 3)).argmax(axis=-1)
    assert set(kept.ravel()) == {0, 1, 2}


# Kernels and gray of counting


def test_counting_has_the_whole_and_its_quarters():
    x = noise(6, 40, 3)
    whole, parts = views(augment.counting, x, size=40, scale=(1.0, 1.0), flip=0.0, grayscale_p=0.0)
    assert whole.shape == (6, 20, 20, 3) and parts.shape == (6, 4, 20, 20, 3)
    rows = [np.concatenate(parts[:, i : i + 2].transpose(1, 0, 2, 3, 4), axis=2) for i in (0, 2)]
    np.testing.assert_allclose(np.concatenate(rows, axis=1), x, atol=1e-3)
    boxes = x.reshape(6, 20, 2, 20, 2, 3).mean(axis=(2, 4))
    assert np.abs(whole - boxes).mean() < 8


def test_counting_draws_the_kernel_and_the_gray():
    x = np.repeat(aberrated(1, 40), 64, axis=0)
    options = {"size": 40, "scale": (1.0, 1.0), "flip": 0.0}
    fixed, _ = views(augment.counting, x, kernels=False, grayscale_p=0.0, **options)
    drawn, _ = views(augment.counting, x, grayscale_p=0.0, **options)
    assert len(np.unique(fixed.round(), axis=0)) == 1 and len(np.unique(drawn.round(), axis=0)) == 4
    whole, parts = views(augment.counting, x, **options)
    gray = np.ptp(whole, axis=-1).max(axis=(1, 2)) < 1
    np.testing.assert_array_equal(np.ptp(parts, axis=-1).max(axis=(1, 2, 3)) < 1, gray)  # the image or all of it
    assert 0.25 < gray.mean() < 0.75


# Sizes


@pytest.mark.parametrize("make", [augment.context_prediction, augment.jigsaw, augment.counting])
def test_they_are_saved(make):
    made = make(48, seed=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == made.get_config()


@pytest.mark.parametrize("size", [9, 32, 64, 96, 224, 398])
def test_patches_of_context_prediction_are_as_large_as_fits(size):
    (view,) = augment.context_prediction(size).each()
    _, grid, pieces = view.layers
    span = 3 * grid.size + 2 * grid.gap + 2 * grid.jitter
    assert span <= size and grid.gap == grid.size // 2 and isinstance(pieces.layer.layers[0], Coarsen)
    if size == 398:
        assert (grid.size, grid.gap, grid.jitter) == (96, 48, 7)


def test_tiles_of_jigsaw_are_those_of_the_paper():
    (view,) = augment.jigsaw(255).each()
    crop, grid, pieces = view.layers
    assert isinstance(grid, PatchGrid) and crop.size == 257
    assert (grid.size - 2, grid.stride, grid.jitter) == (64, 85, (0, 21))
    shift, gray, own = pieces.layer.layers
    assert (shift.pixels, gray.p, own.deviation, own.per_channel) == (2, 0.3, 50.0, True)


@pytest.mark.parametrize(
    "make, options, message",
    [
        (augment.context_prediction, {"patch": 12, "gap": 0, "jitter": 0}, "must fit into the crop"),
        (augment.context_prediction, {"colors": "none"}, "colors must be one of"),
        (augment.context_prediction, {"gap": -1, "patch": 4}, "gap must be"),
        (augment.context_prediction, {"standardize": 1}, "standardize must be"),
        (augment.jigsaw, {"patch": 12}, "must fit into the crop"),
        (augment.jigsaw, {"shift": 0.5}, "shift must be"),
        (augment.counting, {"size": 31}, "size must be even"),
        (augment.counting, {"kernels": "all"}, "kernels must be"),
    ],
)
def test_other_arguments_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**{"size": 32} | options)


def test_places_are_the_eight_around():
    assert sorted(PLACES) == sorted((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0))
