"""Faults: files and pixels that are not what they should be, each with one error that names it, or skipped and counted.

One pipeline a reader is made once, and the file in its middle is another fault at each pass: so a file that changes
between two epochs is tested too.
"""

import io
import os
import struct
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_ssl
from keras_ssl import augment, data
from keras_ssl.batches import inspected
from keras_ssl.inputs import check_column, check_fit
from tests import cases
from tests.cases import BATCH, SIZE, make, small_encoder

READERS = ("files", "image_folder", "image_folder_views")


def picture(height=24, width=20, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), "uint8")
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded(kind, image=None, **options):
    stream = io.BytesIO()
    (image or picture()).save(stream, kind, **options)
    return stream.getvalue()


def jpeg_of_size(height, width):
    """A small file whose header claims another size."""
    contents = bytearray(encoded("JPEG"))
    place = contents.find(b"\xff\xc0") + 5
    contents[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(contents)


def png_of_size(height, width):
    def chunk(kind, contents):
        return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def scrambled(contents):
    middle = len(contents) // 2
    noise = np.random.default_rng(1).integers(0, 256, 60, "uint8").tobytes()
    return contents[:middle] + noise + contents[middle + 60 :]


# The contents of a file called x.jpg, and a part of the error. What is a function does something else to the path.
FAULTS = {
    "truncated jpeg": (encoded("JPEG")[:-250], "broken"),
    "jpeg cut in its header": (encoded("JPEG")[:30], "broken"),
    "jpeg with a scrambled middle": (scrambled(encoded("JPEG")), "broken"),
    "truncated progressive jpeg": (encoded("JPEG", progressive=True)[:300], "broken"),
    "jpeg of 4 gigapixels": (jpeg_of_size(65000, 65000), "broken"),
    "jpeg without pixels": (jpeg_of_size(0, 0), "broken"),
    "truncated png": (encoded("PNG")[:-100], "broken"),
    "png of 4 gigapixels": (png_of_size(60000, 60000), "broken"),
    "truncated gif": (encoded("GIF")[:100], "broken"),
    "truncated webp": (encoded("WEBP")[:80], "broken"),
    "truncated bmp": (encoded("BMP")[:300], "broken"),
    "truncated tiff": (encoded("TIFF")[:200], "none of JPEG, PNG"),
    "zero bytes": (b"", "0 bytes"),
    "one byte": (b"\xff", "broken"),
    "text": (b"<html>404 not found</html>\n", "none of JPEG, PNG"),
    "deleted": (lambda path: None, "moved or deleted"),
    "a folder": (lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "dangling link": (lambda path: path.symlink_to(path.with_name("absent.jpg")), "cannot be read"),
    "link to itself": (lambda path: path.symlink_to(path), "cannot be read"),
    "no permission": (lambda path: (path.write_bytes(encoded("JPEG")), path.chmod(0)), "cannot be read"),
}


def write(path, contents):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    if callable(contents):
        contents(path)
    else:
        path.write_bytes(contents)


def crops(size=8):
    return augment.Views([augment.RandomResizedCrop(size, (0.95, 1.0), (0.8, 1.2))])


def read(reader, folder, **options):
    if reader == "files":
        return data.files(sorted(str(path) for path in folder.glob("*.jpg")), 8, 1, shuffle=False, **options)
    if reader == "image_folder":
        return data.image_folder(folder, 8, 1, shuffle=False, **options)
    return data.image_folder_views(folder, crops(), 1, shuffle=False, jit_compile=False, **options)


def message(dataset):
    with pytest.raises(tf.errors.OpError) as error:
        list(dataset.as_numpy_iterator())
    return str(error.value)


@pytest.mark.parametrize("reader", READERS)
def test_every_fault_of_a_file_is_an_error_that_names_it(tmp_path, reader):
    for name in ("a.jpg", "x.jpg", "z.jpg"):
        write(tmp_path / name, encoded("JPEG"))
    dataset = read(reader, tmp_path)
    assert len(list(dataset)) == 3
    for name, (contents, expected) in FAULTS.items():
        if name == "no permission" and os.geteuid() == 0:
            continue  # nothing is forbidden to root
        write(tmp_path / "x.jpg", contents)
        text = message(dataset)
        assert "x.jpg" in text and expected in text, f"{name}: {text}"
        assert "a.jpg" not in text and "z.jpg" not in text, f"{name}: {text}"
    write(tmp_path / "x.jpg", encoded("JPEG"))
    assert len(list(dataset)) == 3  # the pipeline works again


def test_every_fault_of_a_file_can_be_skipped_and_is_counted(tmp_path):
    good = [tmp_path / "good 1.jpg", tmp_path / "good 2.jpg"]
    for path in good:
        write(path, encoded("JPEG"))
    wrong = {name: fault for name, fault in FAULTS.items() if name not in ("deleted", "no permission")}
    for number, (contents, _) in enumerate(wrong.values()):
        write(tmp_path / f"{number:02d}.jpg", contents)
    found, bad = data.check(sorted(str(path) for path in tmp_path.glob("*.jpg")))
    assert found == [str(path) for path in good]
    for (_, expected), text in zip(wrong.values(), bad.values(), strict=True):
        assert expected in text and "{{" not in text and "Op:" not in text, text
    for reader in READERS:
        count = len(wrong) - (reader != "files")  # a folder called x.jpg is a folder, without images
        with pytest.warns(UserWarning, match=f"^{count} of {count + 2} image files are skipped") as caught:
            dataset = read(reader, tmp_path, on_error="skip")
        assert len(caught) == 1 and dataset.file_paths == found and len(list(dataset)) == 2


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_vanishes_after_it_was_checked_is_named(tmp_path, reader):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write(tmp_path / name, encoded("JPEG"))
    dataset = read(reader, tmp_path, on_error="skip")
    assert len(list(dataset)) == 3
    (tmp_path / "b.jpg").unlink()
    assert "b.jpg" in message(dataset)


def test_a_folder_that_cannot_be_listed_is_named_or_skipped(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "1.jpg", encoded("JPEG"))
    scan = os.scandir

    def refuse(path):  # as for a user who may not read it; to root nothing is forbidden
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for reader in READERS[1:]:
        with pytest.raises(ValueError, match=r"The folder '.*b' cannot be listed: Permission denied"):
            read(reader, tmp_path)
        with pytest.warns(UserWarning, match=r"1 folders are skipped.*b' cannot be listed"):
            assert len(read(reader, tmp_path, on_error="skip").file_paths) == 2
    with pytest.raises(ValueError, match="cannot be listed"):
        data.check(tmp_path)


def test_any_name_that_a_file_can_have(tmp_path):
    names = ["with space.jpg", "-rf.jpg", "\u00fc\u56fe.jpg", "new\nline.jpg", "quotes'\".jpg", "%20s{0}.jpg"]
    names += ["$(x);*?.jpg", "x" * 251 + ".jpg", os.fsdecode(b"not text \xff.jpg")]
    for name in names:
        write(tmp_path / name, encoded("JPEG"))
    for reader in READERS:
        assert len(list(read(reader, tmp_path))) == len(names)
    for name in names:
        write(tmp_path / name, b"text")
        with pytest.raises(ValueError) as error:
            data.files([tmp_path / name], 8, 1, on_error="skip")
        assert repr(str(tmp_path / name)) in str(error.value)
    assert "new\\nline.jpg" in message(data.files([tmp_path / "new\nline.jpg"], 8, 1))


def test_every_kind_of_pixel_is_converted(tmp_path):
    """Color models, depths and frames, against the same image as plain RGB."""
    image = picture(seed=3)
    sixteen = (np.asarray(image.convert("L")).astype("uint16") << 8) + 7
    kinds = {
        "cmyk.jpg": encoded("JPEG", image.convert("CMYK"), quality=100, subsampling=0),
        "gray.jpg": encoded("JPEG", image.convert("L"), quality=100),
        "16 bit gray.png": encoded("PNG", Image.fromarray(sixteen)),
        "16 bit.png": tf.io.encode_png(tf.cast(np.asarray(image), tf.uint16) * 257).numpy(),
        "alpha.png": encoded("PNG", image.convert("RGBA")),
        "gray and alpha.png": encoded("PNG", image.convert("LA")),
        "palette.png": encoded("PNG", image.quantize(256)),
        "animated.gif": encoded("GIF", image, save_all=True, append_images=[picture(seed=4)], duration=50),
        "animated.webp": encoded("WEBP", image, lossless=True, save_all=True, append_images=[picture(seed=4)]),
        "alpha.webp": encoded("WEBP", image.convert("RGBA"), lossless=True),
        "plain.tif": encoded("TIFF", image),
        "alpha.bmp": encoded("BMP", image.convert("RGBA")),
        "interlaced.png": encoded("PNG", image, interlace=True),
    }
    for name, contents in kinds.items():
        (tmp_path / name).write_bytes(contents)
    paths = [str(tmp_path / name) for name in kinds]
    found = next(data.files(paths, (24, 20), len(paths), shuffle=False).as_numpy_iterator())["image"]
    for name, one in zip(kinds, found):
        wanted = np.asarray(image.convert("L").convert("RGB") if "gray" in name else image).astype(int)
        assert np.abs(one - wanted).mean() < 8, name
    views = next(data.files_views(paths, crops(16), len(paths), shuffle=False).as_numpy_iterator())["views"][0]
    assert (np.abs(views.mean(axis=(1, 2)) - found.mean(axis=(1, 2))) < 8).all()


# Pixels, columns and views that do not fit


def noise(*shape):
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def test_arrays_name_the_first_bad_image():
    for value in (np.nan, np.inf, -np.inf):
        images = noise(600, 4, 4, 3)
        images[[301, 400], 2, 1, 0] = value
        with pytest.raises(ValueError, match=r"NaN or infinity in samples\[301\]"):
            data.arrays(images, 8)


@pytest.mark.parametrize(
    "images,expected",
    [
        (noise(4, 8, 8, 3) / 255, "0..1.*Multiply by 255"),
        (noise(4, 8, 8, 3) / 127.5 - 1, "-1..1.*127.5"),
        (noise(4, 8, 8, 3) - 128, "0..255"),
        (noise(4, 8, 8, 3) * 257, "0..255"),
        (noise(4, 3, 32, 32), "Channels come last"),
    ],
)
def test_arrays_of_other_ranges_and_shapes(images, expected):
    with pytest.raises(ValueError, match=expected):
        data.arrays(images, 2)


def test_arrays_of_unequal_images_and_of_bits():
    with pytest.raises(TypeError, match="unequal sizes"):
        data.arrays([np.zeros((8, 8, 3)), np.zeros((9, 8, 3))], 2)
    with pytest.warns(UserWarning, match="look like 0..1"):
        data.arrays((noise(4, 8, 8, 3) / 255).round().astype("uint8"), 2)
    with pytest.raises(ValueError, match="labels must fit into 32 bits"):
        data.arrays(noise(2, 8, 8, 3), 2, labels=[0, 2**40])


def test_shapes_that_are_known_at_run_time_only_are_no_error():
    model = make("InstDisc")

    def unknown(x):
        return tf.ensure_shape(tf.numpy_function(lambda x: x, [x], x.dtype), None)

    @tf.function
    def check(x):
        check_column("index", tf.cast(unknown(x), tf.int32))
        check_fit(unknown(x), model.encoder, "The data")
        return 0

    assert check(tf.zeros((2, 3))) == 0


def columns(count):
    """All columns that a method may need."""
    return cases.columns("CLIP", count)


def pipeline(**changed):
    """A pipeline as a user makes it."""
    return tf.data.Dataset.from_tensor_slices({**columns(2 * BATCH), **changed}).batch(BATCH, drop_remainder=True)


def fails(model, dataset, expected):
    with pytest.raises((ValueError, tf.errors.OpError)) as error:
        model.fit(dataset, verbose=0)
    text = str(error.value)
    assert expected in text, text
    return text


def test_a_pipeline_of_ones_own_is_looked_at_on_the_host():
    model = make("SimCLR", run_eagerly=True)
    images = noise(2 * BATCH, SIZE, SIZE, 3)
    model.fit(pipeline(image=images), verbose=0)
    images[3, 0, 0, 0] = np.nan
    fails(model, pipeline(image=images), "Image 3 of the first batch holds NaN or infinite pixels")
    for scaled in (noise(2 * BATCH, SIZE, SIZE, 3) / 255, noise(2 * BATCH, SIZE, SIZE, 3) / 127.5 - 1):
        with pytest.warns(UserWarning, match="Pixels are expected in 0..255") as caught:
            model.fit(pipeline(image=scaled), epochs=2, verbose=0)
        assert len(caught) == 1  # in two epochs


OF_INDEX = ("InstDisc", "PIRL", "CMC", "PCL", "DeepCluster", "DeepClusterV2", "SeLa", "ExemplarCNN")


@pytest.mark.parametrize("name", [*OF_INDEX, "CLIP", "SupCon"])
@pytest.mark.parametrize("value", [-1, 1000])
def test_numbers_out_of_the_methods_range_are_named(name, value):
    column = "text" if name == "CLIP" else "label" if name == "SupCon" else "index"
    wrong = columns(2 * BATCH)[column].copy()
    wrong[2] = value
    expected = f"The column '{column}' of the data must be from 0 to"
    text = fails(make(name, run_eagerly=True), pipeline(**{column: wrong}), expected)
    assert f"Received: {value}" in text


@pytest.mark.parametrize("name, column, value", [
    ("SimCLR of tokens", "token_ids", 1000), ("SimCLR of tokens", "token_ids", -1), ("SimCLR of graphs", "edges", 1000),
])  # fmt: skip
def test_tokens_and_edges_out_of_range_are_named(name, column, value):
    """On a GPU they are not seen."""
    model, batch = make(name, run_eagerly=True), cases.columns(name, 2 * BATCH)
    model.fit(tf.data.Dataset.from_tensor_slices(batch).batch(BATCH), verbose=0)
    batch[column] = batch[column].copy()
    batch[column][3, 0] = value
    expected = f"Received: {value}"
    assert column in fails(model, tf.data.Dataset.from_tensor_slices(batch).batch(BATCH), expected)
    assert column in fails(model, batch, expected)


def test_a_right_pipeline_is_the_same_object_or_yields_the_same():
    plain, of_bank = make("SimCLR"), make("InstDisc")
    dataset = pipeline()
    assert inspected(dataset, plain) is dataset
    for one, other in zip(dataset, inspected(dataset, of_bank), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


LABELED = ("SupCon", "FixMatch", "UDA", "PseudoLabel", "VAT", "S4L")
NEEDS = {"index": OF_INDEX, "label": LABELED, "text": ("CLIP", "SigLIP"), "mask": ("DetCon",)}
NEEDS |= {"is_next": ("NextSentence", "BERTPretraining")}


@pytest.mark.parametrize("column,name", [(column, name) for column, names in NEEDS.items() for name in names])
def test_a_column_that_lacks_or_has_another_kind(column, name):
    model, batch = make(name), cases.columns(name, BATCH)
    with pytest.raises(ValueError, match=f"needs the column '{column}'"):
        model({key: value for key, value in batch.items() if key != column}, training=True)
    words = np.array(["a"] * BATCH)
    for wrong in (batch[column].astype("float32"), batch[column][:, None], np.eye(3)[batch["label"]], words):
        with pytest.raises(ValueError, match=f"column '{column}' must be ints of shape"):
            model({**batch, column: wrong}, training=True)


def test_every_method_with_a_column_is_tested():
    tested = {name for names in NEEDS.values() for name in names}
    assert {name for name in keras_ssl.METHODS if getattr(keras_ssl, name).needs} == tested


@pytest.mark.parametrize("name", keras_ssl.METHODS)
def test_the_views_and_the_batch_must_fit(name):
    """Nothing is traced: the errors come before the first operation."""
    cls = getattr(keras_ssl, name)
    model, batch = make(name), cases.columns(name, BATCH)
    least, most = model.view_counts
    augment = model.augment
    made = model.views(batch)
    boxes = made[-1:] if getattr(augment, "locates", False) else []
    made = made[: len(made) - len(boxes)]
    assert least <= len(made) and (most is None or len(made) <= most)
    model.augment = None
    if least > 1:
        with pytest.raises(ValueError, match=f"{name} takes {least}.* views of each sample. Received: 1"):
            model({**batch, "views": [*made[:1], *boxes]}, training=True)
    if most is not None:
        with pytest.raises(ValueError, match=f"{name} takes .* Received: {most + 1}"):
            model({**batch, "views": [*[made[0]] * (most + 1), *boxes]}, training=True)
    kind = cases.case_of(name).kind
    if name != "QBHeat" and kind.axes[-1] == "channels":
        wrong = [tf.concat([made[0]] * 2, axis=-1), *made[1:], *boxes]
        with pytest.raises(ValueError, match=f"must fit the encoder .* {', '.join(kind.axes)}"):
            model({**batch, "views": wrong}, training=True)
    if cls.least_batch > 1:
        one = tf.nest.map_structure(lambda x: x[:1], {**batch, "views": (*made, *boxes)})
        with pytest.raises(ValueError, match=f"{name} needs at least 2 {kind.words} in a batch.* batch of 1"):
            model(one, training=True)
    with pytest.raises(ValueError, match="augment=None, so the data must hold the views"):
        model({kind.column: batch[kind.column], "label": batch["label"]}, training=True)
    model.augment = augment


def test_predict_names_what_it_needs():
    model = make("SimCLR")
    for images in (noise(2, SIZE, SIZE, 1), noise(2, 3, SIZE, SIZE), noise(2, SIZE + 1, SIZE, 3), noise(SIZE, SIZE, 3)):
        with pytest.raises(ValueError, match="must fit the encoder"):
            model(images)
    with pytest.raises(ValueError, match="The data needs the column 'image'"):
        model({"label": np.zeros(2)})
    gray = keras_ssl.SimCLR(small_encoder(channels=1), augment=cases.pair(), dim=8)
    assert gray(noise(2, SIZE, SIZE)).shape == (2, 16)  # Keras adds the axis


def test_an_augmentation_of_one_view_need_not_be_a_list():
    model = keras_ssl.InstDisc(small_encoder(), augment.RandomResizedCrop(SIZE), samples=BATCH, dim=4, negatives=2)
    assert np.isfinite(model(columns(BATCH), training=True)["loss"])


def test_a_queue_smaller_than_the_batch():
    for name in ("MoCoV2", "NNCLR", "SwAV"):
        model = cases.new(name, queue_size=3)
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        with pytest.raises(ValueError, match=rf"size=3 cannot take a batch of {BATCH} keys"):
            model.fit(pipeline(), verbose=0)


def test_what_keras_users_bring_to_fit():
    """Labels as `y`, beside a dict, with an axis of their own; arguments by position; a batch not reached."""
    model, images = make("SupCon", run_eagerly=True), columns(BATCH)["image"]
    labels = np.arange(BATCH) % 3
    losses = []
    for x, y in ((images, labels), (images, labels[:, None]), ({"image": images}, labels)):
        losses += model.fit(x, y, BATCH, 1, 0).history["loss"]
    assert np.isfinite(losses).all()
    model.fit(images[:5], labels[:5], batch_size=4, steps_per_epoch=1, verbose=0)
    with pytest.raises(ValueError, match="The data is empty"):
        model.fit(images[:0], labels[:0], verbose=0)
    bank = make("InstDisc", run_eagerly=True)
    with pytest.raises(ValueError, match="The column 'index' of the data must be from 0 to"):
        bank.fit({"image": images, "index": np.arange(BATCH) + 1000}, verbose=0)


def test_what_would_be_ignored_is_refused_before_the_first_step():
    images = columns(BATCH)["image"]
    model = cases.new("SimCLR")
    with pytest.raises(ValueError, match="SimCLR has no optimizer yet: call model.compile"):
        model.fit(images)
    for name, value in (("loss", "mse"), ("metrics", ["accuracy"]), ("weighted_metrics", ["accuracy"])):
        with pytest.raises(ValueError, match=f"takes no {name}=. Received: {name}="):
            model.compile(optimizer="sgd", **{name: value})
    model.compile(optimizer="sgd", run_eagerly=True)
    weights = np.ones(BATCH, "float32")
    for options, expected in [
        ({"validation_data": images}, "no evaluate.. and no validation_data"),
        ({"validation_split": 0.2}, "no evaluate.. and no validation_data"),
        ({"sample_weight": weights}, "SimCLR has no use for sample_weight"),
        ({"class_weight": {0: 1.0}}, "SimCLR has no use for class_weight"),
    ]:
        with pytest.raises(ValueError, match=expected):
            model.fit(images, verbose=0, **options)
    dataset = tf.data.Dataset.from_tensors((images, np.zeros(BATCH, "int32"), weights))
    with pytest.raises(ValueError, match="SimCLR has no use for sample_weight"):
        model.fit(dataset, verbose=0)
    with pytest.raises(NotImplementedError, match="evaluate the features with keras_ssl.eval"):
        model.evaluate(images, verbose=0)
    with pytest.raises(ValueError, match="augment must be a layer .* A function belongs into the pipeline"):
        keras_ssl.SimCLR(small_encoder(), augment=lambda x: x)
    assert int(model.step) == 0


def test_a_strategy_of_one_replica_is_as_good_as_none():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = make("SimCLR")
    assert np.isfinite(model.fit(columns(BATCH), verbose=0).history["loss"]).all()


@pytest.mark.parametrize("options", [
    {"name": "BYOL"}, {"name": "DINO"}, {"name": "SimSiam", "predictor_trainable": False},
])  # fmt: skip
def test_what_is_frozen_stays_so_when_a_model_is_thawed(options):
    model = cases.new(**options)
    count = len(model.trainable_variables)
    model.trainable = False
    model.trainable = True
    model.compile(optimizer="sgd")
    assert len(model.trainable_variables) == count
