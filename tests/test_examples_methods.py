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
from keras_ssl import encoders, recipes, runs
from keras_ssl.command.callbacks import Journal
from keras_ssl.recipes.distillation import dino_v2

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
    assert list(found) == ["10%"]
    assert list(found["10%"]) == ["supervised", "fine-tuned from h", "fine-tuned", "distilled"]
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
    found = scores(tmp_path)
    assert set(found["scores"]) == set(found["attention to ink"]) == {"untrained", "trained"}
    assert all(len(ratios) == 3 and min(ratios) > 0 for ratios in found["attention to ink"].values())
    assert (tmp_path / "attention.png").stat().st_size > 10_000
    assert keras.saving.load_model(tmp_path / "encoder.keras").output_shape == (None, 12)


def test_attention_to_ink_is_one_where_all_is_alike_and_above_where_the_token_looks_at_ink(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    measure = importlib.import_module("self_distillation").attention_to_ink
    images = np.zeros((2, 8, 8, 1), "uint8")
    images[0, :4, :4], images[1, :2, 4:] = 200, 200  # the first patch of four, and half of the second
    encoder = encoders.vit((8, 8, 1), 4, width=4, depth=1, heads=2)
    maps = np.zeros((2, 2, 5, 5), "float32")
    maps[:, 0, 0] = (0.2, 0.2, 0.2, 0.2, 0.2)
    maps[0, 1, 0], maps[1, 1, 0] = (0.5, 0.5, 0, 0, 0), (0.8, 0, 0.2, 0, 0)  # at the patch with ink alone, and itself
    fake = type("Fake", (), {"predict": lambda self, images, **options: maps})()
    monkeypatch.setattr(encoders, "attention_maps", lambda encoder: fake)
    np.testing.assert_allclose(measure(encoder, images), [1, 4], rtol=1e-6)


# Pretraining


@untrained
def test_pretraining_that_was_stopped_goes_on_as_if_it_was_not(example, tmp_path, monkeypatch, capsys):
    # A method with a queue, a teacher and a callback of its own.
    options = ("PCL", "--quick", "--epochs", 2, "--width", 4, "--batch", 256)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    example("pretrain", *options, "--out", straight)
    assert 0 < scores(straight)["untrained"] < 1 and 0 < scores(straight)["trained"] < 1

    def die(self, epoch, logs=None):
        raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(Journal, "on_epoch_end", die)  # it stands behind the checkpoint
        example("pretrain", *options, "--out", stopped)
    capsys.readouterr()
    example("pretrain", *options, "--out", stopped)
    assert "goes on after 1 epochs" in capsys.readouterr().out
    assert scores(stopped) == scores(straight)
    first, second = (runs.load_model(out) for out in (straight, stopped))
    assert isinstance(first, keras_ssl.PCL)
    for one, two in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)
    with pytest.raises(ValueError, match="has other arguments: --seed 0"):
        example("pretrain", *options, "--out", stopped, "--seed", 1)


@pytest.mark.parametrize("labeled", [True, False])
def test_pretraining_on_a_folder(tmp_path, monkeypatch, labeled):
    monkeypatch.syspath_prepend(ROOT / "examples")
    of_folder = importlib.import_module("pretrain").of_folder
    folder = tmp_path / "images"
    for number in range(20):
        place = folder / f"class{number % 2}" if labeled else folder
        place.mkdir(parents=True, exist_ok=True)
        image = np.full((10, 12, 3), 100 * (number % 2))
        keras.utils.save_img(place / f"{number}.png", image, scale=False)
    images = of_folder(type("Options", (), {"data": folder, "size": 8}))
    assert images.data == folder and images.size == {"size": 8} and (images.test is not None) == labeled
    if labeled:
        assert [len(images.train[0]), len(images.test[0])] == [16, 4]
        for pixels, label in (images.train, images.test):
            np.testing.assert_array_equal(pixels[:, 4, 4, 0] > 50, label == 1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A set of tensorflow-datasets without labels, one with labels but for its test split, one with `train` alone."""
    library = pytest.importorskip("tensorflow_datasets")
    marked = {"train": 20, "test": 7, "validation": 9}
    splits = {"bare": {"train": 20, "test": 7}, "marked": marked, "whole": {"train": 20}}

    class KsslSplits(library.core.GeneratorBasedBuilder):
        VERSION = library.core.Version("1.0.0")
        BUILDER_CONFIGS = [library.core.BuilderConfig(name=name) for name in splits]
        code_path = None  # a class of a test has no checksums and citations beside it

        def _info(self):
            label = {} if self.builder_config.name == "bare" else {"label": library.features.ClassLabel(num_classes=2)}
            features = library.features.FeaturesDict({"image": library.features.Image(shape=(8, 8, 3)), **label})
            return library.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            found = splits[self.builder_config.name]
            return {split: self._generate_examples(split, count) for split, count in found.items()}

        def _generate_examples(self, split, count):
            for number in range(count):
                label = {"label": -1 if split == "test" else number % 2} if "label" in self.info.features else {}
                yield number, {"image": np.full((8, 8, 3), 100 * (number % 2), "uint8"), **label}

    root = tmp_path_factory.mktemp("prepared")
    library.disable_progress_bar()
    for name in splits:
        KsslSplits(data_dir=root, config=name).download_and_prepare()
    return root


@pytest.fixture
def tfds_folder(prepared, monkeypatch):
    monkeypatch.setattr(importlib.import_module("tensorflow_datasets.core.constants"), "DATA_DIR", str(prepared))


@pytest.mark.parametrize("name, sizes", [("bare", None), ("marked", (20, 9)), ("whole", (16, 4))])
def test_pretraining_on_a_set_of_tensorflow_datasets(monkeypatch, tfds_folder, capsys, name, sizes):
    monkeypatch.syspath_prepend(ROOT / "examples")
    options = type("Options", (), {"tfds": f"kssl_splits/{name}", "size": 12})
    images = importlib.import_module("pretrain").of_tfds(options)
    assert ("has no labels: no k-NN" in capsys.readouterr().out) == (sizes is None)
    assert images.data.shape == ((sizes or (20,))[0], 12, 12, 3) and images.data.dtype == np.uint8
    judged = () if sizes is None else (images.train, images.test)
    assert [len(labels) for _, labels in judged] == list(sizes or ())
    for pixels, labels in judged:
        np.testing.assert_array_equal(pixels[:, 4, 4, 0] > 50, labels == 1)


@untrained
@pytest.mark.filterwarnings("ignore:.*k=:UserWarning")
@pytest.mark.parametrize("name", ["bare", "marked"])
def test_pretraining_with_and_without_labels(example, make_run, tfds_folder, tmp_path, name):
    options = ("--tfds", f"kssl_splits/{name}", "--size", 16, "--quick", "--epochs", 1, "--batch", 10)
    example("pretrain", "SimCLR", *options, "--out", tmp_path / "SimCLR")
    found = scores(tmp_path / "SimCLR")
    assert set(found) == {"untrained", "trained"}
    assert all((score is None) == (name == "bare") for score in found.values())
    if name == "bare":
        with pytest.raises(ValueError, match="The method learns from labels: pass labels="):
            example("pretrain", "SupCon", *options, "--out", tmp_path / "SupCon")


def test_the_labeled_images_of_a_set_of_tensorflow_datasets(monkeypatch, tfds_folder):
    monkeypatch.syspath_prepend(ROOT / "examples")
    load = importlib.import_module("labeled_images").load
    options = {"data": None, "size": 8, "images": 10}
    for name, sizes in (("marked", (10, 9)), ("whole", (10, 4))):
        images = load(type("Options", (), {"tfds": f"kssl_splits/{name}", **options}))
        assert (len(images.train[0]), len(images.test[0])) == sizes
        assert set(images.train[1]) == set(images.test[1]) == {0, 1}
    with pytest.raises(ValueError, match="no class label"):
        load(type("Options", (), {"tfds": "kssl_splits/bare", **options}))


@untrained
@pytest.mark.parametrize("options", [("InstDisc", "--width", 4), ("DINO", "--width", 12)], ids=["bank", "multi-crop"])
def test_pretraining_one_epoch(example, tmp_path, options):
    example("pretrain", *options, "--quick", "--epochs", 1, "--batch", 256, "--out", tmp_path)
    assert 0 < scores(tmp_path)["trained"] < 1
    assert isinstance(runs.load_model(tmp_path), getattr(keras_ssl, options[0]))


@pytest.fixture
def make_run(monkeypatch):
    """A run of the encoder that the script takes for a method, made as small as it gets."""
    signatures = {name: inspect.signature(getattr(encoders, name)) for name in ("resnet18", "vit_tiny")}

    def resnet(shape, **options):
        signatures["resnet18"].bind(shape, **options)
        images = keras.Input(shape)
        x = keras.layers.Conv2D(16, 3, 2, "same")(keras.layers.Rescaling(1 / 255)(images))
        for stage in (3, 4):  # the maps that some methods look for
            x = keras.layers.ReLU(name=f"stage{stage}_block2_relu")(x)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))

    def vit(shape, patch, **options):
        signatures["vit_tiny"].bind(shape, patch, **options)
        return encoders.vit(shape, patch, **options | {"width": 12, "depth": 1, "heads": 1})

    monkeypatch.setattr(encoders, "resnet18", resnet)
    monkeypatch.setattr(encoders, "vit_tiny", vit)
    network = recipes.Run.encoder

    def encoder(run, **options):  # the transformer of minutes is one of its own
        with monkeypatch.context() as patch:
            patch.setattr(encoders, "vit", lambda *given, **more: original(*given, **more | SMALLEST))
            return network(run, **options)

    original, SMALLEST = encoders.vit, {"width": 12, "heads": 1}
    monkeypatch.setattr(recipes.Run, "encoder", encoder)

    def make(method, size, channels=3, quick=False, encoder=None):
        known = recipes.encoders_of(method)
        encoder = encoder or known[0]
        in_order = functools.partial(np.zeros, (ROWS, size, size, channels), "uint8")
        width = 12 if encoder == "conv_vit" else 16
        return recipes.Run((size, size, channels), ROWS, ROWS, 1, 10, encoder, width, size // 4, quick, in_order)

    return make


ROWS = 80  # W-MSE cannot whiten 64 dimensions of fewer


def test_every_method_has_a_recipe_or_a_reason():
    for name in keras_ssl.METHODS:
        assert hasattr(recipes.find(name), "paper") != hasattr(recipes.find(name), "WITHOUT"), name
        short = "few_labels" if getattr(keras_ssl, name).unlabeled else "minutes"  # those have data of their own
        assert hasattr(recipes.find(name), short) and hasattr(recipes.find(name), "views"), name
    assert recipes.find("Nothing") is None and recipes.why_not("Nothing") == "There is no 'Nothing'"
    assert recipes.why_not("SimCLR") is None and recipes.why_not("CLIP").endswith("CLIP: it learns from captions")


def test_a_method_whose_recipe_was_not_written(monkeypatch):
    for path in ("methods.contrastive.new", "methods.family.new"):
        monkeypatch.setitem(keras_ssl.METHODS, "New", path)
        assert recipes.find("New") is None and recipes.why_not("New").endswith("New: none was written yet")
        with pytest.raises(ValueError, match="none was written yet. Recipes: SimCLR, "):
            recipes.make("New", recipes.Run((32, 32, 3), 64, 32, 2, 1, "resnet18"))


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_builds_its_method(make_run, released, name):
    for quick, size in ((True, 16), (False, 24)):
        model, optimizer, *callbacks = recipes.make(name, make_run(name, size, quick=quick))
        assert type(model) is getattr(keras_ssl, name)
        assert [type(callback).__name__ for callback in callbacks] == ["Recluster"] * hasattr(model, "recluster")
        model.compile(optimizer=optimizer)
        images = np.random.default_rng(0).integers(0, 256, (ROWS, size, size, 3), "uint8")
        columns = {"index": np.arange(ROWS), "label": np.arange(ROWS) % 2}
        outputs = model.objective(model.augment(images), *(columns[column] for column in model.needs))
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        assert np.isfinite(keras.tree.flatten(loss)).all()


def test_recipes_of_large_images(make_run, released, monkeypatch):
    """The methods themselves would be large: they are left out, and what they would get is looked at."""
    monkeypatch.setattr(dino_v2, "rates", lambda model: None)  # one for each weight
    for name in recipes.names():
        bind = inspect.signature(getattr(keras_ssl, name)).bind
        monkeypatch.setattr(keras_ssl, name, lambda *given, bind=bind, **options: bind(*given, **options))
        for encoder in {"resnet18", "vit_tiny", "conv_vit"} & set(recipes.encoders_of(name)):
            made, *_ = recipes.make(name, make_run(name, 96, encoder=encoder))
            assert made.arguments["augment"].get_config()


@pytest.mark.parametrize("name", ["SimCLR", "InstDisc", "PIRL", "DINO", "MAE", "Jigsaw", "ExemplarCNN"])
def test_recipes_of_gray_images(make_run, name):
    model, *_ = recipes.make(name, make_run(name, 16, channels=1, quick=True))
    outputs = model.objective(model.augment(np.zeros((8, 16, 16, 1), "uint8")), *[np.arange(8)] * len(model.needs))
    assert np.isfinite(outputs["loss"] if isinstance(outputs, dict) else outputs)


def test_recipes_that_do_not_suit_the_images_or_the_encoder(make_run):
    with pytest.raises(ValueError, match="the lightness of an image with its color"):
        recipes.make("CMC", make_run("CMC", 16, channels=1))
    for name in ("MSN", "IBOT", "DINOv2", "MAE", "SimMIM", "LocalMIM", "DeepMIM", "MP3", "QBHeat"):
        with pytest.raises(ValueError, match=f"encoder of {name} must be one of vit_tiny, .*Received: resnet18"):
            recipes.make(name, make_run(name, 16, encoder="resnet18"))


@pytest.mark.parametrize("name, said", [("CLIP", "See examples/image_text.py"), ("XYZ", "There is no 'XYZ'")])
def test_a_method_without_a_recipe(example, capsys, name, said):
    with pytest.raises(SystemExit):
        example("pretrain", name)
    assert said in capsys.readouterr().err
