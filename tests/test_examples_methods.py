"""The example scripts of the methods run to their end and leave what they promise."""

import functools
import importlib
import inspect
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import encoders, recipes

ROOT = Path(__file__).parents[1]
# Two steps from the start the features of a small network are what the monitor warns of.
untrained = pytest.mark.filterwarnings("ignore:The features have collapsed")


def scores(out):
    return json.loads((out / "scores.json").read_text())


def test_supervised_contrastive(example, tmp_path):
    example("supervised_contrastive", "--out", tmp_path, "--steps", 2, "--width", 4, "--batch", 32, "--images", 64)
    found = scores(tmp_path)["scores"]
    assert list(found) == ["untrained encoder", "cross-entropy", "SupCon"]
    assert all(0 < score <= 1 for score in found.values())
    assert keras.saving.load_model(tmp_path / "encoder.keras").output_shape == (None, 32)


def test_semi_supervised(example, tmp_path):
    steps = ("--steps", 2, "--tune-steps", 2, "--distil-steps", 2)
    sizes = ("--width", 4, "--batch", 32, "--images", 200, "--shares", 0.1)
    example("semi_supervised", "--out", tmp_path, *steps, *sizes)
    found = scores(tmp_path)["scores"]
    assert list(found) == ["10%"] and list(found["10%"]) == ["supervised", "fine-tuned", "distilled"]
    network = keras.saving.load_model(tmp_path / "classifier-10%.keras")
    assert network.predict(np.zeros((2, 16, 16, 1), "uint8"), verbose=0).shape == (2, 10)


def test_masked_autoencoder(example, tmp_path):
    sizes = ("--width", 12, "--depth", 1, "--batch", 32, "--images", 200)
    example("masked_autoencoder", "--out", tmp_path, "--steps", 2, "--tune-epochs", 1, *sizes)
    assert all(0 < score <= 1 for found in scores(tmp_path)["scores"].values() for score in found.values())
    assert keras.saving.load_model(tmp_path / "encoder.keras").output_shape == (None, 12)
    assert (tmp_path / "reconstruction.png").stat().st_size > 1000


def test_image_text(example, tmp_path, capsys):
    example("image_text", "--out", tmp_path, "--steps", 2, "--width", 4, "--batch", 32, "--images", 64)
    assert set(scores(tmp_path)["scores"]["trained"]) == {"captions", "unseen"}
    assert "look, here we see a" in capsys.readouterr().out
    assert isinstance(keras_ssl.load(tmp_path / "clip.keras"), keras_ssl.CLIP)


@untrained
def test_self_distillation(example, tmp_path):
    small = ("--width", 12, "--depth", 1, "--heads", 3, "--patch", 4, "--batch", 32, "--images", 64)
    example("self_distillation", "--out", tmp_path, "--steps", 2, *small)
    assert set(scores(tmp_path)["scores"]) == {"untrained", "trained"}
    assert (tmp_path / "attention.png").stat().st_size > 10_000
    assert keras.saving.load_model(tmp_path / "encoder.keras").output_shape == (None, 12)


# Pretraining


@untrained
def test_pretraining_that_was_stopped_goes_on_as_if_it_was_not(example, tmp_path, monkeypatch, capsys):
    # A method with a queue, a teacher and a callback of its own.
    options = ("PCL", "--quick", "--epochs", 2, "--width", 4, "--batch", 256)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    example("pretrain", *options, "--out", straight)
    assert 0 < scores(straight)["untrained"] < 1 and 0 < scores(straight)["trained"] < 1

    pretrain = importlib.import_module("pretrain")
    write = pretrain.Checkpoint.on_epoch_end

    def write_and_die(self, epoch, logs=None):
        write(self, epoch, logs)
        raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(pretrain.Checkpoint, "on_epoch_end", write_and_die)
        example("pretrain", *options, "--out", stopped)
    capsys.readouterr()
    example("pretrain", *options, "--out", stopped)
    assert "Goes on after epoch 1" in capsys.readouterr().out
    assert scores(stopped) == scores(straight)
    first, second = (keras.saving.load_model(out / "encoder.keras") for out in (straight, stopped))
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    first, second = (keras_ssl.load(out / "run.keras") for out in (straight, stopped))
    assert int(first.clustered) == 1
    for one, two in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)
    with pytest.raises(SystemExit, match=r"other options \(seed\)"):
        example("pretrain", *options, "--out", stopped, "--seed", 1)


@pytest.mark.parametrize("labelled", [True, False])
def test_pretraining_on_a_folder(tmp_path, monkeypatch, labelled):
    monkeypatch.syspath_prepend(ROOT / "examples")
    of_folder = importlib.import_module("pretrain").of_folder
    folder = tmp_path / "images"
    for number in range(20):
        place = folder / f"class{number % 2}" if labelled else folder
        place.mkdir(parents=True, exist_ok=True)
        image = np.full((10, 12, 3), 100 * (number % 2))
        keras.utils.save_img(place / f"{number}.png", image, scale=False)
    options = type("Options", (), {"data": folder, "size": 8, "batch": 4, "seed": 0})
    images = of_folder(options)
    assert images.count == (16 if labelled else 20) and images.shape == (8, 8, 3)
    assert (images.test is not None) == labelled
    if labelled:
        assert [len(images.train[0]), len(images.test[0])] == [16, 4]
        for pixels, label in (images.train, images.test):
            np.testing.assert_array_equal(pixels[:, 4, 4, 0] > 50, label == 1)
    batch = next(iter(images.pipeline(0, labels=labelled, index=True)))
    assert batch["image"].shape == (4, 8, 8, 3) and ("label" in batch) == labelled
    assert sorted(set(batch["index"].numpy())) == sorted(batch["index"].numpy())
    whole = [batch["index"].numpy() for batch in images.in_order()]
    np.testing.assert_array_equal(np.concatenate(whole), np.arange(images.count))


@untrained
@pytest.mark.parametrize("options", [("InstDisc", "--width", 4), ("DINO", "--width", 12)], ids=["bank", "multi-crop"])
def test_pretraining_one_epoch(example, tmp_path, options):
    example("pretrain", *options, "--quick", "--epochs", 1, "--batch", 256, "--out", tmp_path)
    assert 0 < scores(tmp_path)["trained"] < 1
    assert isinstance(keras_ssl.load(tmp_path / "run.keras"), getattr(keras_ssl, options[0]))


@pytest.fixture
def make_run(monkeypatch):
    """A run of the encoder that the script takes for a method, made as small as it gets."""
    signatures = {name: inspect.signature(getattr(encoders, name)) for name in ("resnet18", "vit_tiny")}

    def resnet(shape, **options):
        signatures["resnet18"].bind(shape, **options)
        images = keras.Input(shape)
        x = keras.layers.Conv2D(16, 3, 2, "same")(keras.layers.Rescaling(1 / 255)(images))
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))

    def vit(shape, patch, **options):
        signatures["vit_tiny"].bind(shape, patch, **options)
        return encoders.vit(shape, patch, **options | {"width": 12, "depth": 1, "heads": 1})

    monkeypatch.setattr(encoders, "resnet18", resnet)
    monkeypatch.setattr(encoders, "vit_tiny", vit)

    def make(method, size, channels=3, quick=False, encoder=None):
        encoder = encoder or ("vit_tiny" if method in recipes.FOR_VITS else "resnet18")
        in_order = functools.partial(np.zeros, (ROWS, size, size, channels), "uint8")
        return recipes.Run((size, size, channels), ROWS, ROWS, 1, 10, encoder, 16, size // 4, quick, in_order)

    return make


ROWS = 80  # W-MSE cannot whiten 64 dimensions of fewer


def test_every_method_has_a_recipe_or_a_reason():
    assert {*recipes.RECIPES, *recipes.WITHOUT} == set(keras_ssl.METHODS)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_builds_its_method(make_run, name):
    for quick, size in ((True, 16), (False, 24)):
        model, optimizer, *callbacks = recipes.RECIPES[name](make_run(name, size, quick=quick))
        assert type(model) is getattr(keras_ssl, name)
        assert [type(callback).__name__ for callback in callbacks] == ["PCLClusters"] * (name == "PCL")
        model.compile(optimizer=optimizer)
        images = np.random.default_rng(0).integers(0, 256, (ROWS, size, size, 3), "uint8")
        columns = {"index": np.arange(ROWS), "label": np.arange(ROWS) % 2}
        outputs = model.objective(model.augment(images), *(columns[column] for column in model.needs))
        assert np.isfinite(outputs["loss"] if isinstance(outputs, dict) else outputs)


def test_recipes_of_large_images(make_run, monkeypatch):
    """The methods themselves would be large: they are left out, and what they would get is looked at."""
    for name in recipes.RECIPES:
        bind = inspect.signature(getattr(keras_ssl, name)).bind
        monkeypatch.setattr(keras_ssl, name, lambda *given, bind=bind, **options: bind(*given, **options))
        for encoder in ("vit_tiny",) if name in recipes.ONLY_VITS else ("resnet18", "vit_tiny"):
            made, *_ = recipes.RECIPES[name](make_run(name, 96, encoder=encoder))
            assert made.arguments["augment"].get_config()


@pytest.mark.parametrize("name", ["SimCLR", "InstDisc", "PIRL", "DINO", "MAE"])
def test_recipes_of_grey_images(make_run, name):
    model, *_ = recipes.RECIPES[name](make_run(name, 16, channels=1, quick=True))
    outputs = model.objective(model.augment(np.zeros((8, 16, 16, 1), "uint8")), *[np.arange(8)] * len(model.needs))
    assert np.isfinite(outputs["loss"] if isinstance(outputs, dict) else outputs)


def test_recipes_that_do_not_suit_the_images_or_the_encoder(make_run):
    with pytest.raises(ValueError, match="the lightness of an image with its colour"):
        recipes.RECIPES["CMC"](make_run("CMC", 16, channels=1))
    for name in recipes.ONLY_VITS:
        with pytest.raises(ValueError, match="resnet18 does not have: take vit_tiny"):
            recipes.RECIPES[name](make_run(name, 16, encoder="resnet18"))


@pytest.mark.parametrize("name, said", [("CLIP", "see examples/image_text.py"), ("XYZ", "there is no method XYZ")])
def test_a_method_without_a_recipe(example, capsys, name, said):
    with pytest.raises(SystemExit):
        example("pretrain", name)
    assert said in capsys.readouterr().err
