"""The benchmarks know every method."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, inputs, recipes

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """Imports a benchmark."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def test_every_method_has_a_recipe_of_minutes(module):
    of_images = [name for name in keras_ssl.METHODS if recipes.kind_of(name) is inputs.IMAGE]
    # Those that want unlabeled images beside labeled ones have a benchmark of their own.
    assert module("small").METHODS == [name for name in of_images if not getattr(keras_ssl, name).unlabeled]
    semi = [name for name in of_images if getattr(keras_ssl, name).unlabeled]
    assert set(semi) == set(module("semi").NAMES) - {"Supervised"}


@pytest.mark.parametrize("name", ["PCL", "CLIP", "DINO", "ConvMAE"])
def test_recipes_build_what_they_are_called(module, name):
    images = np.zeros((4, 32, 32, 3), "uint8")
    model, optimizer, *callbacks = module("small").make(name, images, width=4)
    assert type(model) is getattr(keras_ssl, name) and len(callbacks) == (name == "PCL")
    model.compile(optimizer=optimizer)


def test_pretext_tasks_are_measured_with_the_settings_that_were_asked_for(module):
    pretext = module("pretext")
    assert {keras_ssl.METHODS[name].split(".")[1] for name in pretext.methods()} <= set(pretext.FAMILIES)
    options = SimpleNamespace(epochs=4, settings={"puzzles": 3}, views={"grayscale_p": 0.0}, rate=0.5)
    model, optimizer, callbacks = pretext.make("Jigsaw", np.zeros((256, 32, 32, 3), "uint8"), options)
    assert (model.puzzles, callbacks, optimizer._learning_rate.warmup_target) == (3, [], 0.5)
    (view,) = model.augment.each()
    assert not any(isinstance(layer, augment.Grayscale) for layer in view.layers[-1].layer.layers)
    fixed = pretext.of_one_size(model.encoder)
    assert fixed.input_shape == (None, 32, 32, 3)
    for one, other in zip(fixed.get_weights(), model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_stages_are_probed_inside_of_networks_that_see_a_part_of_the_channels(module):
    pretext = module("pretext")
    halves = [keras_ssl.encoders.resnet18((16, 16, channels), width=4, stem="cifar") for channels in (1, 2)]
    x = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), "uint8")
    found = pretext.stages(keras_ssl.SplitBrain(halves, width=4).encoder, dimensions=64)
    assert list(found) == ["stage1", "stage2", "stage3", "stage4"]
    both = np.asarray(found["stage3"]([x]))
    assert both.shape == (2, 2 * 16)
    alone = [pretext.stages(keras_ssl.CrossChannelEncoder(half, width=4).encoder, 32)["stage3"] for half in halves]
    np.testing.assert_allclose(both, np.concatenate([one([x]) for one in alone], axis=1), atol=1e-5)


def test_the_bare_encoder_makes_the_calls_of_the_method(module, monkeypatch):
    """Two views of the network that is trained, and two of its teacher."""
    step = module("step")

    def tiny():
        images = keras.Input((32, 32, 3))
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images)), name="e")

    encoder = tiny()
    model = keras_ssl.BYOL(encoder, hidden=4, dim=4)
    batch = {"views": (np.zeros((2, 32, 32, 3), "float32"),) * 2}
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    with step.watched(step.networks(model)) as calls:
        model.train_step((batch,))
    assert sorted(own for *_, own in calls) == [False, False, True, True]
    assert {shape for _, shape, *_ in calls} == {(2, 32, 32, 3)}
    loss, targets = step.bare(calls)()
    assert float(loss) > 0 and len(targets) == 2


# Scenes


def test_scenes_show_what_their_masks_say(module):
    scenes = module("scenes")
    things, grounds = scenes.shapes(each=2, size=32)
    images, masks = scenes.make(things, grounds, 40, size=32)
    assert images.shape == (40, 32, 32, 3) and masks.shape == (40, 32, 32)
    assert set(np.unique(masks)) == set(range(6)) and all(0 < (mask == 0).mean() < 1 for mask in masks)
    again = scenes.make(things, grounds, 3, size=32)
    for found, expected in zip(again, (images, masks)):
        np.testing.assert_array_equal(found, expected[:3])
    assert np.any(scenes.make(things, grounds, 3, size=32, seed=1)[1] != masks[:3])


def test_a_pixel_is_of_the_thing_that_was_pasted_last(module):
    scenes = module("scenes")
    thing = np.full((8, 8, 4), 255, "uint8")
    thing[:, :, :3] = 200
    ground, mask = np.zeros((16, 16, 3), "uint8"), np.zeros((16, 16), "uint8")
    for kind in (1, 2):
        scenes.paste(ground, mask, thing, kind, np.random.default_rng(0))
    np.testing.assert_array_equal(ground == 200, np.repeat((mask == 2)[..., None], 3, axis=2))
    assert (mask == 2).sum() in range(16, 65) and not (mask == 1).any()


def test_a_row_of_the_dense_benchmark(module, tmp_path, monkeypatch, capsys):
    """The untrained encoder on drawn scenes; a second call finds the row and measures nothing."""
    dense = module("dense")
    for name, value in {"SCENES": 4, "LABELED": 4, "TEST": 4, "SIZE": 16, "WIDTH": 2}.items():
        monkeypatch.setattr(dense, name, value)
    monkeypatch.setattr("sys.argv", ["dense.py", "--out", str(tmp_path), "--methods", "--seeds", "0"])
    dense.main()
    (row,) = dense.read(tmp_path / "rows.json")
    assert row["name"] == "untrained" and 0 <= row["miou"] <= 100 and 0 <= row["things"] <= 100
    monkeypatch.setattr(dense, "scores", None)
    dense.main()
    assert "| untrained |" in capsys.readouterr().out
