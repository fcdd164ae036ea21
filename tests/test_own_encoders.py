"""Own encoders: they come with the package, are what their cards say, and load as the public ones do."""

import argparse
import configparser
import datetime
import gzip
import importlib
import json
import shutil
import socket
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, encoders, optimizers, pretrained
from keras_ssl.pretrained import entries, loading, own

ROOT = Path(__file__).parents[1]
NAMES = tuple(entry.name for entry in pretrained.list() if entry.shipped)
FASHION = Path("/usr/share/datasets/fashion-mnist")  # of the Debian package dataset-fashion-mnist
ASKED = (
    "name", "method", "architecture", "data", "data_license", "data_paper", "license", "paper", "numbers", "raw pixels",
    "untrained", "in float32", "protocol", "quick check", "recipe", "command", "cpu_minutes", "date", "versions",
    "source", "sha256",
)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("something asks for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def command(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("own_encoders")


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def test_they_are_small_and_packed():
    assert sum(path.stat().st_size for path in own.FOLDER.iterdir()) < 3e6
    patterns = configparser.ConfigParser()
    patterns.read(ROOT / "setup.cfg")
    patterns = patterns["options.package_data"]["keras_ssl.pretrained"].split(",")
    packed = {path for pattern in patterns for path in own.FOLDER.parent.glob(pattern.strip())}
    assert packed == set(own.FOLDER.iterdir()) and len(packed) == 2 * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name):
    card = pretrained.card(name)
    assert all(card[key] for key in ASKED), [key for key in ASKED if not card.get(key)]
    assert card["command"] == f"python benchmarks/own_encoders.py {name}" and name in card["source"]
    assert card["license"] == entries.APACHE and card["data_license"].startswith("MIT")
    datetime.date.fromisoformat(card["date"])
    for key in ("k-NN", "linear"):
        assert card["numbers"][key] > max(card["untrained"][key], card["raw pixels"][key])
        assert abs(card["numbers"][key] - card["in float32"][key]) <= 0.2
    json.dumps(card)


@pytest.mark.parametrize("name", NAMES)
def test_they_load_as_the_public_ones_do(name):
    encoder = pretrained.load(name)
    features = encoder(pixels(2, 28, 28, 1))
    assert encoder.input_shape == (None, 28, 28, 1) and features.shape == (2, encoder.output_shape[1])
    assert encoder.trainable_variables and not pretrained.load(name, trainable=False).trainable_variables
    assert {layer.dtype_policy.name for layer in encoder.layers} == {"float32"}
    maps = pretrained.load(name, pooling=None)(pixels(2, 28, 28, 1))
    wide = pretrained.load(name, (32, 40, 1))(pixels(2, 32, 40, 1))
    free = pretrained.load(name, (None, None, 1))
    assert free(pixels(1, 40, 20, 1)).shape == wide[:1].shape == features[:1].shape
    np.testing.assert_allclose(free(pixels(2, 28, 28, 1)), features, atol=1e-4)
    if name == "fashion_vit":
        np.testing.assert_allclose(np.mean(maps[:, 1:], axis=1), features, atol=1e-5)
        token = pretrained.load(name, pooling="token")(pixels(2, 28, 28, 1))
        np.testing.assert_allclose(maps[:, 0], token, atol=1e-5)
        levels = pretrained.load(name, features=[2, 6])(pixels(2, 28, 28, 1))
        assert [level.shape for level in levels] == [(2, 7, 7, 96)] * 2
        assert pretrained.load(name, heads=2).count_params() == encoder.count_params()
    else:
        np.testing.assert_allclose(np.mean(maps, axis=(1, 2)), features, atol=1e-5)
        levels = pretrained.load(name, features=[1, 4])(pixels(2, 28, 28, 1))
        assert [level.shape for level in levels] == [(2, 28, 28, 16), (2, 4, 4, 128)]


def test_bad_arguments_are_told():
    with pytest.raises(ValueError, match=r"takes images \(height, width, 1\). Received: input_shape="):
        pretrained.load("fashion_resnet18", (28, 28, 3))
    with pytest.raises(ValueError, match="is of the layout 'resnet'. Received: layout='vit'"):
        pretrained.load("fashion_resnet18", layout="vit")
    with pytest.raises(ValueError, match="has no token"):
        pretrained.load("fashion_resnet18", pooling="token")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_the_one_of_the_card_is_refused(name, tmp_path, monkeypatch):
    path = shutil.copy(own.FOLDER / f"{name}.npz", tmp_path)
    monkeypatch.setattr(own, "FOLDER", tmp_path)
    pretrained.load(name)
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(path).write_bytes(content)
    with pytest.raises(ValueError, match="is not the file that came with keras_ssl.*Install the package again"):
        pretrained.load(name)


def fashion_mnist(part, count):
    images, labels = FASHION / f"{part}-images-idx3-ubyte.gz", FASHION / f"{part}-labels-idx1-ubyte.gz"
    if not images.exists():
        pytest.skip("needs Fashion-MNIST: apt-get install dataset-fashion-mnist")
    with gzip.open(images) as stream:
        pixels = np.frombuffer(stream.read(16 + count * 784), "uint8", offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(labels) as stream:
        return pixels, np.frombuffer(stream.read(8 + count), "uint8", offset=8).astype("int32")


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_those_of_the_card(command, name):
    train, test = fashion_mnist("train", command.FEW), fashion_mnist("t10k", command.FEW)
    card = pretrained.card(name)["quick check"]
    found = command.quick_check(pretrained.load(name), train, test)
    assert found["protocol"] == card["protocol"] and found["raw pixels"] == pytest.approx(card["raw pixels"], abs=0.01)
    assert found["k-NN"] == pytest.approx(card["k-NN"], abs=0.3) and found["k-NN"] > found["raw pixels"] + 1


# The files, and the command that makes them


def test_what_is_written_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "FOLDER", tmp_path)
    shared = {"method": "", "architecture": "", "data": "", "license": "", "paper": "", "numbers": {}}
    vit = {"size": {"width": 8, "depth": 2, "patch": 4}, "options": {"heads": 2}, "pooling": "mean"}
    cases = {
        "resnet": (encoders.resnet18((16, 16, 2), width=4), {"size": {"width": 4}}),
        "vit": (encoders.vit((16, 16, 2), 4, width=8, depth=2, heads=2, pooling="mean"), vit),
    }
    for name, (encoder, more) in cases.items():
        shape = encoder.input_shape[1:]
        for variable in encoder.weights:  # of any size, also those that start at 0
            variable.assign(variable + 0.1 * np.random.default_rng(1).random(variable.shape))
        path = own.write(encoder, shared | more | {"name": name, "layout": name, "input_shape": shape})
        (card,) = [card for card in own.cards() if card["name"] == name]
        entry = entries._own(card)
        found = loading._converted(path, entry, None, "auto", None, None)
        np.testing.assert_allclose(found(pixels(2, *shape)), encoder(pixels(2, *shape)), rtol=1e-2, atol=1e-2)
        assert found.output_shape == encoder.output_shape and entry.shipped
        with np.load(path) as archive:
            assert {archive[key].dtype.name for key in archive.files if archive[key].ndim > 1} == {"float16"}
            assert {archive[key].dtype.name for key in archive.files if archive[key].ndim == 1} == {"float32"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resnet.json", "resnet.npz", "vit.json", "vit.npz"]
    again = path.read_bytes()
    assert own.write(encoder, card).read_bytes() == again  # no time, no machine in it
    encoder.weights[0].assign(1e5 * np.ones(encoder.weights[0].shape))
    with pytest.raises(ValueError, match="too large for float16"):
        own.write(encoder, card)
    assert path.read_bytes() == again


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_of_the_recipe(command, name):
    recipe, card, entry = command.RECIPES[name], pretrained.card(name), entries.ENTRIES[name]
    assert (card["recipe"]["epochs"], card["recipe"]["batch"]) == (recipe["epochs"], recipe["batch"])
    for key, value in recipe["card"].items():
        assert (card[key] if key in card else getattr(entry, key)) == value
    model, optimizer = command.build(name, 10)
    assert type(model).__name__ == card["method"] and type(optimizer).__name__ == card["recipe"]["optimizer"][0]
    assert command.plain(model.get_config()) == card["recipe"]["method"]
    assert model.encoder.output_shape == pretrained.load(name).output_shape


def test_the_command_goes_on_after_a_stop(command, tmp_path, monkeypatch, capsys):
    def make(steps):
        encoder = encoders.vit((28, 28, 1), 14, width=8, depth=1, heads=2, pooling="mean")
        model = keras_ssl.MAE(encoder, augment.mae(28), width=8, depth=1, heads=2)
        return model, optimizers.AdamW(1e-3)

    shared = command.RECIPES["fashion_vit"]["card"] | {"size": {"width": 8, "depth": 1, "patch": 14}}
    for part, count in (("train", 16), ("t10k", 8)):
        for kind, shape, header in (("images-idx3", (count, 784), 16), ("labels-idx1", (count,), 8)):
            with gzip.open(tmp_path / f"{part}-{kind}-ubyte.gz", "wb") as stream:
                stream.write(bytes(header) + (pixels(*shape) % 10).tobytes())
    monkeypatch.setattr(own, "FOLDER", tmp_path / "weights")
    for epochs in (1, 2):
        recipe = {"make": make, "epochs": epochs, "batch": 8, "jit": False, "card": shared}
        monkeypatch.setitem(command.RECIPES, "tiny", recipe)
        command.train(argparse.Namespace(name="tiny", data=tmp_path, out=tmp_path / "runs"))
        keras.config.set_dtype_policy("float32")
        printed = capsys.readouterr().out
    assert "Epoch 2/2" in printed and "Epoch 1/2" not in printed
    (card,) = own.cards()
    assert card["recipe"]["steps"] == 4 and card["cpu_minutes"] >= 0
    own.read(own.FOLDER / card["source"], f"sha256:{card['sha256']}")
