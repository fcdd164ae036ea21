"""Figures of hidden patches and of attention: what they hold, and what they refuse."""

import sys

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import encoders, visualize


def pictures(n=4, channels=3, height=8, width=12):
    return np.random.default_rng(0).integers(0, 256, (n, height, width, channels)).astype("uint8")


class Darker:
    """Hides what `masks` says, and returns images of half the light."""

    def __init__(self, masks):
        self.masks = masks

    def reconstruct(self, images):
        self.seen = images
        return self.masks[: len(images)], images.astype("float32") / 2 + 0.2


def hide(n=4):
    return np.random.default_rng(1).uniform(size=(n, 2, 3)) < 0.5


def shown(axis, layer=0):
    return np.asarray(axis.images[layer].get_array())


def test_reconstruction_shows_image_visible_and_result(tmp_path):
    images, model = pictures(), Darker(hide())
    drawn = visualize.reconstruction(model, images, rows=3, path=tmp_path / "found.png")
    axes = np.reshape(drawn.axes, (3, 3))
    assert [axis.get_title() for axis in axes[0]] == ["image", "visible", "reconstruction"]
    np.testing.assert_array_equal(model.seen, images[:3])
    for row, image, mask in zip(axes, images, model.masks):
        np.testing.assert_array_equal(shown(row[0]), image)
        np.testing.assert_array_equal(shown(row[2]), np.rint(image.astype("float32") / 2 + 0.2))
        for i in range(8):
            for j in range(12):
                expected = [128] * 3 if mask[i // 4, j // 4] else image[i, j]
                np.testing.assert_array_equal(shown(row[1])[i, j], expected)
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    gray = visualize.reconstruction(Darker(hide()), pictures(channels=1))
    assert shown(gray.axes[1]).shape == (8, 12) and len(gray.axes) == 12


def test_reconstruction_of_a_method():
    encoder = encoders.vit((8, 12, 3), patch=4, width=8, depth=1, heads=2, pooling="mean")
    model = keras_ssl.MAE(encoder, width=8, depth=1, heads=2)
    masks, found = model.reconstruct(pictures())
    axes = np.reshape(visualize.reconstruction(model, pictures()).axes, (4, 3))
    for row, mask, image in zip(axes, masks, found):
        np.testing.assert_array_equal(shown(row[2]), np.rint(image))
        assert (shown(row[1]) == 128).all(axis=2).mean() == pytest.approx(mask.mean(), abs=0.02)


def vit(**options):
    return encoders.vit((None, None, 3), **{"patch": 4, "width": 12, "depth": 2, "heads": 3, "grid": 3} | options)


@pytest.mark.parametrize("block", [0, -1])
def test_attention_is_that_of_the_class_token(block, tmp_path):
    encoder, images = vit(), pictures()
    drawn = visualize.attention(encoder, images, block=block, rows=2, path=tmp_path / "found.svg")
    axes = np.reshape(drawn.axes, (2, 4))
    assert [axis.get_title() for axis in axes[0]] == ["image", "head 1", "head 2", "head 3"]
    maps = encoders.attention_maps(encoder, block)(images).numpy()
    for row, image, weights in zip(axes, images, maps):
        np.testing.assert_array_equal(shown(row[0]), image)
        for head in range(3):
            np.testing.assert_allclose(shown(row[1 + head]), image.mean(axis=2))
            expected = [[weights[head, 0, 1 + 3 * i + j] for j in range(3)] for i in range(2)]
            np.testing.assert_allclose(shown(row[1 + head], 1), expected, rtol=1e-4)
            assert row[1 + head].images[1].get_extent() == [-0.5, 11.5, 7.5, -0.5]
            assert row[1 + head].images[1].get_clim()[0] == 0
    assert (tmp_path / "found.svg").stat().st_size > 1000


def test_attention_before_and_after():
    encoder = vit()
    before = keras_ssl.teacher.copy(encoder)
    encoder.set_weights([w * 3 for w in encoder.get_weights()])
    drawn = visualize.attention({"before": before, "after": encoder}, pictures())
    axes = np.reshape(drawn.axes, (4, 7))
    assert [axis.get_title() for axis in axes[0][[1, 4]]] == ["before 1", "after 1"]
    for column, network in ((1, before), (4, encoder)):
        maps = encoders.attention_maps(network)(pictures()).numpy()[:, 0, 0, 1:]
        for axis, weights in zip(axes[:, column], maps):
            np.testing.assert_allclose(shown(axis, 1).ravel(), weights, rtol=1e-4)
    assert np.abs(shown(axes[0, 1], 1) - shown(axes[0, 4], 1)).max() > 1e-3


def test_pyplot_stays_out():
    before = "matplotlib.pyplot" in sys.modules
    visualize.reconstruction(Darker(hide()), pictures())
    visualize.attention(vit(), pictures(1))
    assert ("matplotlib.pyplot" in sys.modules) == before


class Wrong:
    def __init__(self, masks, made):
        self.masks, self.made = masks, made

    def reconstruct(self, images):
        return self.masks, self.made


@pytest.mark.parametrize("make, error, match", [
    (lambda: visualize.reconstruction(vit(), pictures()), TypeError, r"must have a method reconstruct\(images\)"),
    (lambda: visualize.reconstruction(Darker(hide()), pictures()[0]), ValueError, "images must have the shape"),
    (lambda: visualize.reconstruction(Darker(hide()), pictures(), rows=0), ValueError, "rows must be a positive int"),
    (lambda: visualize.reconstruction(Darker(hide(3)), pictures()), ValueError, "The masks must be"),
    (lambda: visualize.reconstruction(Darker(np.ones((4, 3, 3))), pictures()), ValueError, "divide height and width"),
    (lambda: visualize.reconstruction(Darker(np.ones((4, 6))), pictures()), ValueError, "The masks must be"),
    (lambda: visualize.reconstruction(Wrong(hide(), pictures(height=4)), pictures()), ValueError, "the images' shape"),
    (lambda: visualize.attention(vit(class_token=False, pooling="mean"), pictures()), ValueError, "no class token"),
    (lambda: visualize.attention(vit(), pictures(), block=2), ValueError, "block must be from -2 to 1"),
    (lambda: visualize.attention(vit(), pictures(), rows=0), ValueError, "rows must be a positive int"),
    (lambda: visualize.attention(keras.Sequential([keras.Input((8, 12, 3)), keras.layers.Flatten()]), pictures()),
     ValueError, "'patches', 'positions' and 'blocks'"),
])
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make()
