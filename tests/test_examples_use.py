"""The example scripts of real use run to their end and leave what they promise."""

import importlib
import inspect
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import encoders

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """In the place of the ResNet-18, which takes seconds to compile in each of up to seven trainings."""
    bind = inspect.signature(encoders.resnet18).bind

    def resnet18(shape, **options):
        width = bind(shape, **options).arguments["width"]
        images = keras.Input(shape)
        x = keras.layers.Conv2D(width, 3, 2, "same", activation="relu")(keras.layers.Rescaling(1 / 128, -1)(images))
        x = keras.layers.Conv2D(8 * width, 3, 2, "same", activation="relu")(keras.layers.BatchNormalization()(x))
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))

    monkeypatch.setattr(encoders, "resnet18", resnet18)


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module


def scores(out):
    return json.loads((out / "scores.json").read_text())["scores"]


SMALL = ("--steps", 2, "--width", 4, "--batch", 32)


def test_dense_transfer(example, tmp_path):
    example("dense_transfer", "--out", tmp_path, "--scenes", 4, "--epochs", 1, "--side", 32, "--images", 64, *SMALL)
    found = scores(tmp_path)
    assert list(found) == ["from scratch", "SimCLR, frozen", "SimCLR, fine-tuned"]
    assert all(0 <= value <= 1 for row in found.values() for value in row.values())
    assert keras.saving.load_model(tmp_path / "encoder.keras").input_shape == (None, 32, 32, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_scenes_have_the_masks_and_boxes_of_their_objects(module, channels):
    make = module("dense_transfer").scenes
    objects = np.full((2, 16, 16, channels), 0, "uint8")
    objects[:, 4:12, 6:10] = 255  # the strokes of a gray one
    photos = [np.zeros((50, 60, 3), "uint8")]
    images, masks, boxes, labels = make(objects, [3, 7], photos, 20, 32, seed=0)
    assert images.shape == (20, 32, 32, 3) and len(boxes) == len(labels) == 20
    for image, mask, some, marks in zip(images, masks, boxes, labels):
        assert 1 <= len(some) == len(marks) <= 4 and set(mask[mask > 0] - 1) == set(marks)
        rest = mask.copy()
        for (left, top, right, bottom), mark in zip(some.astype(int), marks):
            inside = mask[top:bottom, left:right] == mark + 1
            assert inside.any(axis=0).all() and inside.any(axis=1).all()  # tight
            rest[top:bottom, left:right] = 0
        assert not rest.any() and not image[mask == 0].any()
    again = make(objects, [3, 7], photos, 20, 32, seed=0)[0]
    np.testing.assert_array_equal(images, again)


def test_duplicates(example, tmp_path):
    example("duplicates", "--out", tmp_path, "--steps", 2, "--width", 4, "--plant", 5)
    found = json.loads((tmp_path / "duplicates.json").read_text())
    assert set(found["recall"]) == {"resized", "recompressed", "cropped", "foreign", "groups without a copy"}
    assert found["recall"]["recompressed"] > 0.5 and len(found["outliers"]) == 10
    assert keras.saving.load_model(tmp_path / "encoder.keras").output_shape == (None, 32)


def test_duplicates_are_judged(module):
    judged = module("duplicates").judged
    paths = ["a", "b", "c", "r", "j", "x", "f"]
    planted = {"r": ("resized", "a"), "j": ("recompressed", "b"), "x": ("cropped", "c"), "f": ("foreign", None)}
    recall = judged(paths, planted, [[0, 3], [1, 2]], [6])
    assert recall == {"resized": 1, "recompressed": 0, "cropped": 0, "foreign": 1, "groups without a copy": 0.5}
    assert judged(paths, {}, [], []) == {}


def test_many_channels(example, tmp_path):
    example("many_channels", "--out", tmp_path, "--images", 64, *SMALL)
    found = scores(tmp_path)
    assert list(found) == ["pixels", "SimCLR", "CMC"]
    assert all(0 < value <= 1 for row in found.values() for value in row.values())
    for name, dim in (("simclr", 32), ("cmc", 64)):
        encoder = keras.saving.load_model(tmp_path / f"{name}.keras")
        assert encoder.predict(np.zeros((2, 16, 16, 6), "uint8"), verbose=0).shape == (2, dim)


def test_six_bands(module):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), "uint8")
    bands = module("many_channels").six_bands(images, 0)
    assert bands.shape == (2, 8, 8, 6) and bands.dtype == np.uint8
    assert np.abs(bands[..., :3].astype(int) - images).mean() < 10  # noise alone
    gray = module("many_channels").six_bands(images[..., :1], 0)
    assert gray.shape == (2, 8, 8, 6) and np.abs(gray[..., :3].astype(int) - images[..., :1]).mean() < 10


def test_fine_tune(example, tmp_path):
    example(
        "fine_tune", "--out", tmp_path, "--steps", 2, "--tune-steps", 1, "--shares", 0.25, "--images", 80, "--seeds", 1
    )
    found = scores(tmp_path)
    assert list(found) == ["25%"] and list(found["25%"]) == ["scratch", "pretrained"]
    assert keras_ssl.pretrained.card(tmp_path / "encoder.keras")["method"] == "SimCLR"
