"""Crops: the views are those of the whole images, and no more of a JPEG file is decoded than they show."""

import io
import os
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_ssl
from keras_ssl import augment, data
from keras_ssl.data.crops import cut
from keras_ssl.data.decode import decode
from keras_ssl.data.order import Order

SHARED = os.path.join(os.path.dirname(__file__), "..", "..", "shared", "data")
KINDS = {
    "444.jpg": {"subsampling": 0},
    "422.jpg": {"subsampling": 1},
    "420.jpg": {"subsampling": 2},
    "411.jpg": {"subsampling": "4:1:1"},
    "progressive.JPEG": {"subsampling": 2, "progressive": True},
    "gray.jpg": {"mode": "L"},
    "cmyk.jpg": {"mode": "CMYK", "subsampling": 2},
    "png.png": {},
    "jpeg named.png": {"subsampling": 2, "format": "JPEG"},
    "gif.gif": {"mode": "P"},
    "bmp.bmp": {},
    "webp.webp": {},
}


def picture(height, width, seed=0):
    """Colored blots, which have edges at every place."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3), "uint8")
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def save(path, image, mode="RGB", **kwargs):
    image.convert(mode).save(path, **kwargs)
    return str(path)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A file of every kind, each of a size of its own."""
    root = tmp_path_factory.mktemp("kinds")
    sizes = [(40 + 7 * number, 90 - 6 * number) for number in range(len(KINDS))]
    return [save(root / name, picture(*size), **how) for (name, how), size in zip(KINDS.items(), sizes)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Eleven JPEG files in two classes."""
    root = tmp_path_factory.mktemp("photographs")
    for number in range(11):
        (root / "ab"[number > 4]).mkdir(exist_ok=True)
        save(root / "ab"[number > 4] / f"{number:02d}.jpg", picture(30 + number, 40 - number, number))
    return str(root)


def crops(*sizes, **kwargs):
    return augment.Views([augment.RandomResizedCrop(size, flip=0.5, **kwargs) for size in sizes])


def whole(path, channels=3):
    return decode(tf.io.read_file(path), channels, orient=True)


def expected(paths, layer, epoch=0, seed=0, channels=3):
    """What the layer makes of the whole images, one by one."""
    order = Order(len(paths), 1, seed=seed)
    views = []
    for number, path in enumerate(paths):
        seeds = order.seeds(tf.constant(epoch, tf.int64), tf.constant([number]))
        views.append([view.numpy()[0] for view in layer(whole(path, channels)[None], seeds=seeds)])
    return [np.stack(view) for view in zip(*views)]


def every(dataset):
    return list(dataset.as_numpy_iterator())


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other):
        assert a.keys() == b.keys()
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def message(dataset):
    with pytest.raises(tf.errors.OpError) as error:
        every(dataset)
    return str(error.value)


def layers():
    small = augment.View([augment.RandomResizedCrop((8, 12), (0.05, 0.3), flip=0.5), augment.Grayscale(0.5)])
    foreign = augment.View([augment.RandomResizedCrop(16), keras.layers.Rescaling(1 / 2), augment.Grayscale(0.5)])
    return {
        "crops": (crops(24, 24), 1e-2),
        "one view": (augment.Views(augment.RandomResizedCrop(48, (0.5, 1.0)), 1), 1e-2),
        "multi-crop": (augment.Views([augment.RandomResizedCrop(64, (0.3, 1.0)), small, small, small]), 1e-2),
        "recipe": (augment.simclr(32), 0.05),
        "shared draws": (augment.SharedViews([augment.RandomResizedCrop(side, flip=0.5) for side in (32, 16)]), 1e-2),
        "layers of Keras": (augment.Views(foreign, 2), 1e-2),
    }


@pytest.mark.parametrize("which", layers())
def test_the_views_are_those_of_the_whole_images(paths, which):
    layer, tolerance = layers()[which]
    paths = paths if which == "crops" else paths[::3]
    dataset = data.files_views(paths, layer, len(paths), shuffle=False)
    for epoch, (batch,) in enumerate([every(dataset), every(dataset)]):
        wanted = expected(paths, layer, epoch)
        assert len(batch["views"]) == len(wanted)
        for view, other in zip(batch["views"], wanted):
            assert view.dtype == "float32" and view.std() > 10
            np.testing.assert_allclose(view, other, atol=tolerance)


def test_compiled_or_not(paths):
    layer, paths = augment.simclr(16, kernel=5), paths[::3]
    compiled, plain = [
        every(data.files_views(paths, layer, 2, drop_remainder=False, jit_compile=how)) for how in (True, False)
    ]
    for one, other in zip(compiled, plain, strict=True):
        for view, same_view in zip(one["views"], other["views"], strict=True):
            np.testing.assert_allclose(view, same_view, atol=0.1)
    with pytest.raises(ValueError, match="each sample by itself"):
        data.files_views(paths, layers()["layers of Keras"][0], 2, jit_compile=True)


@pytest.mark.parametrize("name", KINDS)
def test_a_decoded_part_is_exact(paths, name):
    """Boxes at every place of a block, alone and two at once; a view as large as its box shows its pixels."""
    (path,) = [path for path in paths if path.endswith(name)]
    image, encoded = whole(path).numpy(), tf.io.read_file(path)
    generator = np.random.default_rng(0)
    for trial in range(40):
        size = generator.integers(1, [16, 24])
        start = generator.integers(0, image.shape[:2] - size + 1, (1 + trial % 2, 2))
        boxes = np.concatenate([start, np.broadcast_to(size, start.shape)], axis=1).astype("int32")
        flips = generator.random(len(boxes)) < 0.5
        made, _ = cut(encoded, lambda height, width: (boxes, flips), [tuple(size.tolist())] * len(boxes), 3, False)
        for view, (top, left, height, width), flip in zip(made, boxes, flips):
            part = image[top : top + height, left : left + width]
            np.testing.assert_array_equal(view, part[:, ::-1] if flip else part)


def test_only_the_rectangle_around_the_boxes_is_decoded(paths, monkeypatch):
    windows, decode = [], tf.io.decode_and_crop_jpeg

    def record(data, window, **kwargs):
        windows.append(window.numpy().tolist())
        return decode(data, window, **kwargs)

    monkeypatch.setattr(tf.io, "decode_and_crop_jpeg", record)
    for boxes in ([[10, 20, 8, 16], [15, 12, 16, 8]], [[0, 40, 10, 50]]):  # the image has 40 x 90 pixels
        boxes = np.array(boxes, "int32")
        cut(tf.io.read_file(paths[0]), lambda h, w: (boxes, [False] * len(boxes)), [(4, 4)] * len(boxes), 3, False)
    assert windows == [[8, 10, 25, 28], [0, 38, 12, 52]]


def test_what_lies_below_the_crops_is_not_decoded():
    encoded = io.BytesIO()
    picture(128, 64).save(encoded, "JPEG")
    half = encoded.getvalue()[: len(encoded.getvalue()) // 2]

    def decoded(top):
        box = np.array([[top, 0, 16, 16]], "int32")
        return cut(tf.constant(half), lambda height, width: (box, [False]), [(16, 16)], 3, False)[0]

    decoded(8)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(100)


def test_channels(paths, tmp_path):
    for channels, files in ((1, paths[:6]), (4, paths)):
        layer = crops(16, 8)
        (batch,) = every(data.files_views(files, layer, len(files), shuffle=False, channels=channels))
        for view, other in zip(batch["views"], expected(files, layer, channels=channels)):
            assert view.shape[-1] == channels
            np.testing.assert_allclose(view, other, atol=1e-2)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 2), (5, 3)])
def test_tiny_and_narrow_images(tmp_path, size):
    path = save(tmp_path / "tiny.jpg", picture(*size))
    layer = crops(16, (4, 9))
    (batch,) = every(data.files_views([path], layer, 1))
    for view, other in zip(batch["views"], expected([path], layer)):
        np.testing.assert_allclose(view, other, atol=1e-2)


def test_float16_policy_changes_nothing(paths):
    def make():
        layer = augment.Views(augment.View([augment.RandomResizedCrop(16), augment.Grayscale(0.5)]), 2)
        return every(data.files_views(paths, layer, 4))

    before = make()
    keras.config.set_dtype_policy("mixed_float16")
    same(before, make())


def test_element_spec_labels_and_index(photographs):
    dataset = data.image_folder_views(photographs, crops(16, (8, 10)), 4, labels=True, index=True)
    spec = tf.nest.map_structure(lambda one: (one.shape.as_list(), one.dtype.name), dataset.element_spec)
    assert spec == {
        "views": (([4, 16, 16, 3], "float32"), ([4, 8, 10, 3], "float32")),
        "label": ([4], "int32"),
        "index": ([4], "int32"),
    }
    assert int(dataset.cardinality()) == 2 and dataset.class_names == ["a", "b"] and len(dataset.file_paths) == 11
    wanted = expected(dataset.file_paths, crops(16, (8, 10)))
    for batch in every(dataset):
        np.testing.assert_array_equal(batch["label"], batch["index"] > 4)
        for view, other in zip(batch["views"], wanted):
            np.testing.assert_allclose(view, other[batch["index"]], atol=1e-2)
    assert int(dataset.epoch) == 1
    assert sorted(data.image_folder_views(photographs, crops(16), 4).element_spec) == ["views"]


def test_same_batches_for_any_parallel_calls_and_on_resuming(photographs):
    def make(**kwargs):
        layer = augment.Views(augment.View([augment.RandomResizedCrop(16), augment.Grayscale(0.5)]), 2)
        return data.image_folder_views(photographs, layer, 3, index=True, seed=4, **kwargs)

    dataset = make(drop_remainder=False)
    passes = [every(dataset) for _ in range(3)]
    assert [len(batch["index"]) for batch in passes[0]] == [3, 3, 3, 2]
    assert not np.array_equal(passes[0][0]["index"], passes[1][0]["index"])
    for calls in (None, 5):
        other = make(drop_remainder=False, parallel_calls=calls)
        same(passes[0], every(other))
        same(passes[1], every(other))
    later = make(drop_remainder=False, epoch=1, start=2)
    same(passes[1][2:], every(later))
    same(passes[2], every(later))
    shares = [every(make(drop_remainder=False).share(host, 3)) for host in range(3)]
    rows = [np.concatenate([batch["views"][1] for batch in batches]) for batches in zip(*shares)]
    for batch, views in zip(passes[0], rows):
        np.testing.assert_allclose(batch["views"][1], views, atol=1e-3)
    dataset.epoch.assign(0)
    same(passes[0], every(dataset))


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "header only", "vanished"])
def test_a_bad_file_is_named_and_can_be_skipped(photographs, tmp_path, kind):
    paths = data.image_folder(photographs, 8, 1).file_paths[:5]
    with open(paths[0], "rb") as file:
        contents = file.read()
    paths[2] = str(tmp_path / "bad.jpg")
    if kind != "vanished":
        contents = {"truncated": contents[:-300], "text": b"<html>", "empty": b"", "header only": contents[:4]}[kind]
        (tmp_path / "bad.jpg").write_bytes(contents)
    layer = augment.Views(augment.RandomResizedCrop(8, (0.9, 1.0), (1, 1)), 2)
    text = message(data.files_views(paths, layer, 2, shuffle=False))
    assert "bad.jpg" in text and {"empty": "0 bytes", "vanished": "moved or deleted"}.get(kind, "broken") in text
    if kind != "text":
        return
    assert len(every(data.files_views(paths, layer, 2, shuffle=False, start=2, drop_remainder=False))) == 1
    with pytest.warns(UserWarning, match=r"1 of 5 image files are skipped(.|\n)*bad\.jpg") as caught:
        dataset = data.files_views(paths, layer, 2, labels=range(5), on_error="skip")
    assert caught[0].filename == __file__
    assert sorted(int(label) for batch in every(dataset) for label in batch["label"]) == [0, 1, 3, 4]


@pytest.mark.parametrize("scaled_decode", [False, True])
def test_turned_photographs(tmp_path, scaled_decode):
    """Of every orientation only a part is decoded, and the views are those of the upright image."""
    paths = []
    for number in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        paths.append(save(tmp_path / f"{number}.jpg", picture(61, 93, number), exif=exif))
    layer = augment.Views(augment.RandomResizedCrop((9, 7), flip=0.5), 2)
    (batch,) = every(data.files_views(paths, layer, 8, shuffle=False, scaled_decode=scaled_decode))
    for view, other in zip(batch["views"], expected(paths, layer)):
        np.testing.assert_allclose(view[1:], other[1:], atol=1e-2)
        assert view.std() > 10


@pytest.mark.parametrize("side,ratio", [(12, 8), (24, 8), (48, 4), (96, 2), (128, 1)])
def test_scaled_decoding_is_near_and_only_where_boxes_shrink(tmp_path, side, ratio):
    image = picture(60, 80).resize((797, 605), Image.Resampling.BICUBIC)
    boxes, size = np.array([[37, 51, 487, 611], [118, 3, 401, 402]], "int32"), (side, side)
    views = {}
    for name in ("jpg", "png"):
        encoded = tf.io.read_file(save(tmp_path / f"large.{name}", image))
        for scaled in (False, True):
            made, _ = cut(encoded, lambda height, width: (boxes, [False, True]), [size, size], 3, scaled)
            views[name, scaled] = np.stack(made)
    np.testing.assert_array_equal(views["png", True], views["png", False])
    difference = np.abs(views["jpg", True] - views["jpg", False])
    assert difference.max() == 0 if ratio == 1 else 0.1 < difference.mean() < 1.5 and difference.max() < 20


def test_argument_errors(photographs, tmp_path):
    paths = data.image_folder(photographs, 8, 1).file_paths
    flip_first = augment.Views(augment.View([augment.RandomFlip(), augment.RandomResizedCrop(8)]), 2)
    for layer in (flip_first, augment.Grayscale(), lambda batch: [batch["image"]], None):
        with pytest.raises(ValueError, match="begins with a RandomResizedCrop"):
            data.files_views(paths, layer, 4)
    with pytest.raises(ValueError, match="paths is empty"):
        data.files_views([], crops(8), 4)
    with pytest.raises(TypeError, match="list of files"):
        data.files_views(photographs, crops(8), 4)
    with pytest.raises(ValueError, match="10 labels for 11 paths"):
        data.files_views(paths, crops(8), 4, labels=[0] * 10)
    with pytest.raises(ValueError, match="channels must be"):
        data.files_views(paths, crops(8), 4, channels=2)
    with pytest.raises(ValueError, match="batch_size=12 is larger"):
        data.files_views(paths, crops(8), 12)
    with pytest.raises(FileNotFoundError, match="no folder"):
        data.image_folder_views(tmp_path / "absent", crops(8), 4)
    with pytest.raises(ValueError, match="3 channels"):
        data.files_views(paths, augment.simclr(8), 4, channels=1)


def test_a_model_trains_on_the_views(photographs):
    inputs = keras.Input((16, 16, 3))
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs)))
    model = keras_ssl.SimCLR(encoder, augment=None)
    model.compile(optimizer="sgd")
    dataset = data.image_folder_views(photographs, augment.simclr(16), 5)
    history = model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all() and int(dataset.epoch) == 2


def test_real_photographs(tmp_path):
    archive = os.path.join(SHARED, "photos-200.tar")
    if not os.path.exists(archive):
        pytest.skip("photos-200.tar is not beside the repository, in shared/data")
    with tarfile.open(archive) as members:
        chosen = [member for member in members if member.name.lower().endswith((".jpg", ".jpeg"))][::40]
        members.extractall(tmp_path, chosen, filter="data")
    layer = crops(96, 48)
    dataset = data.image_folder_views(tmp_path, layer, len(chosen), shuffle=False)
    (batch,) = every(dataset)
    for view, other in zip(batch["views"], expected(dataset.file_paths, layer)):
        assert view.std() > 20
        np.testing.assert_allclose(view, other, atol=2e-2)
