"""Untrusted files: nothing in a file that this package opens is executed, and no name in one leaves its folder."""

import ast
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import checkpoint
from tests import cases
from tests.cases import make, small_encoder

ROOT = Path(__file__).parents[1]


@pytest.fixture
def marker(tmp_path):
    """A file that each of the malicious files would make."""
    path = tmp_path / "marker"
    yield path
    assert not path.exists(), "code out of a file was executed"


def touching(marker):
    """A layer that is code: when it is called, and when a file with it is opened without Keras's safe mode."""
    return keras.layers.Lambda(eval(f"lambda x: (__import__('pathlib').Path({str(marker)!r}).touch(), x)[1]"))


def model_with(layer):
    view = keras_ssl.augment.View([keras_ssl.augment.RandomResizedCrop(12), layer])
    return keras_ssl.SimCLR(small_encoder(), keras_ssl.augment.Views(view, 2), hidden=8, dim=4)


def rewritten(source, target, config=None, weights=None, more=()):
    """A `.keras` file with other contents."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            changed = {"config.json": config, "model.weights.h5": weights}.get(name)
            new.writestr(name, old.read(name) if changed is None else changed)
        for name, contents in more:
            new.writestr(name, contents)
    return target


def replaced(value, old, new):
    """A config in which what satisfies `old` is `new`."""
    if old(value):
        return new
    if isinstance(value, dict):
        return {key: replaced(inner, old, new) for key, inner in value.items()}
    return [replaced(inner, old, new) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model_with(keras_ssl.augment.Grayscale()).save(path)
    return path


def test_the_malicious_layer_would_do_it(tmp_path):
    """Or the tests below would prove nothing."""
    path = tmp_path / "marker"
    model_with(touching(path)).save(tmp_path / "model.keras")
    assert not path.exists()
    model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=False)
    model.views(np.zeros((2, 12, 12, 3), "uint8"))
    assert path.exists()


def test_marshalled_code_in_a_view_or_an_encoder_is_refused(tmp_path, marker):
    images = keras.Input((12, 12, 3))
    features = keras.layers.GlobalAveragePooling2D()(touching(marker)(images))
    marker.unlink(missing_ok=True)  # made when the layer was called here
    encoder = keras.Model(images, features)
    for number, model in enumerate([encoder, model_with(touching(marker))]):
        path = tmp_path / f"{number}.keras"
        model.save(path)
        marker.unlink(missing_ok=True)
        with pytest.raises(ValueError, match="arbitrary code execution"):
            keras_ssl.load(path)


@pytest.mark.parametrize("name", ["model.h5", "model", "model.keras.pkl"])
def test_other_formats_are_not_even_opened(tmp_path, name):
    with pytest.raises(ValueError, match="must end in '.keras'"):
        keras_ssl.load(tmp_path / name)


def test_code_in_an_encoder_is_not_exported_as_if_it_were_plain(tmp_path, marker):
    path = keras_ssl.export(small_encoder(), tmp_path / "encoder.keras") and tmp_path / "encoder.keras"
    lambda_layer = keras.saving.serialize_keras_object(touching(marker))
    config = json.loads(zipfile.ZipFile(path).read("config.json"))

    def is_relu(value):
        return isinstance(value, dict) and value.get("class_name") == "ReLU"

    relu = next(layer for layer in config["config"]["layers"] if is_relu(layer))
    evil = {**relu, "class_name": "Lambda", "config": lambda_layer["config"] | {"name": relu["config"]["name"]}}
    path = rewritten(path, tmp_path / "evil.keras", config=json.dumps(replaced(config, is_relu, evil)))
    with pytest.raises(ValueError, match="arbitrary code execution"):
        keras_ssl.load(path)


CALLS = {
    "os.system": {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
    "builtins.exec": {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"},
    "subprocess": {"module": "subprocess", "class_name": "Popen", "config": {"args": []}, "registered_name": None},
    "pickle": {"module": "pickle", "class_name": "function", "config": "loads", "registered_name": "loads"},
    "a saved model": {
        "module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "."}, "registered_name": None
    },
    "a download": {
        "module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"
    },
    "our own loader": {
        "module": "keras_ssl.saving", "class_name": "function", "config": "load", "registered_name": "load"
    },
}


@pytest.mark.parametrize("what", CALLS)
def test_a_config_may_not_name_what_is_no_layer(tmp_path, marker, saved, what):
    call = json.loads(json.dumps(CALLS[what]))
    if what == "subprocess":
        call["config"]["args"] = ["touch", str(marker)]
    config = json.loads(zipfile.ZipFile(saved).read("config.json"))
    spoilt = {**config, "config": {**config["config"], "augment": call}}
    for number, one in enumerate((call, spoilt)):
        path = rewritten(saved, tmp_path / f"{number}.keras", config=json.dumps(one))
        with pytest.raises((TypeError, ValueError)):
            keras_ssl.load(path)


def test_names_in_an_archive_do_not_leave_it(tmp_path, marker, saved, recwarn):
    names = ["../marker", "assets/../../marker", str(marker)]
    inner = tmp_path / "inner"
    inner.mkdir()
    keras_ssl.load(rewritten(saved, inner / "model.keras", more=[(name, b"x") for name in names]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner"]
    assert [path.name for path in inner.iterdir()] == ["model.keras"]


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("kind", ["external file", "external link", "soft link out"])
def test_weights_may_not_lie_in_another_file(tmp_path, saved, kind):
    """A file that reads /etc/passwd into its weights and is then published would give it away."""
    weights, secret = tmp_path / "model.weights.h5", tmp_path / "secret"
    weights.write_bytes(zipfile.ZipFile(saved).read("model.weights.h5"))
    secret.write_bytes(bytes(4096))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["value"] = np.zeros(4, "float32")
    with h5py.File(weights, "a") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        name = max(found, key=lambda name: file[name].size)
        shape = file[name].shape
        del file[name]
        if kind == "external file":
            file.create_dataset(name, shape, "float32", external=[(str(secret), 0, 4 * int(np.prod(shape)))])
        elif kind == "external link":
            file[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/value")
        else:
            file[name] = h5py.SoftLink("/../../other.h5/value")
    path = rewritten(saved, tmp_path / "model.keras", weights=weights.read_bytes())
    with pytest.raises((ValueError, KeyError), match="Not allowed: H5 file with|could not be loaded|[Uu]nable to"):
        keras_ssl.load(path)


def test_a_checkpoint_is_numbers_only(tmp_path, marker):
    """Its archive holds a config too, which is not read: here one with code, sealed as if it were right."""
    model = make("SimCLR")
    run = keras_ssl.Checkpoint(tmp_path / "run")
    run.restore(model)
    model.fit(cases.pipeline("SimCLR").take(2), verbose=0, callbacks=[run])
    (file,) = run.files()
    model_with(touching(marker)).save(tmp_path / "evil.keras")
    config = zipfile.ZipFile(tmp_path / "evil.keras").read("config.json")
    rewritten(file, tmp_path / "swapped.keras", config=config).rename(file)
    manifest = Path(file).with_suffix(".json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "sha256": checkpoint.seal(Path(file), content["run"])}))
    again = make("SimCLR", seed=1)
    assert keras_ssl.Checkpoint(tmp_path / "run").restore(again) == (1, 0)
    for one, other in zip(model.trainable_variables, again.trainable_variables):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    manifest.write_text("__import__('os').system('false')")
    with pytest.raises(ValueError, match="damaged"):
        keras_ssl.Checkpoint(tmp_path / "run").restore(again)


# What no file of the project may name. The reader of PyTorch's files is a pickle machine of its own, which calls
# nothing that a file names.
FORBIDDEN = {"marshal", "shelve", "dill", "joblib", "cloudpickle", "pickle", "_pickle", "yaml"}
ALLOWED = {"pretrained/reader.py": {"pickle"}}


def sources():
    folders = Path(keras_ssl.__file__).parent, ROOT / "benchmarks", ROOT / "examples"
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def test_no_source_executes_what_it_reads():
    assert len(sources()) > 100
    for path in sources():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module}
                own = ALLOWED.get("/".join(path.parts[-2:]), set())
                assert not ({name.split(".")[0] for name in names} & FORBIDDEN) - own, where
            if not isinstance(node, ast.Call):
                continue
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"), where
            assert keywords.get("allow_pickle", "False") == "False", where
            assert keywords.get("safe_mode", "True") == "True", where
            assert keywords.get("shell", "False") == "False", where
            assert "enable_unsafe_deserialization" not in called, where
            if called.endswith(("archive.extract", "archive.extractall", "members.extract", "members.extractall")):
                assert keywords.get("filter") == "'data'", where
            if called == "torch.load":
                assert keywords.get("weights_only") == "True", where


def test_the_rule_sees_what_it_forbids(tmp_path, monkeypatch):
    (tmp_path / "keras_ssl").mkdir()
    lines = ["import pickle", "from marshal import loads", "eval(text)", "np.load(path, allow_pickle=True)"]
    lines += ["keras.saving.load_model(path, safe_mode=False)", "archive.extractall(path)"]
    for line in lines:
        (tmp_path / "keras_ssl" / "bad.py").write_text(line)
        monkeypatch.setattr("tests.test_untrusted.ROOT", tmp_path)
        monkeypatch.setattr("tests.test_untrusted.sources", lambda: [tmp_path / "keras_ssl" / "bad.py"] * 101)
        with pytest.raises(AssertionError, match="bad.py:1"):
            test_no_source_executes_what_it_reads()


def test_an_archive_of_images_cannot_leave_its_folder(tmp_path):
    """What `benchmarks/quality.py` unpacks with."""
    import io
    import tarfile

    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for name in ("fine.jpg", "../marker.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "target").mkdir()
    with tarfile.open(tmp_path / "images.tar") as archive, pytest.raises(tarfile.OutsideDestinationError):
        archive.extractall(tmp_path / "target", filter="data")
    assert not (tmp_path / "marker.jpg").exists()
