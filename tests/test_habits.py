"""Habits: what people bring to fit, predict, evaluations and pictures, and what they are told before it costs time."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import batches, data, recipes, visualize
from keras_ssl import eval as evaluation
from keras_ssl.pixels import warn_of_small
from tests.cases import BATCH, SIZE, make, small_encoder

COUNT = 2 * BATCH


def noise(count=COUNT, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), "uint8")


@pytest.fixture(scope="module")
def model():
    return make("SimCLR", run_eagerly=True)


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


class Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 2

    def __getitem__(self, number):
        return (self.images[number * BATCH : (number + 1) * BATCH],)


def told(function):
    """The warnings of a call that are the package's."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [str(one.message) for one in caught if "__array__" not in str(one.message)]


# Pixels


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 1, "multiply them"),
        (-1, 1, "multiply them"),
        (-2.1, 2.6, "leave out the normalization"),
        (-123, 151, "leave out the normalization"),
        (0, 65535, "divide them"),
        (0, 255, None),
        (-20, 275, None),  # what a cubic interpolation makes
        (0, 0, None),
        (3, 200, None),
    ],
)
def test_ranges_of_pixels(low, high, expected):
    images = np.array([low, high], "float32").reshape(1, 1, 2, 1)
    found = told(lambda: warn_of_small(images, "The images"))
    assert len(found) == (expected is not None) and all(expected in text for text in found)


@pytest.mark.parametrize("scale", [lambda x: x / 255, lambda x: (x / 255 - 0.45) / 0.22, lambda x: x * 257.0])
def test_every_kind_of_data_is_looked_at(model, scale):
    images = scale(noise()).astype("float32")
    pairs = {
        "array": images,
        "tensor": tf.constant(images),
        "dict": {"image": images},
        "PyDataset": Batches(images),
        "data set": tf.data.Dataset.from_tensor_slices(images).batch(BATCH),
    }
    for name, given in pairs.items():
        found = told(lambda: batches.inspected(given, model))
        if name == "data set":
            found = told(lambda: list(batches.inspected(given, model)))
        assert len(found) == 1 and "Pixels are expected in 0..255" in found[0], name
        found = told(lambda: model.predict(given, verbose=0))
        assert len(found) == 1 and "Pixels are expected in 0..255" in found[0], name
    assert len(told(lambda: evaluation.features(None, images))) == 1


def test_what_a_generator_yields_first_is_not_lost(model):
    images = noise() / np.float32(255)
    found = []
    assert len(told(lambda: found.append(batches.inspected(((images[i : i + 8],) for i in (0, 8)), model)))) == 1
    np.testing.assert_array_equal(np.concatenate([x for x, in found[0]]), images[:16])


def test_bits_are_no_pixels(model, encoder):
    for bits in (noise() > 128, (noise() > 128).astype("uint8")):
        assert "multiply them" in told(lambda: batches.inspected(bits, model))[0]
        assert "multiply them" in told(lambda: evaluation.features(encoder, bits))[0]


def test_a_pixel_that_is_not_finite_is_found_anywhere(encoder):
    images = noise(300).astype("float32")
    images[290, 3, 3, 0] = np.nan
    with pytest.raises(ValueError, match="Image 290 holds NaN or infinite pixels"):
        evaluation.features(encoder, images)


def test_pictures_of_small_pixels_are_not_black_without_a_word():
    assert "multiply them" in told(lambda: visualize.views(noise(2) / 255, lambda x: x))[0]


# What fit takes


@pytest.mark.parametrize(
    "given, options, expected",
    [
        ("photos/", {}, "For a folder of images: keras_ssl.data.image_folder"),
        (None, {}, "Received: x=None"),
        (list(noise()), {}, r"Received: a list. np.asarray\(x\)"),
        (noise().tolist(), {}, r"Received: a list. np.asarray\(x\)"),
        (noise(), {"epochs": 0}, "epochs must be a positive int"),
        (noise(), {"batch_size": 0}, "batch_size must be a positive int"),
        (noise(), {"batch_size": 8.0}, "batch_size must be a positive int"),
        (noise(), {"steps_per_epoch": 0}, "steps_per_epoch must be a positive int"),
        (noise(), {"initial_epoch": -1}, "initial_epoch must be an int from 0"),
        (tf.data.Dataset.from_tensor_slices(noise()).batch(8), {"batch_size": 8}, "batch_size would be ignored"),
        (Batches(noise()), {"batch_size": 8}, "batch_size would be ignored"),
        (tf.data.Dataset.from_tensor_slices(noise()).batch(8).repeat(), {}, "The data is endless"),
        (noise(), {"callbacks": [keras_ssl.StopOnNaN]}, r"callbacks must be made, as by StopOnNaN\(...\)"),
        (noise(), {"y": np.array(["cat", "dog"] * BATCH)}, r"The labels y must be ints.*np.unique"),
        (tf.ragged.stack(list(tf.constant(noise()))), {}, "samples must have one size.*RaggedTensor"),
        (
            tf.data.Dataset.from_tensors(tf.ragged.stack(list(tf.constant(noise())))),
            {},
            "samples must have one size.*RaggedTensorSpec",
        ),
    ],
)
def test_what_fit_cannot_use(model, given, options, expected):
    with pytest.raises((TypeError, ValueError), match=expected):
        model.fit(given, verbose=0, **options)


def test_what_compile_cannot_use():
    model = make("SimCLR")
    with pytest.raises(ValueError, match="computes its own loss, so `compile` takes no loss=. Received: loss='mse'"):
        model.compile("adam", "mse")
    with pytest.raises(ValueError, match="steps_per_execution must be a positive int"):
        model.compile("adam", steps_per_execution=0)


def test_an_encoder_that_learns_nothing_is_told():
    frozen = small_encoder()
    frozen.trainable = False
    model = keras_ssl.SimCLR(frozen, make("SimCLR").augment, hidden=8, dim=4)
    model.compile("sgd", run_eagerly=True)
    found = told(lambda: model.fit(noise(BATCH), batch_size=BATCH, verbose=0))
    assert len(found) == 1 and "No weight of the encoder" in found[0] and "encoder.trainable = True" in found[0]
    frozen.trainable = True
    for layer in frozen.layers[3:]:  # a part is enough
        layer.trainable = False
    assert not told(lambda: batches.warn_of_frozen(keras_ssl.SimCLR(frozen, model.augment, hidden=8, dim=4)))


def test_a_classifier_is_no_encoder():
    images = keras.Input((SIZE, SIZE, 3))
    classes = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(images))
    inner = keras.Model(images, classes)
    for network in (inner, keras.Sequential([images, inner]), keras.Model(images, inner(images))):
        with pytest.raises(ValueError, match="ends with a classifier"):
            keras_ssl.SimCLR(network, None)
    for name, top in [("predictions", True), ("convnext_tiny_head_dense", True), ("classifier_neck", False)]:
        network = keras.Sequential([images, keras.layers.Flatten(), keras.layers.Dense(10, name=name)])
        if top:
            with pytest.raises(ValueError, match=f"ends with a classifier, '{name}'"):
                keras_ssl.SimCLR(network, None)
        else:
            keras_ssl.SimCLR(network, None, hidden=8, dim=4)


# What predict and evaluations take


def test_rows_that_are_of_unknown_images(model):
    images = tf.data.Dataset.from_tensor_slices(noise(BATCH + 2))
    assert "shuffles" in told(lambda: model.predict(images.shuffle(8).batch(2), verbose=0))[0]
    dropping = images.batch(BATCH, drop_remainder=True)
    found = told(lambda: model.predict(dropping.prefetch(1), verbose=0))
    assert len(found) == 1 and "The last 2 samples are not among the rows of predict()" in found[0]
    labeled = tf.data.Dataset.from_tensor_slices((noise(BATCH + 2), np.arange(BATCH + 2) % 2))
    assert "The last 2 samples" in told(lambda: evaluation.features(None, labeled.batch(BATCH, drop_remainder=True)))[0]
    windows = images.window(2, drop_remainder=True).flat_map(lambda window: window)
    cut = images.batch(4, drop_remainder=True).map(lambda part: part[0])
    for whole in (
        images.batch(BATCH), images.take(BATCH).batch(2, drop_remainder=True), data.arrays(noise(4), 2),
        windows.batch(4), cut.batch(2), images.batch(2).rebatch(4, drop_remainder=True),
    ):  # fmt: skip
        assert not told(lambda: evaluation.features(None, whole))


def test_a_data_set_that_is_distributed_already_is_taken(model, two_replicas):
    images = tf.data.Dataset.from_tensor_slices(noise()).batch(BATCH)
    batches.check_kind_of_data(model, two_replicas.experimental_distribute_dataset(images))


@pytest.mark.parametrize(
    "labels, advice",
    [
        (["cat", "dog"] * BATCH, "np.unique"),
        (np.arange(COUNT) % 2 * 1.0, 'astype\\("int64"\\)'),
        (np.eye(2)[np.arange(COUNT) % 2], "np.argmax"),
        (np.arange(COUNT) % 2 - 1, "Leave out what has no label"),
    ],
)
def test_labels_of_other_kinds(labels, advice):
    features = np.random.default_rng(0).normal(size=(COUNT, 4))
    with pytest.raises(ValueError, match=advice):
        evaluation.knn_features(features, labels, features, labels)
    for callback in (evaluation.KNN, evaluation.LinearProbe):  # not at the end of an epoch
        with pytest.raises(ValueError, match=advice):
            callback((noise(), labels), (noise(), labels))


def test_a_single_sample_with_a_one_hot_label_is_no_batch(encoder):
    dataset = tf.data.Dataset.from_tensor_slices((noise(), np.eye(2)[np.arange(COUNT) % 2]))
    with pytest.raises(ValueError, match="not one-hot"):
        evaluation.features(encoder, dataset)


def test_callbacks_look_at_their_data_when_they_are_made():
    labels = np.arange(COUNT) % 2
    good = noise(), labels
    dataset = tf.data.Dataset.from_tensor_slices(good).batch(4)
    for callback in (evaluation.KNN, evaluation.LinearProbe):
        for train, test, expected in [
            (good, 20, "The test set has no labels"),
            (noise(), good, "The train set has no labels"),
            (dataset.repeat(), good, "endless"),
            (dataset.map(lambda x, y: x), good, "The train set has no labels"),
            ((noise(), labels[:5]), good, f"{COUNT} train samples, 5 labels"),
            ((noise(), labels * 0), good, "samples of two classes or more"),
        ]:
            with pytest.raises(ValueError, match=expected):
                callback(train, test)
        callback(dataset, {"image": noise(), "label": labels})
        callback(dataset.map(lambda x, y: {"image": x, "label": y}), dataset.map(lambda x, y: ({"image": x}, y)))
    for wrong in ({"k": 0}, {"temperature": -1}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            evaluation.KNN(good, good, **wrong)
    for wrong in ({"epochs": 0}, {"learning_rate": 0}, {"weight_decay": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            evaluation.LinearProbe(good, good, **wrong)


# Pictures


def test_names_of_classes_are_labels_of_a_map():
    features = np.random.default_rng(0).normal(size=(9, 4))
    names = np.array(["dog", "cat", "ship"] * 3)
    drawn = visualize.projection(features, names, method="pca")
    assert [text.get_text() for text in drawn.axes[0].get_legend().get_texts()] == ["cat", "dog", "ship"]
    with pytest.raises(ValueError, match="class_names are for labels that are numbers"):
        visualize.projection(features, names, method="pca", class_names=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"9 features, labels of \(9, 3\)"):
        visualize.projection(features, np.eye(3)[np.arange(9) % 3], method="pca")


def test_pictures_of_something_else():
    with pytest.raises(TypeError, match="encoder must be a keras.Model"):
        visualize.filters(noise())
    for values in (3.0, ["a"], [[1.0]]):
        with pytest.raises(ValueError, match="one number an epoch. Received: 'loss'"):
            visualize.curves({"loss": values})


# Files and folders


def test_arguments_of_pipelines_that_changed_places():
    with pytest.raises(TypeError, match="a dataset of batches.*Received: dataset=Views, augment=Pipeline"):
        data.views(make("SimCLR").augment, data.arrays(noise(), 2))
    with pytest.raises(TypeError, match="labels are an argument of their own. Received: a tuple"):
        data.arrays((noise(), np.zeros(COUNT)), 2)
    rows = tuple(np.zeros((4, 3, 2), "float32"))
    assert next(iter(data.arrays({"series": rows}, 2)))["series"].shape == (2, 3, 2)
    with pytest.raises(TypeError, match="has batches already"):
        data.arrays(tf.data.Dataset.from_tensor_slices(noise()), 2)


def test_parts_of_a_data_set_are_no_classes(tmp_path):
    for name in ("train/cat", "train/dog", "test/cat"):
        (tmp_path / name).mkdir(parents=True)
        keras.utils.save_img(tmp_path / name / "0.png", noise(1)[0], scale=False)
    with pytest.warns(UserWarning, match="'test' and 'train', which look like parts of a data set"):
        data.image_folder(tmp_path, SIZE, 1, labels=True)
    assert not told(lambda: data.image_folder(tmp_path / "train", SIZE, 1, labels=True))


def test_pixels_of_32_bits_are_converted_or_refused(tmp_path):
    from PIL import Image

    levels = np.linspace(0, 255, 24 * 20).reshape(24, 20)
    for number, image in enumerate([levels.astype("float32"), levels.astype("int32"), np.zeros((24, 20), "float32")]):
        path = str(tmp_path / f"{number}.tiff")
        Image.fromarray(image).save(path)
        found = next(data.files([path], (24, 20), 1, channels=1).as_numpy_iterator())["image"][0, ..., 0]
        assert np.abs(found - image).max() <= 1 and not data.check([path])[1]
    for image in (levels / 255, levels * 257, levels - 100):
        path = str(tmp_path / "odd.tiff")
        Image.fromarray(image.astype("float32")).save(path)
        assert "which of them is white is not known" in data.check([path])[1][path]


def test_views_of_other_samples():
    model = keras_ssl.SimCLR(small_encoder(), None, hidden=8, dim=4)
    with pytest.raises(ValueError, match=r"same samples, in one order. Received: views of \[16, 5\] samples"):
        model({"views": (noise(16), noise(5))}, training=True)


def test_an_export_that_does_not_fit_on_the_disk(tmp_path, encoder, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(encoder), "save", full)
    with pytest.raises(OSError, match="could not be written, and nothing is left of it: .* No space left on device"):
        keras_ssl.export(encoder, tmp_path / "encoder.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["array", "pipeline"])
def test_what_a_recipe_trains_before_sees_batches_of_its_run_in_a_mixed_order(kind):
    images = np.arange(24, dtype="uint8").reshape(24, 1, 1, 1) * np.ones((4, 4, 3), "uint8")
    pipeline = data.arrays(images, 24, shuffle=False, index=True)
    samples = {"array": images, "pipeline": pipeline}[kind]
    run = recipes.Run((4, 4, 3), 24, 8, 3, 2, "resnet18", in_order=lambda: samples)
    seen = []

    class Recorder:
        def fit(self, given, **options):
            seen.append((given, options))

    run.train_before(Recorder())
    given, options = seen[0]
    assert options["epochs"] == 2
    if kind == "array":
        assert given is images and options["batch_size"] == 8  # which Keras shuffles
        return
    passes = [[batch["index"].tolist() for batch in given.as_numpy_iterator()] for _ in range(2)]
    assert "batch_size" not in options and [len(batch) for batch in passes[0]] == [8, 8, 8]
    assert passes[0] != passes[1] and all(sorted(sum(one, [])) == list(range(24)) for one in passes)
    assert passes[0][0] != list(range(8))


def test_a_result_that_could_not_be_written_is_told_before_it_is_computed(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.json").mkdir()
    calls = [
        lambda out: keras_ssl.evaluate("no run", tmp_path, tmp_path, out=out),
        lambda out: keras_ssl.embed("no run", tmp_path, out.with_suffix(".npz")),
        lambda out: visualize.report({"loss": [1.0]}, out),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="must be a file in a folder, but .*file' is a file"):
            call(tmp_path / "file" / "scores.json")
    with pytest.raises(ValueError, match="must be a file, but .* is a folder"):
        calls[0](tmp_path / "folder.json")
    assert visualize.report({"loss": [1.0]}, tmp_path / "new" / "page.html").exists()
    for options in ({"k": 0}, {"epochs": 0}, {"batch": -1}, {"size": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be a positive int"):
            keras_ssl.evaluate("no run", tmp_path, tmp_path, **options)
