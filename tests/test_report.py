"""The report of a run and its figures, TensorBoard's events and the files of its projector."""

import json
import re
import sys
import types

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import encoders, runs, visualize
from keras_ssl.visualize.run import duration

HISTORY = {
    "loss": [5.0, 4.0, 3.5],
    "variance": [1.0, 0.5, 0.4],
    "covariance": [0.01, 0.02, 0.01],
    "knn": [0.3, 0.5, 0.6],
    "feature_rank": [3.0, 8.0, 9.0],
}
TITLES = ["loss", "parts of the loss", "accuracy", "dimensions that the features use (RankMe)"]


def pictures(n, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3)).astype("uint8")


def tiny(name="tiny"):
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, 2)(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x), name=name)


class Plain(keras_ssl.Method):
    """The least that `fit` takes."""

    terms = ("spread",)

    def objective(self, views):
        features = self.encoder(views[0], training=True)
        return {"loss": keras.ops.mean(features**2), "spread": keras.ops.std(features)}


# Curves


def test_curves_of_every_kind_of_history(tmp_path):
    rows = [{"epoch": n + 1} | {name: values[n] for name, values in HISTORY.items()} for n in range(3)]
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    logger.set_model(types.SimpleNamespace(stop_training=False))
    logger.on_train_begin()
    for number, row in enumerate(rows):
        logger.on_epoch_end(number, {name: row[name] for name in HISTORY})
    logger.on_train_end()
    (tmp_path / "run").mkdir()
    runs.write(tmp_path / "run", {"arguments": {}, "history": rows})
    kinds = HISTORY, rows, types.SimpleNamespace(history=HISTORY), tmp_path / "log.csv", str(tmp_path / "run")
    for history in kinds:
        drawn = visualize.curves(history, path=tmp_path / "curves.png")
        assert [axis.get_title() for axis in drawn.axes] == TITLES
        loss = drawn.axes[0].lines[0]
        np.testing.assert_array_equal(loss.get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(loss.get_ydata(), HISTORY["loss"])
        assert {text.get_text() for text in drawn.axes[1].get_legend().get_texts()} == {"variance", "covariance"}
        assert drawn.axes[1].get_yscale() == "symlog"  # one is a fiftieth of the other
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len(visualize.curves(HISTORY, ["knn"]).axes) == 1


def test_curves_with_gaps():
    # A run that goes on has other epochs, and may have logged an evaluation in some only.
    rows = [{"epoch": 4, "loss": 2.0}, {"epoch": 5, "loss": None, "knn": 0.5}, {"epoch": 7, "loss": 1.0}]
    drawn = visualize.curves(rows)
    np.testing.assert_array_equal(drawn.axes[0].lines[0].get_xdata(), [4, 7])
    np.testing.assert_array_equal(drawn.axes[1].lines[0].get_xdata(), [5])


# Networks and features


def test_filters_are_the_kernels_of_the_first_layer():
    encoder = tiny()
    kernel = encoder.layers[2].kernel
    kernel.assign(np.arange(162, dtype="float32").reshape(3, 3, 3, 6) - 81)
    drawn = visualize.filters(encoder)
    assert len(drawn.axes) == 6
    first = np.asarray(drawn.axes[0].images[0].get_array())  # of the largest weight: that of channel 0, -81
    np.testing.assert_allclose(first, 0.5 + kernel.numpy()[..., 0] / (2 * 81), rtol=1e-6)
    assert len(visualize.filters(encoder, count=2).axes) == 2
    vit = encoders.vit((16, 16, 3), 4, width=12, depth=1, heads=1)
    assert len(visualize.filters(vit).axes) == 12  # its patches, inside of a stage


def test_spectrum():
    rows = np.random.default_rng(0).normal(size=(50, 8)) * np.arange(1, 9)
    drawn = visualize.spectrum({"all": rows, "two": rows[:, :2]})
    values = np.linalg.svd(rows, compute_uv=False)
    np.testing.assert_allclose(drawn.axes[0].lines[0].get_ydata(), values / values[0])
    assert len(drawn.axes[0].lines[1].get_ydata()) == 2
    rank = keras_ssl.eval.collapse(rows)["rank"]
    assert drawn.axes[0].get_legend().get_texts()[0].get_text() == f"all: {rank:.1f} of 8 dimensions"


def test_similarities_know_the_classes():
    labels = np.arange(40) % 2
    drawn = visualize.similarities(np.eye(2)[labels], labels)
    two, one = (container.patches for container in drawn.axes[0].containers)
    height = lambda bars: [bar.get_x() + bar.get_width() / 2 for bar in bars if bar.get_height() > 0]  # noqa: E731
    assert np.allclose(height(two), 0, atol=0.02) and np.allclose(height(one), 1, atol=0.02)
    assert len(visualize.similarities(np.eye(4)).axes[0].containers) == 1
    # An image is never its own pair: the cosines of these are all 0.
    (bars,) = (container.patches for container in visualize.similarities(np.eye(4)).axes[0].containers)
    assert np.allclose(height(bars), 0, atol=0.02)


def test_a_map_by_umap():
    pytest.importorskip("umap")
    drawn = visualize.projection(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 2, method="umap")
    assert drawn.axes[0].get_title() == "UMAP" and len(drawn.axes[0].collections) == 2


# The page


def headings(path):
    return re.findall("<h2>(.*?)</h2>", path.read_text(encoding="utf-8"))


def test_the_report_of_a_history(tmp_path):
    model = Plain(tiny(), keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(16), 2))
    labels = np.arange(24) % 3
    names = ["a", "<b>", "c"]
    path = visualize.report(
        HISTORY, tmp_path / "page.html", model=model, images=pictures(24), labels=labels, class_names=names, title="<T>"
    )
    text = path.read_text(encoding="utf-8")
    assert headings(path) == ["Training", "Views", "Neighbors", "Map", "Features", "Filters"]
    assert text.count("<img ") == len(TITLES) + 6
    assert "<h1>&lt;T&gt;</h1>" in text and "<script" not in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text) and "http" not in text and "url(" not in text
    assert '<div class="tile"><b>60.0 %</b><span>k-NN, watched</span></div>' in text
    assert headings(visualize.report(HISTORY, tmp_path / "history.html")) == ["Training"]
    assert "No epoch has ended" in visualize.report({}, tmp_path / "empty.html").read_text(encoding="utf-8")


def test_the_report_of_a_vision_transformer_that_reconstructs(tmp_path):
    encoder = encoders.vit((16, 16, 3), 4, width=12, depth=1, heads=2)
    model = keras_ssl.MAE(encoder, keras_ssl.augment.mae(16), width=16, depth=1, heads=2)
    path = visualize.report(HISTORY, tmp_path / "page.html", model=model, images=pictures(10))
    found = ["Training", "Views", "Neighbors", "Map", "Features", "Filters", "Attention", "Reconstructions"]
    assert headings(path) == found and "frame" not in path.read_text(encoding="utf-8")


def test_the_report_of_a_method_that_makes_pictures(tmp_path):
    model = keras_ssl.Autoencoder(encoders.resnet18((16, 16, 3), width=4), keras_ssl.augment.mae(16), width=4)
    path = visualize.report(HISTORY, tmp_path / "page.html", model=model, images=pictures(10))
    assert headings(path) == ["Training", "Views", "Neighbors", "Map", "Features", "Filters", "Pictures"]


def test_what_cannot_be_shown_is_said(tmp_path):
    model = Plain(tiny(), keras.layers.Lambda(lambda images: [images[..., :2]]))
    path = visualize.report(HISTORY, tmp_path / "page.html", model=model, images=pictures(10))
    text = path.read_text(encoding="utf-8")
    assert "There is none here: The views must have the shape" in text and "Neighbors" in headings(path)


def test_durations():
    assert [duration(seconds) for seconds in (3.2, 99, 100, 3599, 3600 * 30 + 61)] == [
        "3 s", "99 s", "2 min", "1 h 0 min", "30 h 1 min",
    ]  # fmt: skip


# TensorBoard


def test_tensorboard_gets_the_numbers_of_every_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    model = Plain(tiny(), keras_ssl.augment.Views(keras_ssl.augment.RandomResizedCrop(16), 1))
    model.compile(optimizer=keras.optimizers.SGD(0.01))
    images = pictures(16)
    labeled = images, np.arange(16) % 2
    board = keras.callbacks.TensorBoard(tmp_path, update_freq="epoch")
    watching = [keras_ssl.eval.KNN(labeled, labeled, k=3), keras_ssl.eval.CollapseMonitor(images, threshold=0)]
    dataset = keras_ssl.data.arrays(images, 8)
    history = model.fit(dataset, epochs=2, callbacks=[*watching, board], verbose=0).history
    events = EventAccumulator(str(tmp_path / "train")).Reload()
    tags = {f"epoch_{name}" for name in ("loss", "spread", "knn", "feature_rank", "feature_std")}
    assert tags <= set(events.Tags()["tensors"])
    for tag in tags:
        found = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        np.testing.assert_allclose(found, history[tag.removeprefix("epoch_")], rtol=1e-6)


def test_projector(tmp_path):
    features, images = np.random.default_rng(0).normal(size=(5, 3)), pictures(5)
    folder = visualize.projector(features, images, np.array([1, 0, 1, 0, 2]), tmp_path / "board")
    np.testing.assert_allclose(np.loadtxt(folder / "features.tsv"), features, rtol=1e-5)
    assert (folder / "labels.tsv").read_text().split() == ["1", "0", "1", "0", "2"]
    sprite = np.asarray(keras.utils.load_img(folder / "images.png"))
    assert sprite.shape == (48, 48, 3)  # three rows of three, four of them empty
    np.testing.assert_array_equal(sprite[16:32, :16], images[3])
    assert np.all(sprite[32:] == 255)
    columns = {"path": ["a\tb", "c\nd", "e", "f", "g"], "label": range(5)}
    visualize.projector(features, labels=columns, path=folder)
    assert (folder / "labels.tsv").read_text().splitlines()[:3] == ["path\tlabel", "a b\t0", "c d\t1"]
    config = (folder / "projector_config.pbtxt").read_text()
    assert "sprite" not in config and 'metadata_path: "labels.tsv"' in config


def test_the_projector_of_tensorboard_reads_it(tmp_path):
    pytest.importorskip("tensorboard")
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    images = np.zeros((3, 8, 4, 1), "uint8")
    folder = visualize.projector(np.eye(3), images, ["x", "y", "z"], tmp_path)
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (found,) = config.embeddings
    assert (found.tensor_path, found.metadata_path) == ("features.tsv", "labels.tsv")
    assert found.sprite.image_path == "images.png" and list(found.sprite.single_image_dim) == [4, 8]  # width, height


def test_a_large_sprite_is_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["keras_ssl.visualize.projector"], "SPRITE", 24)  # the function hides the module
    folder = visualize.projector(np.eye(4), pictures(4), path=tmp_path)
    assert keras.utils.load_img(folder / "images.png").size == (16, 16)
    assert "single_image_dim: 8" in (folder / "projector_config.pbtxt").read_text()


# Runs


def test_a_run_is_read_again(tmp_path):
    with pytest.raises(FileNotFoundError, match="not the folder of a run"):
        runs.read(tmp_path)
    record = {"history": [{"loss": float("inf")}], "arguments": {}}
    runs.write(tmp_path, record)
    runs.add_scores(tmp_path, {"knn": {"accuracy": 0.5}})
    runs.add_scores(tmp_path, {"linear": {"accuracy": 0.6}})
    assert runs.read(tmp_path)["history"] == [{"loss": None}]
    assert list(runs.read(tmp_path)["scores"]) == ["knn", "linear"]
    with pytest.raises(FileNotFoundError, match="no checkpoint yet"):
        runs.load_encoder(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(record)[:10])
    with pytest.raises(ValueError, match="is damaged"):
        runs.read(tmp_path)
    for text in ("[]", "{}", '{"arguments": {}, "history": 3}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(ValueError, match="it has no (arguments and no )?history"):
            runs.read(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(record)[:10])
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="folder of a run or a .keras file"):
        runs.load_encoder(tmp_path / "weights.h5")


@pytest.mark.parametrize("make, error, match", [
    (lambda: visualize.curves({}), ValueError, "history is empty"),
    (lambda: visualize.curves(HISTORY, ["top5"]), ValueError, r"no \['top5'\]"),
    (lambda: visualize.curves({"loss": [1.0], "knn": [0.1, 0.2]}), ValueError, "one length"),
    (lambda: visualize.curves(5), TypeError, "history must be"),
    (lambda: visualize.filters(tiny(), count=0), ValueError, "count"),
    (lambda: visualize.filters(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])), ValueError, "no convol"),
    (lambda: visualize.spectrum(np.ones((1, 3))), ValueError, "two images"),
    (lambda: visualize.spectrum(np.full((4, 3), np.nan)), ValueError, "NaN"),
    (lambda: visualize.similarities(np.ones(3)), ValueError, "shape"),
    (lambda: visualize.similarities(np.eye(3), [0]), ValueError, "one label a row"),
    (lambda: visualize.similarities(np.eye(3), pairs=0), ValueError, "pairs"),
    (lambda: visualize.projector(np.ones(3)), ValueError, "shape"),
    (lambda: visualize.report(HISTORY, method="isomap"), ValueError, "method"),
    (lambda: visualize.report(HISTORY, count=2), ValueError, "count"),
    (lambda: visualize.report(HISTORY, images=pictures(3), labels=[0]), ValueError, "one label an image"),
    (lambda: visualize.report("nowhere"), FileNotFoundError, "folder of a run"),
])  # fmt: skip
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_projector_errors(tmp_path):
    for more, match in (({"labels": [1]}, "one label a row"), ({"images": pictures(2)}, "one image a row")):
        with pytest.raises(ValueError, match=match):
            visualize.projector(np.eye(3), path=tmp_path, **more)
