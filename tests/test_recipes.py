"""Recipes: each is the list of its paper, runs on any image, and gives the same views for the same seeds."""

import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.augment.image import recipes
from keras_ssl.augment.image.channels import ToLab
from keras_ssl.augment.image.geometry import Resize
from keras_ssl.augment.image.policies import OPERATIONS, RandAugment
from keras_ssl.augment.random import fold
from keras_ssl.augment.view import View, Views
from tests.test_augment import close, images, numpy, seeds

CROP, JITTER, GRAY, BLUR = "RandomResizedCrop", "ColorJitter", "Grayscale", "GaussianBlur"
SOLARIZE, AUTO = "Solarize", "AutoAugment"
SIMPLE, WEAK, MOCO = [CROP, JITTER, GRAY, BLUR], [CROP, JITTER, GRAY], [CROP, GRAY, JITTER]
FULL, SUN = [*SIMPLE, SOLARIZE], [*WEAK, SOLARIZE]
MULTI = {"size": 16, "local_size": 8, "local_count": 2}
# What each recipe is made of: its arguments in these tests, the layers of its views, and the sizes of the views.
RECIPES = {
    "simclr": ({"size": 16}, [SIMPLE] * 2, [16, 16]),
    "simclr_cifar": ({}, [WEAK] * 2, [32, 32]),
    "simclr_v2": ({"size": 16}, [SIMPLE] * 2, [16, 16]),
    "supcon": ({"size": 16}, [[CROP, AUTO]] * 2, [16, 16]),
    "supcon_cifar": ({}, [WEAK] * 2, [32, 32]),
    "w_mse": ({"count": 4}, [WEAK] * 4, [32] * 4),
    "imix": ({}, [WEAK] * 2, [32, 32]),
    "moco_v1": ({"size": 16}, [MOCO] * 2, [16, 16]),
    "instdisc": ({"size": 16}, [MOCO], [16]),
    "invaspread": ({"size": 16}, [MOCO] * 2, [16, 16]),
    "pirl": ({"size": 16}, [MOCO], [16]),
    "moco_v2": ({"size": 16}, [SIMPLE] * 2, [16, 16]),
    "moco_cifar": ({}, [WEAK] * 2, [32, 32]),
    "cifar": ({}, [WEAK] * 2, [32, 32]),
    "simsiam": ({"size": 16}, [SIMPLE] * 2, [16, 16]),
    "simsiam_cifar": ({}, [WEAK] * 2, [32, 32]),
    "pcl": ({"size": 16}, [SIMPLE] * 2, [16, 16]),
    "byol": ({"size": 16}, [SIMPLE, FULL], [16, 16]),
    "byol_cifar": ({}, [WEAK, SUN], [32, 32]),
    "moco_v3": ({"size": 16}, [SIMPLE, FULL], [16, 16]),
    "barlow_twins": ({"size": 16}, [SIMPLE, FULL], [16, 16]),
    "vicreg": ({"size": 16}, [FULL, FULL], [16, 16]),
    "vicreg_cifar": ({}, [SUN, SUN], [32, 32]),
    "nnclr": ({"size": 16}, [SIMPLE, FULL], [16, 16]),
    "swav": (MULTI, [SIMPLE] * 4, [16, 16, 8, 8]),
    "swav_cifar": ({"local_count": 1}, [WEAK] * 3, [32, 32, 16]),
    "msn": (MULTI, [SIMPLE] * 4, [16, 16, 8, 8]),
    "msn_cifar": ({"local_count": 1}, [WEAK] * 3, [32, 32, 16]),
    "dino": (MULTI, [SIMPLE, FULL, SIMPLE, SIMPLE], [16, 16, 8, 8]),
    "dino_cifar": ({"local_count": 1}, [WEAK, SUN, WEAK], [32, 32, 16]),
    "dino_v2": (MULTI, [SIMPLE, FULL, SIMPLE, SIMPLE], [16, 16, 8, 8]),
    "ibot": (MULTI, [SIMPLE, FULL, SIMPLE, SIMPLE], [16, 16, 8, 8]),
    "lejepa": ({"size": 16}, [FULL] * 4, [16] * 4),
    "emp_ssl": ({"size": 16, "count": 3}, [FULL] * 3, [16] * 3),
    "ressl": ({"size": 16}, [[CROP], SIMPLE], [16, 16]),
    "mae": ({"size": 16}, [[CROP]], [16]),
    "simmim": ({"size": 16}, [[CROP]], [16]),
    "mask_feat": ({"size": 16}, [[CROP]], [16]),
    "ijepa": ({"size": 16}, [[CROP]], [16]),
    "beit": ({"size": 16, "token_size": 8}, [[JITTER, "SharedViews"]], [16, 8]),
    "data2vec": ({"size": 16}, [[JITTER, CROP]], [16]),
    "distill": ({"size": 16}, [WEAK], [16]),
    "deepcluster": ({"size": 16}, [[CROP, "Sobel"]], [16]),
    "cmc": ({"size": 16}, [[CROP, "ToLab", "SplitChannels"]], [16, 16]),
}
every_recipe = pytest.mark.parametrize("name", RECIPES)
# What is said beside the common `jitter=(b, c, 0, 0), grayscale_p=0` for images without three channels.
COLORLESS = RandAugment(operations=[name for name in OPERATIONS if name != "color"])
OTHER_CHANNELS = {
    "supcon": {"policy": COLORLESS},
    "cmc": {"convert": Resize(16)},
}


@functools.cache
def usual(name):
    return make(name)


def make(name, **arguments):
    return getattr(recipes, name)(**{**RECIPES[name][0], **arguments})


def rows(recipe):
    """The views of a recipe as lists of layers."""
    if isinstance(recipe, View):
        return [recipe.layers]
    views = recipe.views if isinstance(recipe.views, list) else [recipe.views] * recipe.count
    return [view.layers for view in views]


def takes(name, argument):
    """Whether a recipe, or one that it hands its arguments on to, has this argument."""
    recipe = getattr(recipes, name)
    parameters = inspect.signature(recipe).parameters
    return argument in parameters or (
        "kwargs" in parameters and any(takes(other, argument) for other in recipe.__code__.co_names if other in RECIPES)
    )


def test_every_recipe_is_tested():
    assert set(recipes.__all__) == set(RECIPES)
    for name in RECIPES:
        text = getattr(recipes, name).__doc__
        assert "arXiv:" in text, name
        if name in ORIGINALS:
            assert "Args:" in text and "Returns:" in text, name
        else:  # it names the recipe that it is made of
            assert any(f"`{other}`" in text for other in RECIPES if other != name), name


@every_recipe
def test_recipes_are_the_lists_of_the_papers(name):
    assert [[type(layer).__name__ for layer in row] for row in rows(usual(name))] == RECIPES[name][1]


@every_recipe
def test_recipes_give_the_same_views_for_the_same_seeds(name):
    x, s = images(2, 40, 36), seeds(2)
    recipe = make(name, seed=7)
    views = recipe({"image": x, "seed": s})
    assert isinstance(views, tuple) and [view.shape[1] for view in views] == RECIPES[name][2]
    channels = {"deepcluster": [2], "cmc": [1, 2]}.get(name, [3] * len(views))
    for view, depth in zip(views, channels, strict=True):
        side = view.shape[1]
        assert view.shape == (2, side, side, depth) and view.dtype == "float32"
        if name != "deepcluster":
            assert -0.1 <= numpy(view).min() and numpy(view).max() <= 255.1
        assert numpy(view).std(axis=(1, 2, 3)).max() > 5
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(recipe))
    assert again.get_config() == recipe.get_config()
    for one, other in zip(again(x, seeds=s), views, strict=True):
        close(one, numpy(other), atol=0)
    if RECIPES[name][0] or "cifar" not in name:
        for one, other in zip(recipe(x[1:2], seeds=s[1:2]), views, strict=True):  # the neighbors have no part in it
            assert np.quantile(np.abs(numpy(one) - numpy(other)[1:2]), 0.98) < 0.1
    same = [np.array_equal(numpy(views[0])[0], numpy(view)[0]) for view in views[1:]]
    assert not any(same)


ORIGINALS = [name for name in RECIPES if "kwargs" not in inspect.signature(getattr(recipes, name)).parameters]


@pytest.mark.parametrize("name, channels", [*((name, 6) for name in RECIPES), *((name, 1) for name in ORIGINALS)])
def test_recipes_of_other_channels(name, channels):
    x = images(2, 34, 36, channels)
    colors = {"jitter": (0.4, 0.4, 0, 0), "grayscale_p": 0}
    arguments = {key: value for key, value in colors.items() if takes(name, key)} | OTHER_CHANNELS.get(name, {})
    if name == "cmc" and channels == 1:
        arguments = None  # one channel has no second view
    if arguments is not None:
        if name == "cmc":
            x = x[..., :3]
        depth = {"deepcluster": 2, "cmc": None}.get(name, channels)
        for view in make(name, **arguments)(x):
            assert depth is None or view.shape[-1] == depth
    needs = {"mae", "mask_feat", "simmim", "ijepa", "deepcluster"}
    if name not in needs and (name != "cmc" or channels == 1):
        with pytest.raises(ValueError, match="needs images with 3 channels"):
            usual(name)(x)


def test_recipes_have_the_numbers_of_the_papers():
    def of(recipe, attribute, kind):
        found = [[getattr(layer, attribute) for layer in row if type(layer).__name__ == kind] for row in rows(recipe)]
        return [row[0] if row else 0 for row in found]

    def jitter(recipe):
        parts = ("brightness", "contrast", "saturation", "hue", "p")
        first, *others = zip(*(of(recipe, part, JITTER) for part in parts))
        assert all(other == first for other in others)  # no paper has another jitter in another view
        return [round(value, 3) for value in first]

    strong, half, moco = [0.8, 0.8, 0.8, 0.2, 0.8], [0.4, 0.4, 0.4, 0.1, 0.8], [0.4, 0.4, 0.4, 0.4, 1.0]
    byol = [0.4, 0.4, 0.2, 0.1, 0.8]
    for names, expected in [
        (("simclr", "simclr_v2", "swav", "swav_cifar", "lejepa"), strong),
        (("simclr_cifar", "moco_v2", "moco_cifar", "cifar", "simsiam", "supcon_cifar", "w_mse", "imix", "pcl"), half),
        (("msn", "msn_cifar"), half),
        (("moco_v1", "instdisc", "invaspread", "pirl"), moco),
        (("byol", "moco_v3", "barlow_twins", "vicreg", "nnclr", "dino", "dino_cifar", "dino_v2", "ibot"), byol),
        (("byol_cifar", "vicreg_cifar"), byol),
        (("distill",), byol),
        (("beit", "data2vec"), [0.4, 0.4, 0.4, 0.0, 1.0]),
    ]:
        for name in names:
            assert jitter(usual(name)) == expected, name

    simclr, moco = (0.08, 1.0), (0.2, 1.0)
    for names, expected in [
        (("simclr", "simclr_cifar", "moco_cifar", "supcon", "byol", "moco_v3", "barlow_twins", "vicreg"), [simclr] * 2),
        (("moco_v1", "moco_v2", "cifar", "simsiam", "vicreg_cifar", "invaspread"), [moco] * 2),
        (("pirl", "instdisc", "mae", "cmc"), [moco]),
        (("emp_ssl",), [(0.25, 0.25)] * 3),
        (("ressl",), [moco] * 2),
        (("simmim",), [(0.67, 1.0)]),
        (("mask_feat",), [(0.5, 1.0)]),
        (("data2vec",), [simclr]),
        (("ijepa",), [(0.3, 1.0)]),
        (("distill",), [(0.14, 1.0)]),
        (("swav",), [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 2),
        (("msn",), [(0.3, 1.0)] * 2 + [(0.05, 0.3)] * 2),
        (("dino",), [(0.4, 1.0)] * 2 + [(0.05, 0.4)] * 2),
        (("dino_v2",), [(0.32, 1.0)] * 2 + [(0.05, 0.32)] * 2),
        (("ibot",), [(0.25, 1.0)] * 2 + [(0.05, 0.25)] * 2),
    ]:
        for name in names:
            assert of(usual(name), "scale", CROP) == expected, name
            assert set(of(usual(name), "flip", CROP)) == {0.0 if name == "ijepa" else 0.5}, name

    for names, expected in [
        (("byol", "moco_v3", "barlow_twins", "nnclr"), ([1.0, 0.1], [0, 0.2])),
        (("byol_cifar",), ([0, 0], [0, 0.2])),
        (("vicreg",), ([0.5, 0.5], [0.1, 0.1])),
        (("vicreg_cifar",), ([0, 0], [0.1, 0.1])),
        (("dino", "dino_v2", "ibot"), ([1.0, 0.1, 0.5, 0.5], [0, 0.2, 0, 0])),
        (("swav", "msn"), ([0.5] * 4, [0] * 4)),
        (("simclr", "moco_v2", "simsiam", "pcl"), ([0.5] * 2, [0] * 2)),
    ]:
        for name in names:
            assert (of(usual(name), "p", BLUR), of(usual(name), "p", SOLARIZE)) == expected, name
    for names, thresholds in [
        (("simclr", "moco_v2", "simsiam", "swav"), {0}),
        (("byol", "moco_v3", "barlow_twins", "dino"), {0, 128}),
        (("vicreg",), {128}),
    ]:
        for name in names:
            assert set(of(usual(name), "sigma", BLUR)) == {(0.1, 2.0)}, name
            assert set(of(usual(name), "kernel", BLUR)) == {None}, name  # a tenth of the size: 23 pixels of 224
            assert set(of(usual(name), "threshold", SOLARIZE)) == thresholds, name
            assert set(of(usual(name), "p", GRAY)) == {0.2}, name
    assert of(usual("moco_v1"), "p", GRAY) == [0.2] * 2 and of(usual("w_mse"), "p", GRAY) == [0.1] * 4
    assert set(of(usual("dino_v2"), "kernel", BLUR)) == {9}  # at any size
    assert [len(rows(getattr(recipes, name)())) for name in ("swav", "msn", "dino", "dino_v2", "ibot")] == [
        8, 12, 10, 10, 12,
    ]  # fmt: skip


def test_layers_happen_as_often_as_they_say():
    n = 4000
    for name in ("dino", "vicreg_cifar", "moco_v1"):
        for number, row in enumerate(rows(make(name))):
            for place, layer in enumerate(row):
                drawn = layer.draw(fold(fold(seeds(n), number), place), (20, 20))
                if "chosen" in drawn:
                    rate = numpy(drawn["chosen"]).mean()
                    assert abs(rate - layer.p) <= 5 * np.sqrt(layer.p * (1 - layer.p) / n), (name, layer.name)


def test_arguments_reach_the_layers():
    for name in RECIPES:
        if takes(name, "scale") and takes(name, "flip"):
            recipe = make(name, scale=(0.5, 0.6), flip=0.25, seed=3)
            assert recipe.seed == 3
            found = [row[0] for row in rows(recipe) if type(row[0]).__name__ == CROP][:1]
            assert all((crop.scale, crop.flip) == ((0.5, 0.6), 0.25) for crop in found), name
    with pytest.raises(TypeError, match="blurr"):
        recipes.simsiam_cifar(blurr=0.5)
    with pytest.raises(ValueError, match="size must be a positive int"):
        recipes.mae(0)


def sides(recipe):
    """The side of each view, of a recipe whose views begin with a layer that has a size."""
    if isinstance(recipe, View):
        layers = [view for layer in recipe.layers for view in getattr(layer, "views", [layer])]
        return [layer.size for layer in layers if hasattr(layer, "size")]
    return [next(layer.size for layer in row if hasattr(layer, "size")) for row in rows(recipe)]


@every_recipe
@pytest.mark.parametrize("size", [16, 32, 64, 96, 128, 224])
def test_the_size_of_every_view_follows_the_size(name, size):
    found = sides(getattr(recipes, name)(size))
    assert found[0] == size and max(found) == size and min(found) >= size / 4, (size, found)
    pair = sides(getattr(recipes, name)((size, 2 * size)))
    assert pair[0] == (size, 2 * size) and all(isinstance(sides, tuple) for sides in pair), pair


def test_views_of_the_papers_have_their_sizes():
    for name, of_224, of_32 in [*((name, 96, 16) for name in ("swav", "msn", "dino", "ibot")), ("dino_v2", 98, 14)]:
        assert (sides(getattr(recipes, name)())[-1], sides(getattr(recipes, name)(32))[-1]) == (of_224, of_32), name
    for name in ("swav_cifar", "msn_cifar", "dino_cifar"):
        assert [sides(getattr(recipes, name)(size))[-1] for size in (32, 64)] == [16, 32], name
    assert sides(recipes.beit()) == [224, 112] and sides(recipes.beit(32)) == [32, 16]
    assert [rows(recipes.lejepa(size))[0][3].kernel for size in (128, 32, 224)] == [7, 3, 13]
    crops = recipes.lejepa(224, count=2, local_count=6, scale=(0.3, 1.0))
    assert sides(crops) == [224] * 2 + [98] * 6 and sides(recipes.lejepa(128, local_count=1, local_size=48))[-1] == 48
    assert [row[0].scale for row in rows(crops)] == [(0.3, 1.0)] * 2 + [(0.05, 0.3)] * 6
    assert {(row[4].p, row[3].p, row[1].hue) for row in rows(crops)} == {(0.2, 0.5, 0.2)}


def test_beit_shows_both_networks_the_same():
    x, s = images(6, 40, 40), seeds(6)
    large, small = (numpy(view) for view in recipes.beit(32, 16)(x, seeds=s))
    assert np.abs(large.reshape(6, 16, 2, 16, 2, 3).mean(axis=(2, 4)) - small).mean() < 6


def test_cmc_splits_lightness_and_color_of_one_crop():
    x, s = images(4, 20, 20), seeds(4)
    lightness, color = recipes.cmc(16)(x, seeds=s)
    expected = numpy(ToLab(pixels=True)(recipes.cmc(16).layers[0](x, seeds=fold(s, 0))))
    close(lightness, expected[..., :1])
    close(color, expected[..., 1:])


def test_recipes_in_a_graph():
    x, s = images(4, 40, 36), seeds(4)
    chosen = [make(name) for name in ("supcon", "dino_cifar", "beit", "cmc")]
    program = tf.function(lambda batch: [recipe(batch) for recipe in chosen])
    assert isinstance(chosen[1], Views) and isinstance(chosen[2], View)
    for recipe, views in zip(chosen, program({"image": x, "seed": s}), strict=True):
        for found, expected in zip(views, recipe(x, seeds=s), strict=True):
            assert np.quantile(np.abs(numpy(found) - numpy(expected)), 0.98) < 0.1
