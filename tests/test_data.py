"""Data: order, seeds, resume, contents, and an error for everything that can be wrong."""

import io
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import textwrap
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import augment, data, distribute
from keras_ssl.data.decode import readable
from keras_ssl.data.order import Order
from keras_ssl.data.pipeline import checksum

SHARED = os.path.join(os.path.dirname(__file__), "..", "..", "shared", "data")


def write(path, value, shape=(8, 8, 3), encode=None):
    """An image file whose pixels all are `value`, exactly."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    encode = encode or tf.io.encode_png
    tf.io.write_file(str(path), encode(tf.fill(shape, tf.constant(value, tf.uint8))))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty-three images in two classes; the pixels are 10 * the number in sorted order, plus something hidden."""
    root = tmp_path_factory.mktemp("images")
    for number in range(23):
        group = "a/deep" if number < 10 else "b"
        write(root / group / f"{number:02d}.{'png' if number % 2 else 'PNG'}", 10 * number)
    write(root / "a" / ".hidden.png", 255)
    write(root / ".cache" / "x.png", 255)
    (root / "b" / "notes.txt").write_text("no image")
    return str(root)


@pytest.fixture(scope="module")
def images():
    values = np.arange(23, dtype="uint8") * 10
    return np.broadcast_to(values[:, None, None, None], (23, 8, 8, 3)).copy()


def flat(dataset, name="index"):
    return [int(value) for batch in dataset for value in np.ravel(batch[name])]


def every(dataset):
    """All batches of one pass as NumPy dicts."""
    return list(dataset.as_numpy_iterator())


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def message(dataset):
    with pytest.raises(tf.errors.OpError) as error:
        every(dataset)
    return str(error.value)


@pytest.fixture(params=["folder", "arrays"])
def make(request, folder, images):
    """A function that makes a pipeline of 23 samples in batches, of files or of an array."""
    labels = [0] * 10 + [1] * 13

    def of_folder(batch_size=4, **kwargs):
        return data.image_folder(folder, 8, batch_size, labels=True, index=True, **kwargs)

    def of_array(batch_size=4, **kwargs):
        return data.arrays(images, batch_size, labels=labels, index=True, **kwargs)

    return {"folder": of_folder, "arrays": of_array}[request.param]


def test_element_spec_and_contents(make):
    dataset = make()
    spec = dataset.element_spec
    assert {name: (value.shape.as_list(), value.dtype.name) for name, value in spec.items()} == {
        "image": ([4, 8, 8, 3], "uint8"),
        "seed": ([4, 2], "int32"),
        "label": ([4], "int32"),
        "index": ([4], "int32"),
    }
    assert int(dataset.cardinality()) == 5
    for batch in every(dataset):
        assert (batch["image"] == batch["index"][:, None, None, None] * 10).all()
        np.testing.assert_array_equal(batch["label"], batch["index"] >= 10)
        np.testing.assert_array_equal(batch["seed"][:, 1], batch["index"])


def test_columns_only_on_request(folder, images):
    for dataset in (data.image_folder(folder, 8, 4), data.arrays(images, 4)):
        assert sorted(dataset.element_spec) == ["image", "seed"]


def test_every_epoch_is_a_new_permutation(make):
    dataset = make(drop_remainder=False)
    orders = [flat(dataset) for _ in range(4)]
    assert all(sorted(order) == list(range(23)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4 and list(range(23)) not in orders
    assert [len(batch["index"]) for batch in dataset] == [4, 4, 4, 4, 4, 3]
    assert int(dataset.cardinality()) == 6
    assert int(dataset.epoch) == 5


def test_dropped_remainder_differs_between_epochs(make):
    dataset = make()
    orders = [flat(dataset) for _ in range(3)]
    assert all(len(set(order)) == 20 for order in orders)
    assert len({frozenset(order) for order in orders}) > 1


def test_natural_order(make):
    dataset = make(shuffle=False)
    first, second = every(dataset), every(dataset)
    assert [int(i) for batch in first for i in batch["index"]] == list(range(23))
    assert not np.array_equal(first[0]["seed"], second[0]["seed"])
    np.testing.assert_array_equal(first[0]["index"], second[0]["index"])


def test_same_arguments_same_batches_for_any_parallel_calls(make):
    one, *others = [make(seed=3, parallel_calls=calls) for calls in (tf.data.AUTOTUNE, None, 5)]
    for _ in range(3):
        batches = every(one)
        for other in others:
            same(batches, every(other))


def test_seed_changes_order_and_seeds(make):
    one, other = every(make(seed=0)), every(make(seed=1))
    assert any(not np.array_equal(a["index"], b["index"]) for a, b in zip(one, other))
    assert one[0]["seed"][0, 0] != other[0]["seed"][0, 0]


def test_global_seed_changes_nothing(make):
    before = every(make())
    keras.utils.set_random_seed(11)
    same(before, every(make()))


def test_seeds_are_distinct_over_samples_and_epochs(make):
    dataset = make(drop_remainder=False)
    seeds = np.concatenate([batch["seed"] for _ in range(5) for batch in every(dataset)])
    assert len(np.unique(seeds, axis=0)) == 5 * 23


def test_epoch_and_start_go_on_where_another_pipeline_stopped(make):
    dataset = make(seed=5)
    passes = [every(dataset) for _ in range(4)]
    later = make(seed=5, epoch=2)
    same(every(later), passes[2])
    same(every(later), passes[3])
    inside = make(seed=5, epoch=1, start=3)
    assert int(inside.cardinality()) == tf.data.UNKNOWN_CARDINALITY
    same(every(inside), passes[1][3:])
    same(every(inside), passes[2])
    dataset.epoch.assign(1)
    same(every(dataset), passes[1])


def test_start_with_a_remainder(make):
    whole = every(make(drop_remainder=False))
    same(every(make(drop_remainder=False, start=5)), whole[5:])


@pytest.mark.parametrize("count,batch_size", [(1, 1), (1, 2), (2, 1), (3, 2), (7, 7), (1025, 8)])
def test_any_count_and_batch(count, batch_size):
    images = np.zeros((count, 1, 1, 1), "uint8")
    assert sorted(flat(data.arrays(images, batch_size, index=True, drop_remainder=False))) == list(range(count))


def test_orders_are_uniform():
    """Chi-square of (position, sample) and of (sample, next sample) over the epochs, near their mean."""
    count, epochs = 8, 1500
    order = Order(count, count)
    drawn = tf.data.Dataset.range(epochs).map(lambda epoch: order.index(epoch, tf.range(count, dtype=tf.int64)))
    orders = np.array(list(drawn.as_numpy_iterator()))
    dataset = data.arrays(np.zeros((count, 1, 1, 1), "uint8"), count, index=True)
    assert orders[:2].tolist() == [flat(dataset), flat(dataset)]
    place = np.zeros((count, count))
    follows = np.zeros((count, count))
    for order in orders:
        place[np.arange(count), order] += 1
        follows[order[:-1], order[1:]] += 1
    expected = epochs / count
    assert ((place - expected) ** 2 / expected).sum() / (count - 1) ** 2 < 1.7
    follows = follows[~np.eye(count, dtype=bool)]
    assert ((follows - follows.mean()) ** 2 / follows.mean()).sum() / (follows.size - 1) < 1.7


def test_class_names_and_file_paths(folder):
    dataset = data.image_folder(folder, 8, 4, labels=True)
    assert dataset.class_names == ["a", "b"]
    assert [os.path.basename(path)[:2] for path in dataset.file_paths] == [f"{number:02d}" for number in range(23)]


def test_flat_folder_without_labels(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.png", number)
    dataset = data.image_folder(tmp_path, 8, 3, shuffle=False)
    assert every(dataset)[0]["image"][:, 0, 0, 0].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="class folder"):
        data.image_folder(tmp_path, 8, 3, labels=True)


# Every format, as Pillow reads it

NOISE = np.random.default_rng(1).integers(0, 256, (6, 5, 3), "uint8")


def formats():
    """Pictures by the name of their file, with what they are saved with."""
    from PIL import Image

    picture = Image.fromarray(NOISE).resize((20, 24), Image.Resampling.BICUBIC)
    gray, alpha = picture.convert("L"), Image.linear_gradient("L").resize((20, 24))
    clear = picture.copy()
    clear.putalpha(alpha)
    inverted = Image.fromarray(255 - np.asarray(gray))
    inverted.putpalette([255 - level for level in range(256) for _ in range(3)])
    palette = picture.quantize(200)
    one_clear = clear.quantize(16)
    return {
        "plain.jpg": (picture, {}),
        "420.jpe": (picture, {"subsampling": 2, "format": "JPEG"}),
        "progressive.jfif": (picture, {"progressive": True, "format": "JPEG"}),
        "gray.jpg": (gray, {}),
        "cmyk.jpg": (picture.convert("CMYK"), {}),
        "plain.png": (picture, {}),
        "gray.PNG": (gray, {}),
        "alpha.png": (clear, {}),
        "gray alpha.png": (clear.convert("LA"), {}),
        "palette.png": (palette, {}),
        "clear palette.png": (one_clear, {}),
        "one bit.png": (gray.convert("1"), {}),
        "four bits.png": (picture.quantize(16), {"bits": 4}),
        "plain.gif": (palette, {}),
        "clear.gif": (one_clear, {}),
        "plain.bmp": (picture, {}),
        "16 colors.bmp": (picture.quantize(16), {}),
        "200 colors.bmp": (palette, {}),
        "inverted.bmp": (inverted, {}),
        "one bit.bmp": (gray.convert("1"), {}),
        "gray.bmp": (gray, {}),
        "alpha.bmp": (clear, {}),
        "lossy.webp": (picture, {}),
        "lossless.webp": (picture, {"lossless": True}),
        "clear.webp": (clear, {"lossless": True}),
        "moving.webp": (picture, {"save_all": True, "append_images": [picture.rotate(180)]}),
        "plain.tif": (picture, {}),
        "packed.tiff": (picture, {"compression": "tiff_deflate"}),
        "cmyk.tif": (picture.convert("CMYK"), {}),
    }


@pytest.fixture(scope="module")
def every_format(tmp_path_factory):
    root = tmp_path_factory.mktemp("formats")
    for name, (picture, options) in formats().items():
        picture.save(root / name, **options)
    return root


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_format_is_read_as_by_pillow(every_format, channels):
    from PIL import Image

    dataset = data.image_folder(every_format, (24, 20), 1, shuffle=False, channels=channels)
    assert len(dataset.file_paths) == len(formats()) and data.check(every_format, channels=channels)[1] == {}
    for path, batch in zip(dataset.file_paths, every(dataset), strict=True):
        with Image.open(path) as picture:
            if channels == 1:
                picture.draft("L", picture.size)  # of a JPEG file, its luminance
            clear = channels == 4 or picture.mode == "P" and "transparency" in picture.info
            picture = picture.convert("RGBA") if clear else picture
            wanted = np.asarray(picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])).astype(int)
        found = batch["image"][0].astype(int).reshape(wanted.shape)
        np.testing.assert_allclose(found, wanted, atol=1 if "webp" in path else 0, err_msg=path)


def test_photographs_are_turned_upright(tmp_path):
    from PIL import Image, ImageOps

    picture = Image.fromarray(NOISE).resize((20, 24), Image.Resampling.BICUBIC)
    for number in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        for kind in ("jpg", "png", "webp", "tif"):
            picture.save(tmp_path / f"{number}.{kind}", exif=exif, **({"lossless": True} if kind == "webp" else {}))
    for size, numbers in {(24, 20): "1234", (20, 24): "5678"}.items():
        paths = sorted(path for path in tmp_path.iterdir() if path.name[0] in numbers)
        (batch,) = every(data.files(paths, size, len(paths), shuffle=False))
        for path, found in zip(paths, batch["image"].astype(int), strict=True):
            with Image.open(path) as stored:
                np.testing.assert_allclose(found, ImageOps.exif_transpose(stored).convert("RGB"), atol=1, err_msg=path)
    paths = sorted(tmp_path.glob("*.jpg"))
    (batch,) = every(data.files(paths, (24, 20), 8, shuffle=False, orient=False))
    assert (batch["image"] == batch["image"][:1]).all()


def test_images_that_are_left_out_are_counted(tmp_path):
    write(tmp_path / "a.png", 1)
    for name in ("b.heic", "c.HEIC", "d.jxl", "notes.txt"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
    if ".heic" in readable():
        pytest.skip("pillow-heif is installed")
    with pytest.warns(UserWarning, match=r"2 x \.heic, 1 x \.jxl\. .*pillow-heif") as caught:
        dataset = data.image_folder(tmp_path, 8, 1)
    assert caught[0].filename == __file__
    assert dataset.left_out == {".heic": 2, ".jxl": 1, ".txt": 1} and len(dataset.file_paths) == 1
    bad = data.check(tmp_path)[1]
    assert [os.path.basename(path) for path in bad] == ["b.heic", "c.HEIC", "d.jxl"]
    assert "pip install pillow-heif" in list(bad.values())[0]


def test_a_thin_image_is_cut_before_it_is_enlarged():
    from keras_ssl.data.decode import fit

    thin = np.broadcast_to(np.arange(2**16) // 256, (1, 2**16)).astype("uint8")[..., None]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = fit(tf.constant(thin), (224, 224), upscale=True).numpy()  # the enlarged image had 3.3e9 pixels
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    assert set(np.unique(made)) == {127, 128} and (np.diff(made.astype(int), axis=1) >= 0).all()


def test_an_image_may_not_be_huge(tmp_path):
    from PIL import Image

    for name in ("large.png", "large.jpg"):
        Image.new("L", (20_000, 7_000)).save(tmp_path / name)
    bad = data.check(tmp_path)[1]
    assert len(bad) == 2 and all("more than 134217728 pixels" in reason for reason in bad.values()), bad


def test_a_folder_of_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "photos" / "a.png", 1)
    assert data.image_folder("~/photos", 8, 1).file_paths == [str(tmp_path / "photos" / "a.png")]


def test_resize_keeps_the_center(tmp_path):
    """A wide gradient: the middle of it is left, and the antialiased mean of the pixels."""
    from PIL import Image

    ramp = np.broadcast_to(np.linspace(0, 255, 64).astype("uint8")[None, :, None], (16, 64, 3))
    Image.fromarray(ramp.copy()).save(tmp_path / "wide.png")
    image = every(data.files([tmp_path / "wide.png"], 8, 1))[0]["image"][0]
    expected = ramp[0, 24:40, 0].reshape(8, 2).mean(1)
    np.testing.assert_allclose(image[4, 1:-1, 0], expected[1:-1], atol=2.5)
    wide = every(data.files([tmp_path / "wide.png"], (4, 16), 1))[0]["image"]
    assert wide.shape == (1, 4, 16, 3)
    same_array = every(data.arrays(ramp[None].copy(), 1, size=8))[0]["image"][0]
    np.testing.assert_array_equal(same_array, image)


def test_small_image_is_an_error_or_is_enlarged(tmp_path):
    paths = [write(tmp_path / "large.png", 9), write(tmp_path / "small.png", 9, (4, 5, 3))]
    text = message(data.files(paths, 8, 2))
    assert "small.png" in text and "4 x 5" in text and "upscale=True" in text
    assert every(data.files(paths, 8, 2, upscale=True))[0]["image"].min() == 9
    with pytest.raises(ValueError, match="upscale=True"):
        data.arrays(np.zeros((2, 4, 4, 3), "uint8"), 1, size=8)


def broken(kind, path):
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG" if kind == "truncated png" else "JPEG")
    contents = {"empty": b"", "text": b"<html>not found</html>", "header only": buffer.getvalue()[:4]}
    contents = contents.get(kind, buffer.getvalue()[:700])
    path.write_bytes(contents)
    return str(path)


@pytest.mark.parametrize(
    "kind,place,batch_size",
    [
        ("truncated jpeg", 0, 1),
        ("truncated png", 2, 2),
        ("empty", 4, 1),  # nothing follows it in its batch, nor after it
        ("text", 4, 5),
        ("header only", 3, 3),
        ("vanished", 1, 5),
    ],
)
def test_a_bad_file_is_named(tmp_path, kind, place, batch_size):
    paths = [write(tmp_path / f"{number}.png", number) for number in range(5)]
    paths[place] = str(tmp_path / "bad.jpg") if kind == "vanished" else broken(kind, tmp_path / "bad.jpg")
    text = message(data.files(paths, 8, batch_size, shuffle=False))
    assert "bad.jpg" in text
    assert {"empty": "0 bytes", "vanished": "moved or deleted"}.get(kind, "broken") in text


def test_a_bad_file_is_named_when_shuffled_and_resumed(tmp_path):
    paths = [write(tmp_path / f"{number}.png", number) for number in range(6)]
    paths[3] = broken("text", tmp_path / "bad.png")
    for epoch in range(3):
        assert "bad.png" in message(data.files(paths, 8, 2, epoch=epoch))
    assert "bad.png" in message(data.files(paths, 8, 2, shuffle=False, start=1))
    assert len(every(data.files(paths, 8, 2, shuffle=False, start=2))) == 1


def test_skip_leaves_bad_files_out_and_says_so(tmp_path):
    paths = [write(tmp_path / f"{number}.png", number) for number in range(6)]
    broken("text", tmp_path / "2.png")
    broken("empty", tmp_path / "5.png")
    with pytest.warns(UserWarning, match=r"2 of 6 image files are skipped(.|\n)*2\.png(.|\n)*5\.png"):
        dataset = data.files(paths, 8, 2, labels=range(6), on_error="skip", shuffle=False)
    assert flat(dataset, "label") == [0, 1, 3, 4] and int(dataset.cardinality()) == 2
    good, bad = data.check(tmp_path)
    assert [os.path.basename(path) for path in good] == ["0.png", "1.png", "3.png", "4.png"]
    assert [os.path.basename(path) for path in bad] == ["2.png", "5.png"] and "0 bytes" in list(bad.values())[1]
    assert len(data.check(paths, size=9)[0]) == 0
    with pytest.raises(ValueError, match="None of the 1 files"):
        data.files(paths[2:3], 8, 1, on_error="skip")


def test_folder_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        data.image_folder(tmp_path / "absent", 8, 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no images.*no files.*\.jpg"):
        data.image_folder(tmp_path / "empty", 8, 4)
    (tmp_path / "empty" / "a.txt").write_text("a")
    with pytest.raises(ValueError, match=r"1 x \.txt"):
        data.image_folder(tmp_path / "empty", 8, 4)
    with pytest.raises(ValueError, match="must be a folder"):
        data.image_folder(tmp_path / "empty" / "a.txt", 8, 4)


def test_files_errors(folder):
    paths = data.image_folder(folder, 8, 4).file_paths
    with pytest.raises(ValueError, match="paths is empty"):
        data.files([], 8, 4)
    with pytest.raises(TypeError, match="list of files"):
        data.files(folder, 8, 4)
    with pytest.raises(ValueError, match="22 labels for 23 paths"):
        data.files(paths, 8, 4, labels=[0] * 22)
    with pytest.raises(ValueError, match="flat list or array of ints"):
        data.files(paths, 8, 4, labels=["cat"] * 23)
    with pytest.raises(ValueError, match='"raise" or "skip"'):
        data.files(paths, 8, 4, on_error="ignore")
    with pytest.raises(ValueError, match="channels must be"):
        data.files(paths, 8, 4, channels=2)


@pytest.mark.parametrize(
    "images,error,match",
    [
        (np.zeros((4, 8, 8, 3), object), TypeError, "numbers"),
        (np.zeros((4, 8, 8, 3), bool), TypeError, "numbers"),
        (np.zeros((4, 8)), ValueError, r"shape=\(4, 8\)"),
        (np.zeros((4, 3, 32, 32), "uint8"), ValueError, r"np.moveaxis\(array, 1, -1\)"),
        (np.zeros((0, 8, 8, 3), "uint8"), ValueError, "empty"),
        (np.full((4, 8, 8, 3), 0.5), ValueError, "Multiply by 255"),
        (np.full((4, 8, 8, 3), -0.5), ValueError, "0..255"),
        (np.full((4, 8, 8, 3), np.nan), ValueError, "0..255"),
        (np.full((4, 8, 8, 3), 256), ValueError, "0..255"),
    ],
)
def test_array_errors(images, error, match):
    with pytest.raises(error, match=match):
        data.arrays(images, 2)


@pytest.mark.parametrize(
    "arguments,error,match",
    [
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an int"),
        ({"batch_size": 24}, ValueError, "drop_remainder=False"),
        ({"epoch": -1}, ValueError, "epoch"),
        ({"start": 5}, ValueError, "below the number of batches in an epoch, 5"),
        ({"seed": None}, TypeError, "seed must be an int"),
        ({"seed": 2**70}, ValueError, "64 bits"),
        ({"labels": [0]}, ValueError, "1 labels for 23 images"),
        ({"size": -3}, ValueError, "Received: size=-3"),
        ({"size": (8, "a")}, TypeError, "positive int, or a pair"),
    ],
)
def test_argument_errors(images, arguments, error, match):
    with pytest.raises(error, match=match):
        data.arrays(images, **{"batch_size": 4, **arguments})


def test_other_arrays(images, tmp_path):
    as_bytes = every(data.arrays(images, 4))
    same(every(data.arrays(images.astype("float32") + 0.25, 4)), as_bytes)
    same(every(data.arrays(images.astype("int64"), 4)), as_bytes)
    for name, stored in (("bytes", images), ("floats", images.astype("float32"))):
        np.save(tmp_path / f"{name}.npy", stored)
        same(every(data.arrays(np.load(tmp_path / f"{name}.npy", mmap_mode="r"), 4)), as_bytes)
    assert every(data.arrays(images[..., 0], 4))[0]["image"].shape == (4, 8, 8, 1)


# Samples of any kind


def samples_of(kind, count=10):
    """Samples whose values all are their number."""
    number = np.arange(count)

    def of(dtype, *shape):
        return np.broadcast_to(number.reshape(-1, *[1] * len(shape)), (count, *shape)).astype(dtype)

    return {
        "six channels": {"image": of("uint8", 8, 8, 6)},
        "video": {"video": of("float64", 4, 8, 8, 3), "video_mask": of(bool, 4)},
        "audio": {"audio": of("float64", 50)},
        "series": {"series": of("int64", 30, 2), "series_mask": (of("int64", 30) > 4).astype(int)},
        "tokens": {"token_ids": of("int64", 7), "padding_mask": of(bool, 7)},
        "graphs": {
            "nodes": of("float32", 10, 3),
            "edges": of("int64", 6, 2),
            "nodes_mask": of(bool, 10),
            "edges_mask": of(bool, 6),
        },
        "labeled graphs": {"nodes": of("int16", 10), "edges": of("int64", 6, 2), "own": of("float16")},
    }[kind]


KINDS = {
    "six channels": {"image": "uint8"},
    "video": {"video": "uint8", "video_mask": "bool"},
    "audio": {"audio": "float32"},
    "series": {"series": "float32", "series_mask": "bool"},
    "tokens": {"token_ids": "int32", "padding_mask": "bool"},
    "graphs": {"nodes": "float32", "edges": "int32", "nodes_mask": "bool", "edges_mask": "bool"},
    "labeled graphs": {"nodes": "int32", "edges": "int32", "own": "float32"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_every_kind(kind, tmp_path):
    columns, dtypes = samples_of(kind), KINDS[kind] | {"seed": "int32", "label": "int32", "index": "int32"}
    options = {"labels": np.arange(10) % 3, "index": True, "seed": 2}
    dataset = data.arrays(columns, 4, **options)
    assert {name: spec.dtype.name for name, spec in dataset.element_spec.items()} == dtypes
    assert all(spec.shape.is_fully_defined() for spec in dataset.element_spec.values())
    passes = [every(dataset), every(dataset)]
    assert not np.array_equal(passes[0][0]["index"], passes[1][0]["index"])
    for batch in sum(passes, []):
        np.testing.assert_array_equal(batch["label"], batch["index"] % 3)
        for name, array in columns.items():
            np.testing.assert_array_equal(batch[name], array[batch["index"]])
    same(every(data.arrays(columns, 4, epoch=1, start=1, **options)), passes[1][1:])
    for name, array in columns.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in columns}
    same(every(data.arrays(mapped, 4, **options)), passes[0])


@pytest.mark.parametrize("kind", KINDS)
def test_views_of_every_kind(kind):
    columns = samples_of(kind)

    def augment(batch):
        return {name: batch[name] for name in columns}, {name: batch[name][:, :1] for name in columns if name != "own"}

    views = data.views(data.arrays(columns, 4, index=True), augment)
    assert {name: spec.dtype.name for name, spec in views.element_spec["views"][0].items()} == KINDS[kind]
    for batch in every(views):
        assert set(batch) - {"own"} == {"views", "index"}
        for name, array in columns.items():
            np.testing.assert_array_equal(batch["views"][0][name], array[batch["index"]])


@pytest.mark.parametrize(
    "samples,error,match",
    [
        ({"pictures": np.zeros((4, 8, 8, 3))}, ValueError, "one of the columns"),
        ({"series": np.zeros((4, 8, 3)), "label": np.zeros(4)}, ValueError, "pass labels="),
        ({"series": np.zeros((4, 8, 3)), "series_mask": np.ones((3, 8))}, ValueError, "equal numbers of rows"),
        ({"series": np.zeros((4, 8))}, ValueError, r"\(batch, time, channels\)"),
        ({"series": np.full((4, 8, 3), np.nan)}, ValueError, r"finite numbers.*series\[0\].*mask"),
        ({"series": np.zeros((4, 8, 3)), "series_mask": np.full((4, 8), 0.5)}, ValueError, "True where"),
        ({"series": [np.zeros((8, 3)), np.zeros((9, 3))]}, TypeError, "pad them"),
        ({"token_ids": np.zeros((4, 8))}, ValueError, "must be ints"),
        ({"token_ids": np.full((4, 8), -1)}, ValueError, "ints from 0"),
        ({"audio": np.zeros((4, 8), "int16")}, ValueError, "32768"),
        ({"video": np.zeros((4, 8, 3, 32, 32), "uint8")}, ValueError, r"np.moveaxis\(array, 2, -1\)"),
        ({"video": np.full((4, 2, 8, 8, 3), 0.5)}, ValueError, "Multiply by 255"),
    ],
)
def test_errors_of_every_kind(samples, error, match):
    with pytest.raises(error, match=match):
        data.arrays(samples, 2)


def test_size_is_for_images():
    with pytest.raises(ValueError, match="size is for images"):
        data.arrays(samples_of("video"), 2, size=4)


def test_arrays_are_held_once_and_not_in_the_graph():
    images = np.zeros((4000, 32, 32, 3), "uint8")
    tracemalloc.start()
    dataset = data.arrays(images, 100)
    every(dataset.take(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * images.nbytes  # one copy, the tensor
    functions = []
    while dataset._inputs():
        functions += dataset._functions()
        dataset = dataset._inputs()[0]
    sizes = [function.function.graph.as_graph_def().ByteSize() for function in functions]
    assert len(sizes) >= 2 and max(sizes) < 200_000


# What a pipeline knows


def test_a_pipeline_knows_whether_it_is_ordered(make):
    assert not make().ordered and make().shuffled and make().drops
    assert not make(drop_remainder=False).ordered and not make(drop_remainder=False).drops
    assert make(shuffle=False).ordered and not make(shuffle=False, start=1).ordered
    assert not make(shuffle=False, drop_remainder=True).ordered
    mapped = make(start=2, epoch=3).map(lambda batch: {**batch, "more": batch["index"] + 1}).repeat().take(3)
    ordered = mapped.in_order()
    assert not mapped.ordered and ordered.ordered
    for _ in range(2):
        batches = every(ordered)
        assert [int(i) for batch in batches for i in batch["index"]] == list(range(23))
        np.testing.assert_array_equal(batches[5]["more"], batches[5]["index"] + 1)
    assert int(mapped.epoch) == 3 and len(list(mapped)) == 3
    assert len(make(start=2)) == 5 and len(make(drop_remainder=False)) == 6 and len(make().take(2)) == 2


REGROUPED = {
    "unbatch": lambda dataset: dataset.unbatch(),
    "batch": lambda dataset: dataset.unbatch().batch(5),
    "shuffle": lambda dataset: dataset.shuffle(8),
    "filter": lambda dataset: dataset.filter(lambda batch: batch["index"][0] < 100),
    "cache": lambda dataset: dataset.cache(),
}


@pytest.mark.parametrize("name", REGROUPED)
def test_a_pipeline_knows_what_became_of_it(make, name):
    shuffled = REGROUPED[name](make(epoch=3))
    assert int(shuffled.epoch) == 3 and not shuffled.ordered
    assert name in shuffled.unsaved or shuffled.unsaved == "unbatch"
    assert (shuffled.fingerprint == make().fingerprint) == (name != "filter")
    again = flat(shuffled.in_order()) if name != "unbatch" else [int(x["index"]) for x in shuffled.in_order()]
    assert again == list(range(23))
    ordered = REGROUPED[name](make(shuffle=False))
    assert ordered.ordered == (name != "shuffle")
    with pytest.raises(ValueError, match=f"cannot share this pipeline.*{name}"):
        ordered.share(0, 2)
    assert make().map(lambda batch: batch).prefetch(1).unsaved is None and make().skip(1).unsaved == "skip"


def test_a_pipeline_that_drops_when_batched_again_is_not_ordered(make):
    for dataset in (make(shuffle=False).unbatch().batch(5, True), make(shuffle=False).rebatch(5, drop_remainder=True)):
        assert not dataset.ordered and dataset.in_order().ordered
        assert flat(dataset.in_order()) == list(range(23)) and len(flat(dataset)) == 20


def test_a_changed_value_anywhere_is_another_fingerprint(tmp_path):
    rows = np.random.default_rng(0).normal(size=(5000, 40)).astype("float32")
    expected = data.arrays({"series": rows[..., None]}, 4).fingerprint
    for row, column in ((1, 0), (2777, 39), (4998, 5)):
        other = rows.copy()
        other[row, column] += 1
        assert data.arrays({"series": other[..., None]}, 4).fingerprint != expected
    np.save(tmp_path / "rows.npy", rows[..., None])
    stored = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert data.arrays({"series": stored}, 4).fingerprint == expected
    assert data.arrays({"series": rows[::-1][::-1, :, None]}, 4).fingerprint == expected
    some = checksum(rows, most=1000)  # 4,096 rows
    assert some != checksum(rows) and some == checksum(rows.copy(), most=1000)
    assert checksum(np.zeros((0, 3))) == checksum(np.zeros(0))


def test_fingerprints(folder, images, tmp_path):
    found = data.image_folder(folder, 8, 4)
    assert found.fingerprint == data.image_folder(folder, 6, 3, shuffle=False).map(lambda batch: batch).fingerprint
    assert found.fingerprint.startswith("23 samples, ")
    shutil.copytree(folder, tmp_path / "moved")
    assert data.image_folder(tmp_path / "moved", 8, 4).fingerprint == found.fingerprint
    os.rename(tmp_path / "moved" / "b" / "11.png", tmp_path / "moved" / "b" / "11b.png")
    other = images.copy()
    other[-1, 0, 0, 0] += 1
    different = [
        found,
        data.image_folder(tmp_path / "moved", 8, 4),
        data.image_folder(folder, 8, 4, labels=True),
        data.arrays(images, 4),
        data.arrays(images[:-1], 4),
        data.arrays(other, 4),
        data.arrays(images, 4, labels=[0] * 23),
        data.arrays(images, 4, labels=[1] * 23),
        data.arrays(images.astype(float), 4),
    ]
    assert len({dataset.fingerprint for dataset in different}) == len(different)


# Hosts share the work


def together(shares):
    """The rows of all hosts as the batches that they are of."""
    assert len({len(share) for share in shares}) == 1
    return [tf.nest.map_structure(lambda *rows: np.concatenate(rows), *batches) for batches in zip(*shares)]


@pytest.mark.parametrize("hosts", [2, 4])
@pytest.mark.parametrize("drop_remainder", [True, False])
def test_the_shares_of_the_hosts_are_the_batch(make, hosts, drop_remainder):
    options = {"batch_size": 8, "seed": 4, "drop_remainder": drop_remainder}
    whole = make(**options)
    passes = [every(whole), every(whole)]
    shares = [make(**options).share(host, hosts) for host in range(hosts)]
    assert shares[0].element_spec["image"].shape[0] == (8 // hosts if drop_remainder else None)
    for one in passes:
        parts = [every(share) for share in shares]
        assert [len(part[-1]["index"]) for part in parts] == (
            [8 // hosts] * hosts if drop_remainder else {2: [4, 3], 4: [2, 2, 2, 1]}[hosts]
        )
        same(together(parts), one)
    # Two hosts go on inside the second pass where others stopped.
    later = [make(**options, epoch=1, start=1).map(lambda batch: batch).share(host, 2) for host in range(2)]
    same(together([every(share) for share in later]), passes[1][1:])
    assert int(shares[0].epoch) == 2


def test_a_host_without_rows_in_the_last_batch():
    images = np.zeros((9, 2, 2, 1), "uint8")
    parts = [
        [batch["index"].tolist() for batch in every(data.arrays(images, 8, index=True, shuffle=False).share(host, 4))]
        for host in range(4)
    ]
    assert parts == [[[0, 1], [8]], [[2, 3]], [[4, 5]], [[6, 7]]]
    with pytest.raises(ValueError, match="multiple of the number of hosts, 3"):
        data.arrays(images, 8).share(0, 3)
    with pytest.raises(ValueError, match="host must be below hosts"):
        data.arrays(images, 8).share(2, 2)


def test_a_host_reads_no_other_rows(tmp_path):
    """The files of the other host do not exist here, and what is not decoded cannot fail."""
    paths = [write(tmp_path / f"{number}.png", number) for number in range(8)]
    seen = [int(i) for batch in every(data.files(paths, 8, 4, index=True).share(0, 2)) for i in batch["index"]]
    gone = sorted(set(range(8)) - set(seen))
    for number in gone:
        os.remove(paths[number])
    share = data.files(paths, 8, 4, index=True).share(0, 2)
    assert flat(share) == seen and len(gone) == 4
    named = [os.path.basename(paths[number]) for number in gone]
    assert any(name in message(data.files(paths, 8, 4).share(1, 2)) for name in named)


def test_shares_of_views(images):
    layer = augment.Views(augment.RandomResizedCrop(6), 2)
    for jit_compile in (True, False):
        whole = data.views(data.arrays(images, 8, index=True), layer, jit_compile=jit_compile)
        shares = [data.views(data.arrays(images, 8, index=True), layer, jit_compile=jit_compile) for _ in range(2)]
        parts = together([every(share.share(host, 2)) for host, share in enumerate(shares)])
        for one, other in zip(every(whole), parts, strict=True):
            tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), one, other)


@pytest.mark.parametrize("sizes", [(12, 12), (12, None)])
def test_rows_of_a_host_for_its_replicas(sizes):
    images = np.zeros((20, 2, 2, 1), "uint8")
    dataset = data.arrays(images, 12, index=True, shuffle=False, drop_remainder=sizes[1] is not None)
    parts = [batch["index"].tolist() for batch in every(distribute.for_replicas(dataset.share(1, 2), 3))]
    assert parts[:3] == [[6, 7], [8, 9], [10, 11]] and parts[3:] == ([] if sizes[1] else [[16, 17], [18], [19]])


def test_views_are_dicts_in_order(images):
    dataset = data.arrays(images, 4, index=True, labels=[0] * 23)

    def augment(batch):
        noise = tf.vectorized_map(lambda seed: tf.random.stateless_uniform((2,), seed), batch["seed"])
        return [tf.cast(batch["image"], tf.float32), noise]

    one = every(data.views(dataset, augment, parallel_calls=1))
    dataset.epoch.assign(0)
    made = data.views(dataset, augment)
    same_views = every(made)
    assert int(made.cardinality()) == 5 and made.epoch is dataset.epoch
    for a, b in zip(one, same_views):
        assert sorted(a) == ["index", "label", "views"] and isinstance(a["views"], tuple)
        for v, w in zip(a["views"], b["views"]):
            np.testing.assert_array_equal(v, w)
        np.testing.assert_array_equal(a["views"][0][:, 0, 0, 0], a["index"] * 10)
    again = every(made)
    assert not np.array_equal(again[0]["views"][1], one[0]["views"][1])


def test_fit_sees_every_sample_once_an_epoch(make):
    counts = tf.Variable(tf.zeros(23, tf.int32))

    class Count(keras.Model):
        def train_step(self, batch):
            inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            counts.assign_add(tf.math.bincount(inputs["index"], minlength=23, maxlength=23))
            return {"loss": tf.constant(0.0)}

    model = Count()
    model.compile(optimizer="sgd")
    dataset = make(drop_remainder=False)
    model.fit(dataset, epochs=3, shuffle=False, verbose=0)
    assert counts.numpy().tolist() == [3] * 23 and int(dataset.epoch) == 3


def test_fit_under_two_replicas(tmp_path):
    """Over both replicas an epoch is a permutation of the samples, and the next one is another."""
    program = textwrap.dedent(
        """
        import keras, numpy as np, tensorflow as tf
        from keras_ssl import augment, data, distribute
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        seen = []

        class Count(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = keras.layers.Dense(1)
                self.dense.build((None, 3))
                self.built = True

            def call(self, inputs):
                return self.dense(tf.reduce_mean(tf.cast(inputs["image"], tf.float32), (1, 2)))

            def train_step(self, batch):
                inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
                tf.numpy_function(lambda i: seen.append(i), [inputs["index"]], [])
                return {"loss": tf.reduce_sum(self(inputs))}

        images = np.zeros((24, 4, 4, 3), "uint8")
        epochs = []
        class Cut(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                seen.clear()
            def on_epoch_end(self, epoch, logs=None):
                epochs.append([int(i) for part in seen for i in part])

        with strategy.scope():
            dataset = data.arrays(images, 4, index=True)     # inside of the scope on purpose
            model = Count()
            model.compile(optimizer="sgd")
        model.fit(dataset, epochs=3, shuffle=False, verbose=0, callbacks=[Cut()])
        assert [len(epoch) for epoch in epochs] == [24] * 3, epochs
        assert all(sorted(epoch) == list(range(24)) for epoch in epochs), epochs
        assert len(set(map(tuple, epochs))) == 3
        print("first epoch", int(dataset.epoch) - 3)
        """
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set of tensorflow-datasets in each of two file formats; the pixels of a sample tell its label."""
    library = pytest.importorskip("tensorflow_datasets")

    class KsslTiny(library.core.GeneratorBasedBuilder):
        VERSION = library.core.Version("1.0.0")
        code_path = None  # a class of a test has no checksums and citations beside it

        def _info(self):
            features = {
                "image": library.features.Image(shape=(8, 8, 3)),
                "label": library.features.ClassLabel(names=["x", "y", "z"]),
                "text": library.features.Text(),
            }
            return library.core.DatasetInfo(builder=self, features=library.features.FeaturesDict(features))

        def _split_generators(self, manager):
            return {"train": self._generate_examples(20), "test": self._generate_examples(7)}

        def _generate_examples(self, count):
            for number in range(count):
                image = np.full((8, 8, 3), number, "uint8")
                yield number, {"image": image, "label": number % 3, "text": "a"}

    root = tmp_path_factory.mktemp("prepared")
    library.disable_progress_bar()
    for file_format in ("tfrecord", "array_record"):
        KsslTiny(data_dir=root / file_format, file_format=file_format).download_and_prepare()
    return root


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tfds(prepared, file_format):
    def make(batch_size=4, **kwargs):
        kwargs = {"labels": True, "index": True, "shuffle_buffer": 8, **kwargs}
        return data.tfds("kssl_tiny", 8, batch_size, data_dir=prepared / file_format, **kwargs)

    dataset = make()
    assert dataset.class_names == ["x", "y", "z"] and int(dataset.cardinality()) == 5
    passes = [every(dataset) for _ in range(3)]
    orders = [[int(i) for batch in one for i in batch["index"]] for one in passes]
    assert all(sorted(order) == list(range(20)) for order in orders) and len(set(map(tuple, orders))) == 3
    pixel = {}
    for batch in sum(passes, []):
        np.testing.assert_array_equal(batch["label"], batch["image"][:, 0, 0, 0] % 3)
        for number, image in zip(batch["index"], batch["image"]):
            assert pixel.setdefault(int(number), image[0, 0, 0]) == image[0, 0, 0]
    assert len(set(pixel.values())) == 20
    keras.utils.set_random_seed(3)
    same(every(make(epoch=1, parallel_calls=3)), passes[1])
    same(every(make(epoch=1, start=2)), passes[1][2:])
    shares = [make(epoch=1, start=2).share(host, 2) for host in range(2)]
    same(together([every(share) for share in shares]), passes[1][2:])
    assert flat(make(split="test", shuffle=False)) == list(range(7))
    assert len(flat(make(split="train[:50%]", drop_remainder=False))) == 10
    text = message(data.tfds("kssl_tiny", 9, 4, data_dir=prepared / file_format, split="test"))
    assert "Example" in text and "kssl_tiny" in text and "upscale=True" in text
    with pytest.raises(ValueError, match="image feature 'picture'"):
        make(image_key="picture")
    with pytest.raises(ValueError, match="class label 'text'"):
        make(label_key="text")
    with pytest.raises(ValueError, match="knows no data set 'kssl_absent'"):
        data.tfds("kssl_absent", 8, 4, data_dir=prepared)


def test_few_labels_of_records_come_again_and_again(prepared):
    """All 7 of them before any comes again, through passes of 8; and a run goes on anywhere."""

    def make(**position):
        options = {"data_dir": prepared / "tfrecord", "shuffle_buffer": 8}
        labeled = data.tfds("kssl_tiny", 8, 4, split="train[:7]", labels=True, drop_remainder=False, **options)
        return data.with_unlabeled(labeled, data.tfds("kssl_tiny", 8, 8, **options, **position))

    dataset = make()
    passes = [every(dataset) for _ in range(3)]
    for batch in sum(passes, []):
        np.testing.assert_array_equal(batch["label"], batch["image"][:, 0, 0, 0] % 3)
    found = np.concatenate([batch["image"][:, 0, 0, 0] for batch in sum(passes, [])])
    orders = found[:21].reshape(3, 7)
    assert len({tuple(sorted(order)) for order in orders}) == 1 and len(set(orders[0])) == 7
    assert len({tuple(order) for order in orders}) > 1
    same(every(make(epoch=2, start=1)), passes[2][1:])
    shares = [make(epoch=1).share(host, 2) for host in range(2)]
    same(together([every(share) for share in shares]), passes[1])


def test_class_balanced():
    labels = np.repeat([3, 1, 7], [50, 20, 30])
    chosen = data.class_balanced(labels, 30)
    assert chosen.dtype == np.int64 and len(set(chosen.tolist())) == 30 and (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen])[[1, 3, 7]].tolist() == [10, 10, 10]
    assert sorted(np.bincount(labels[data.class_balanced(labels, 31)])[[1, 3, 7]].tolist()) == [10, 10, 11]
    np.testing.assert_array_equal(chosen, data.class_balanced(labels, 30))
    assert not np.array_equal(chosen, data.class_balanced(labels, 30, seed=1))
    wrong = [(labels, 90, "class 1, which has 20"), (labels, 101, "at most"), (labels * 1.0, 3, "flat array of ints")]
    for labels, count, match in wrong:
        with pytest.raises(ValueError, match=match):
            data.class_balanced(labels, count)


def unpacked(name, keep, count, target):
    """The first `count` members of an archive that `keep` wants."""
    path = os.path.join(SHARED, name)
    if not os.path.exists(path):
        pytest.skip(f"{name} is not beside the repository, in shared/data")
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and keep(member.name):
                archive.extract(member, target, filter="data")
                count -= 1
            if count == 0:
                break
    return target


def test_real_small_images(tmp_path):
    root = unpacked("cifar10-images.tar.gz", lambda name: name.endswith(".jpg"), 50, tmp_path)
    batches = every(data.image_folder(root, 32, 25))
    assert sum(len(batch["image"]) for batch in batches) == 50 and batches[0]["image"].std() > 20


def test_real_photographs(tmp_path):
    root = unpacked("photos-200.tar", lambda name: name.lower().endswith((".jpg", ".jpeg")), 4, tmp_path)
    (batch,) = every(data.image_folder(root, 64, 4))
    assert batch["image"].shape == (4, 64, 64, 3) and batch["image"].std() > 20
