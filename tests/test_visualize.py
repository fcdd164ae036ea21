"""Visualisation: what the figures hold, the files they write, and no state of Matplotlib touched."""

import base64
import builtins
import re
import sys

import keras
import numpy as np
import pytest
from matplotlib import colors

from keras_ssl import encoders, visualize
from keras_ssl import eval as evaluation


def pictures(n, channels=3, size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, channels)).astype("uint8")


def shown(axis):
    return np.asarray(axis.images[0].get_array())


def test_views_show_the_image_and_each_view(tmp_path):
    images = pictures(9)

    def augment(batch):
        return batch[:, ::-1], keras.ops.convert_to_tensor(batch[:, :4, :4].astype("float32"))

    drawn = visualize.views(images, augment, rows=5, path=tmp_path / "views.png")
    axes = np.reshape(drawn.axes, (5, 3))
    assert [axis.get_title() for axis in axes[0]] == ["image", "view 1", "view 2"]
    for row in range(5):
        np.testing.assert_array_equal(shown(axes[row][0]), images[row])
        np.testing.assert_array_equal(shown(axes[row][1]), images[row, ::-1])
        np.testing.assert_array_equal(shown(axes[row][2]), images[row, :4, :4])
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")
    gray = visualize.views(pictures(2, channels=1), keras.layers.RandomFlip())
    assert shown(gray.axes[0]).shape == (8, 8) and len(gray.axes) == 4


def test_pictures_stand_in_columns(tmp_path):
    images, lightness = pictures(3), pictures(3, channels=1)
    drawn = visualize.pictures({"image": images, "light": lightness.astype("float32")}, path=tmp_path / "columns.png")
    axes = np.reshape(drawn.axes, (3, 2))
    assert [axis.get_title() for axis in axes[0]] == ["image", "light"] and (tmp_path / "columns.png").exists()
    for row in range(3):
        np.testing.assert_array_equal(shown(axes[row][0]), images[row])
        np.testing.assert_array_equal(shown(axes[row][1]), lightness[row, ..., 0])


def test_neighbors_are_the_nearest_without_the_query():
    gallery = pictures(12)
    labels = np.arange(12) % 3
    drawn = visualize.neighbors(None, gallery[:2], gallery, k=4, labels=(labels[:2], labels))
    axes = np.reshape(drawn.axes, (2, 5))
    rows = gallery.reshape(12, -1).astype("float64")
    for row in range(2):
        cosine = rows @ rows[row] / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows[row])
        nearest = np.argsort(-cosine)[1:5]  # the first is the query
        for axis, index in zip(axes[row][1:], nearest):
            np.testing.assert_array_equal(shown(axis), gallery[index])
            assert axis.get_xlabel() == f"{cosine[index]:.2f}"
            red, green, _, _ = colors.to_rgba(axis.spines["left"].get_edgecolor())
            assert (green > red) == (labels[index] == labels[row])
    assert len(visualize.neighbors(None, gallery[:1], gallery[:3], k=8).axes) == 4


@pytest.mark.parametrize("registers", [0, 2])
def test_attention_is_that_of_the_patches(registers):
    options = {"patch": 4, "width": 12, "depth": 1, "heads": 3, "registers": registers}
    encoder, images = encoders.vit((8, 8, 3), **options), pictures(2)
    maps = encoders.attention_maps(encoder)(images).numpy()
    assert maps.shape == (2, 3, 5 + registers, 5 + registers)
    axes = np.reshape(visualize.attention(encoder, images).axes, (2, 4))
    for row, weights in zip(axes, maps):
        for head in range(3):
            found = np.asarray(row[1 + head].images[1].get_array())
            np.testing.assert_allclose(found, weights[head, 0, 1:5].reshape(2, 2), rtol=1e-4)
    bare = encoders.vit((8, 8, 3), class_token=False, pooling="mean", **options)
    with pytest.raises(ValueError, match="has no class token"):
        visualize.attention(bare, images)


def test_projection(tmp_path):
    labels = np.arange(60) % 3
    features = np.random.default_rng(0).normal(size=(60, 5)) + 20 * np.eye(3, 5)[labels]
    for method in ("pca", "tsne"):
        drawn = visualize.projection(features, labels, method, ["a", "b", "c"], path=tmp_path / f"{method}.svg")
        groups = [np.asarray(group.get_offsets()) for group in drawn.axes[0].collections]
        assert [text.get_text() for text in drawn.axes[0].get_legend().get_texts()] == ["a", "b", "c"]
        spread = max(group.std(axis=0).max() for group in groups)
        centers = [group.mean(axis=0) for group in groups]
        assert min(np.linalg.norm(centers[i] - centers[i - 1]) for i in range(3)) > 2 * spread
        assert (tmp_path / f"{method}.svg").stat().st_size > 1000
    assert visualize.projection(features, method="pca").axes[0].get_legend() is None
    assert len(visualize.projection(features, np.arange(60) % 40, method="pca").axes[0].collections) == 40


def test_projection_of_odd_features():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(30, 5))
    labels = np.arange(30) % 3 - 1  # a third is unlabeled
    axis = visualize.projection(features, labels, "pca", ["cat", "dog"]).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["unlabeled", "cat", "dog"]
    assert len(axis.collections[0].get_offsets()) == 10
    for method in ("pca", "tsne"):
        for alike in (np.zeros((9, 4)), np.full((9, 4), 3.7), np.zeros((9, 1))):
            axis = visualize.projection(alike, method=method).axes[0]
            assert axis.get_title().endswith("all features are alike")
            np.testing.assert_array_equal(axis.collections[0].get_offsets(), np.zeros((9, 2)))
        line = visualize.projection(features[:, :1], method=method).axes[0]
        assert np.ptp(line.collections[0].get_offsets()[:, 1]) == 0 and "alike" not in line.get_title()
        for wrong in (np.nan, np.inf):
            with pytest.raises(ValueError, match="NaN or infinite"):
                visualize.projection(np.where(features > 2, wrong, features), method=method)
    with pytest.raises(ValueError, match="n, dim"):
        visualize.projection(np.zeros((9, 0)))


def test_a_flat_map_has_a_flat_figure():
    points = np.random.default_rng(0).normal(size=(200, 2))
    for scale, ratio in ((1, None), (0.1, 0.4)):
        drawn = visualize.projection(points * [1, scale], method="pca")
        width, height = drawn.get_size_inches()
        drawn.canvas.draw()
        axis = drawn.axes[0]
        low, high = axis.get_ylim()
        span = np.ptp(axis.collections[0].get_offsets()[:, 1])
        assert ratio is None or height < 0.6 * width
        assert span / (high - low) > (0.8 if ratio is None else 0.2)


def test_report_is_one_file(tmp_path):
    drawn = visualize.views(pictures(2), lambda batch: [batch])
    scores = [evaluation.Score(0.5, 100, name="k-NN"), evaluation.Score(0.75, 100, top5=0.9, name="linear")]
    path = visualize.html_page(
        tmp_path / "report.html", "A <title>", {"views & more": drawn},
        {"Scores": scores, "One": scores[0], "Setting": {"epochs": 100}}, "First.\n\nSecond.",
    )
    page = path.read_text(encoding="utf-8")
    assert "<h1>A &lt;title&gt;</h1>" in page and "views &amp; more" in page
    assert "<p>First.</p>\n<p>Second.</p>" in page
    assert '<td>linear</td><td class="number">0.75</td>' in page and '<td class="number">100</td>' in page
    image = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    assert image.startswith(b"\x89PNG")
    assert "prefers-color-scheme: dark" in page and "width=device-width" in page
    assert "<script" not in page and "http" not in page.split("</style>")[1]


def test_pyplot_stays_out():
    # pyplot keeps every figure alive and picks a window system: nothing here may need it.
    before = "matplotlib.pyplot" in sys.modules
    visualize.views(pictures(1), lambda batch: [batch])
    visualize.projection(np.random.default_rng(0).normal(size=(9, 3)), method="pca")
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize("missing, make", [
    ("matplotlib", lambda: visualize.views(pictures(1), lambda batch: [batch])),
    ("sklearn", lambda: visualize.projection(np.random.default_rng(0).normal(size=(9, 3)))),
])
def test_a_missing_package_names_the_extra(monkeypatch, missing, make):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install keras_ssl\[plots\]"):
        make()


@pytest.mark.parametrize("make, error, match", [
    (lambda: visualize.views(pictures(2)[0], lambda batch: [batch]), ValueError, "images must have the shape"),
    (lambda: visualize.views(pictures(2), lambda batch: [batch[..., :2]]), ValueError, "views must have the shape"),
    (lambda: visualize.views(pictures(2), lambda batch: [batch[:1]]), ValueError, "has 1 images for 2"),
    (lambda: visualize.views(pictures(2), lambda batch: [batch], rows=0), ValueError, "rows"),
    (lambda: visualize.pictures({"a": pictures(2), "b": pictures(3)}), ValueError, "as many images each"),
    (lambda: visualize.pictures({}), ValueError, "at least one column"),
    (lambda: visualize.neighbors(None, pictures(2), pictures(3, size=4)), ValueError, "one size"),
    (lambda: visualize.neighbors(None, pictures(2), pictures(3), k=0), ValueError, "k must"),
    (lambda: visualize.neighbors(None, pictures(2), pictures(3), labels=([0], [0])), ValueError, "labels"),
    (lambda: visualize.projection(np.ones((5, 2)), method="isomap"), ValueError, "method"),
    (lambda: visualize.projection(np.ones((5, 2)), [0]), ValueError, "one label a row"),
    (lambda: visualize.projection(np.ones((5, 2)), range(5), class_names=["a"]), ValueError, "class_names"),
    (lambda: visualize.html_page("x.html", "x", {"a": 1}), TypeError, "figures"),
    (lambda: visualize.html_page("x.html", "x", tables={"a": 1}), TypeError, "table"),
])
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make()
