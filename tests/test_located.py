"""Located: the boxes of views, the same on host and device, and what follows from them; masks; maps of encoders."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_ssl
from keras_ssl import augment, data, encoders, visualize
from keras_ssl.augment.image.crop import resample, resampling
from keras_ssl.augment.image.located import centers, diagonals, distances, labels_of_cells
from tests.reference import dense as reference
from tests.test_augment import images, numpy, seeds


def crop(size=8, **options):
    return augment.RandomResizedCrop(size, **{"scale": (0.2, 1.0), "flip": 0.5} | options)


def located(*sizes):
    layers = [crop(size) for size in sizes or (8, 8)]
    return augment.Located(augment.Views([augment.View([layer, augment.Grayscale(0.3)]) for layer in layers]))


# The boxes


def test_the_views_are_those_without_boxes():
    x, s, layer = images(5, 20, 30, 3), seeds(5), located()
    *views, boxes = layer(x, seeds=s)
    for view, expected in zip(views, layer.views(x, seeds=s), strict=True):
        np.testing.assert_array_equal(view, expected)
    assert boxes.shape == (5, 2, 4) and boxes.dtype == "float32"


def test_a_view_is_what_its_box_shows():
    """Each box, cut out and resized again, from right to left where it is mirrored."""
    x, layer = images(12, 20, 30, 3).astype("float32"), augment.Located(augment.Views(crop(), 2))
    *views, boxes = layer(x, seeds=seeds(12))
    mirrored = 0
    for number, view in enumerate(views):
        top, left, bottom, right = np.split(numpy(boxes)[:, number], 4, axis=1)
        flipped = (right < left)[:, 0]
        mirrored += flipped.sum()
        rows = resampling(top, bottom - top, 20, 8)
        columns = resampling(np.minimum(left, right), np.abs(right - left), 30, 8, flipped)
        np.testing.assert_allclose(view, resample(x, rows, columns), atol=1e-3)
    assert 4 < mirrored < 20


def test_boxes_of_one_image_do_not_depend_on_its_batch():
    x, s, layer = images(5, 20, 30, 3), seeds(5), located()
    np.testing.assert_array_equal(layer(x[3:4], seeds=s[3:4])[-1], layer(x, seeds=s)[-1][3:4])


@pytest.mark.parametrize("foreign", [False, True])
def test_the_host_makes_the_boxes_of_the_device(foreign):
    pictures = images(6, 20, 30, 3)
    layer = augment.Located(augment.Views(crop(8), 2))
    if foreign:
        view = augment.View([crop(), keras.layers.Rescaling(0.5)])
        layer = augment.Located(augment.Views(view, 2))
    pipeline = data.arrays(pictures, 3, seed=1, shuffle=False)
    on_host = [batch["views"] for batch in data.views(pipeline, layer)]
    compiled = tf.function(lambda batch: layer(batch, training=True), jit_compile=not foreign)
    pipeline.epoch.assign(0)
    for batch, found in zip(pipeline, on_host, strict=True):
        for one, other in zip(compiled(batch), found, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-2)


def test_files_are_cut_where_the_boxes_say(tmp_path):
    for number, picture in enumerate(images(4, 24, 40, 3)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    layer = augment.Located(augment.Views(crop(8), 2))
    (cut,) = data.image_folder_views(tmp_path, layer, 4, shuffle=False, jit_compile=False)
    (whole,) = data.views(data.image_folder(tmp_path, (24, 40), 4, shuffle=False), layer)
    for one, other in zip(cut["views"], whole["views"], strict=True):
        np.testing.assert_allclose(one, other, atol=0.05)


def test_a_saved_layer_makes_the_same():
    layer = located()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    x, s = images(3, 20, 30, 3), seeds(3)
    for one, other in zip(layer(x, seeds=s), again(x, seeds=s), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pictures_show_the_views_alone():
    drawn = visualize.views(images(2, 20, 30, 3), located())
    assert [axis.get_title() for axis in drawn.axes[:3]] == ["image", "view 1", "view 2"]


@pytest.mark.parametrize("make, message", [
    (crop, "must be keras_ssl.augment.Views"),
    (lambda: augment.Views(augment.Grayscale(), 2), "begin with a RandomResizedCrop"),
    (lambda: augment.Views(augment.View([crop(), augment.RandomFlip()]), 2), "RandomFlip in"),
])  # fmt: skip
def test_views_without_a_known_place_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        augment.Located(make())


def test_outside_of_training_there_is_no_box():
    with pytest.raises(ValueError, match="outside of training|Outside of training"):
        located()(images(2, 20, 30, 3), training=False)


# What follows from them


BOXES = np.array([[0, 0, 12, 18], [3, 20, 9, 2], [5, 7, 6, 8]], "float32")


def test_centers_diagonals_and_distances_are_the_loops():
    found, lengths = numpy(centers(BOXES, (3, 2))), numpy(diagonals(BOXES, (3, 2)))
    apart = numpy(distances(centers(BOXES, (3, 2)), centers(BOXES[::-1].copy(), (2, 2))))
    for image, box in enumerate(BOXES):
        assert lengths[image] == pytest.approx(reference.diagonal(box, (3, 2)), rel=1e-6)
        for place in range(6):
            here = reference.spot(box, (3, 2), place)
            np.testing.assert_allclose(found[image, place], here, rtol=1e-6)
            for other in range(4):
                there = reference.spot(BOXES[2 - image], (2, 2), other)
                assert apart[image, place, other] == pytest.approx(np.hypot(*np.subtract(here, there)), rel=1e-5)


def test_labels_of_cells_are_the_loop():
    masks = np.random.default_rng(0).integers(0, 4, (3, 4, 6)).repeat(3, axis=1).repeat(3, axis=2)
    found = numpy(labels_of_cells(masks, BOXES, (3, 2)))
    assert found.dtype == "int32"
    for image, box in enumerate(BOXES):
        assert found[image].tolist() == [reference.label(masks[image], box, (3, 2), place) for place in range(6)]


def test_labels_of_cells_are_nearly_those_of_all_their_pixels():
    """Of cells of 32 pixels, which are looked at in 8 x 8 points."""
    draw = np.random.default_rng(0)
    sites, (y, x) = draw.uniform(0, 128, (6, 12, 2)), np.mgrid[:128, :128] + 0.5
    masks = np.stack([np.argmin([np.hypot(y - a, x - b) for a, b in one], axis=0) for one in sites])  # Voronoi's cells
    found = numpy(labels_of_cells(masks, np.tile(np.float32([[0, 0, 128, 128]]), (6, 1)), (4, 4)))
    cells = masks.reshape(6, 4, 32, 4, 32).swapaxes(2, 3).reshape(6, 16, -1)
    assert np.mean(found == [[np.bincount(cell).argmax() for cell in one] for one in cells]) > 0.95


def test_labels_follow_the_pixels_of_a_view():
    """An image that is its own mask: each place of a view shows the label that it gets."""
    masks = np.arange(12).reshape(1, 3, 4).repeat(8, axis=1).repeat(8, axis=2)
    box = np.array([[8, 24, 24, 8]], "float32")  # the middle, mirrored
    assert numpy(labels_of_cells(masks, box, (2, 2)))[0].tolist() == [6, 5, 10, 9]


def test_grid_segments_number_the_cells():
    found = data.grid_segments(np.zeros((2, 5, 6, 3)), 2, 3)
    assert found.shape == (2, 5, 6) and found.dtype == "int32"
    assert found[0, :, 0].tolist() == [0, 0, 0, 3, 3] and found[1, 4].tolist() == [3, 3, 4, 4, 5, 5]


def blocks():
    made = np.zeros((2, 24, 24, 3), "uint8")
    made[0, :, 12:], made[1, 8:16, 8:16] = (200, 30, 30), 255
    return made


def test_segment_finds_the_regions():
    pytest.importorskip("skimage", reason="data.segment needs scikit-image")
    found = data.segment(blocks(), scale=50, sigma=0.0, min_size=10)
    assert [len(np.unique(mask)) for mask in found] == [2, 2]
    assert (found[0] == found[0, :1]).all() and found[0, 0, 11] != found[0, 0, 12]
    assert data.segment(blocks()[..., :1], scale=50, min_size=10).shape == (2, 24, 24)


@pytest.mark.skipif(importlib.util.find_spec("skimage") is not None, reason="scikit-image is there")
def test_segment_says_what_is_missing():
    with pytest.raises(ImportError, match="pip install 'keras_ssl\\[segment\\]'"):
        data.segment(blocks())


@pytest.mark.parametrize("given, options, message", [
    (np.zeros((4, 4, 3)), {}, "images must be an array"),
    (np.zeros((1, 4, 4, 3)), {"scale": 0}, "scale must be"),
    (np.zeros((1, 4, 4, 3)), {"min_size": 0}, "min_size must be"),
])  # fmt: skip
def test_segment_refuses(given, options, message):
    with pytest.raises(ValueError, match=message):
        data.segment(given, **options)


# The map of an encoder


@pytest.mark.parametrize("make, size", [
    (lambda: encoders.resnet18((32, 32, 3), width=4), (4, 4, 32)),
    (lambda: encoders.resnet18((None, None, 3), width=4, stem="cifar"), (4, 4, 32)),
    (lambda: encoders.pool(encoders.resnet18((32, 32, 3), width=4, pooling=None)), (4, 4, 32)),
    (lambda: encoders.vit((32, 32, 3), 8, width=12, depth=1, heads=1), (4, 4, 12)),
    (lambda: encoders.vit((None, None, 3), 8, width=12, depth=1, heads=1, grid=4, registers=2), (4, 4, 12)),
    (lambda: encoders.vit((32, 32, 3), 8, width=12, depth=1, heads=1, pooling="mean"), (4, 4, 12)),
])  # fmt: skip
def test_with_map_gives_the_features_and_their_map(make, size):
    encoder, pictures = make(), images(2, 32, 32, 3).astype("float32")
    model = encoders.with_map(encoder)
    features, places = model(pictures, training=False)
    np.testing.assert_allclose(features, encoder(pictures, training=False), atol=1e-6)
    assert places.shape == (2, *size)
    if None not in encoder.input_shape[1:]:
        last = keras_ssl.eval.maps.maps(encoder, (32, 32, 3), 1)(pictures, training=False)
        np.testing.assert_allclose(places, last, atol=1e-5)
    assert {id(v) for v in model.weights} == {id(v) for v in encoder.weights}
    copy = keras_ssl.teacher.copy(model)
    np.testing.assert_allclose(copy(pictures, training=False)[1], places, atol=1e-6)


def test_with_map_of_no_map():
    inputs = keras.Input((8, 8, 3))
    flat = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)), name="flat")
    around = keras.Sequential([keras.Input((32, 32, 3)), encoders.resnet18((32, 32, 3), width=4)], name="around")
    for encoder in (flat, around):
        with pytest.raises(ValueError, match=f"'{encoder.name}' has no map"):
            encoders.with_map(encoder)
