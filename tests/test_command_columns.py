"""The command line on samples of other kinds: columns in memory, or in an .npz file."""

import json
import types

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import inputs, recipes, runs
from keras_ssl.command import columns, main
from tests import kinds

pytestmark = pytest.mark.filterwarnings("default:The features have collapsed")
COUNT = 32


def walks(seed=0):
    """Slow and fast waves: two classes that any network tells apart."""
    rng, label = np.random.default_rng(seed), np.arange(COUNT) % 2
    time = np.arange(30)[None, :, None] * np.where(label, 1.2, 0.3)[:, None, None]
    series = np.sin(time + rng.uniform(0, 6, (COUNT, 1, 3))) + 0.1 * rng.normal(size=(COUNT, 30, 3))
    return {"series": series.astype("float32"), "label": np.array(["slow", "fast"])[label], "rate": np.array(50)}


@pytest.fixture
def files(tmp_path):
    for seed, name in enumerate(("train", "test")):
        np.savez(tmp_path / f"{name}.npz", **walks(seed))
    return tmp_path


@pytest.fixture
def recipe(monkeypatch):
    """A recipe of SimCLR for series in the place of that for images; it keeps the runs that it was asked for."""
    asked = []

    def paper(run):
        asked.append(run)
        model = keras_ssl.SimCLR(kinds.series_encoder(), kinds.series_views(), hidden=8, dim=4)
        return model, keras.optimizers.SGD(0.01)

    made = types.SimpleNamespace(KIND=inputs.SERIES, ENCODERS=("conv1d",), paper=paper, minutes=paper)
    find = recipes.find
    monkeypatch.setattr(recipes, "find", lambda method: made if method == "SimCLR" else find(method))
    return asked


def ran(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_series_from_the_shell(recipe, files, capsys):
    out, train, test = files / "run", files / "train.npz", files / "test.npz"
    code, printed, said = ran(
        capsys, "pretrain", "--data", train, "--out", out, "--epochs", 2, "--batch", 8, "--watch", train, test, "--json"
    )
    assert code == 0, said
    assert "32 series, 2 epochs of 4 steps" in said and json.loads(printed)["steps"] == 8
    (run,) = recipe
    assert (run.shape, run.kind, run.rate, run.name, run.count) == ((30, 3), inputs.SERIES, 50, "conv1d", COUNT)
    assert "knn" in runs.read(out)["history"][-1]

    code, printed, said = ran(
        capsys, "evaluate", out, "--train", train, "--test", test, "--k", 3, "--protocol", "knn", "linear", "rank_me"
    )
    assert code == 0 and "k-NN" in printed, said
    code, _, said = ran(capsys, "embed", out, "--data", test, "--out", files / "features.npz")
    found = np.load(files / "features.npz")
    expected = keras.saving.load_model(out / "encoder.keras").predict(walks(1)["series"], verbose=0)
    assert code == 0 and list(found["class_names"]) == ["fast", "slow"], said
    np.testing.assert_allclose(found["features"], expected, atol=1e-5)
    np.testing.assert_array_equal(found["class_names"][found["labels"]], walks(1)["label"])
    code, _, said = ran(capsys, "report", out)
    assert code == 0 and "32 series, batches of 8" in (out / "report.html").read_text(), said


def test_a_run_on_columns_in_memory_goes_on(recipe, tmp_path):
    series = {"series": walks()["series"]}
    keras_ssl.pretrain(data=series, out=tmp_path / "run", epochs=2, batch=8)
    with pytest.raises(ValueError, match="data in memory .series: array of 32 x 30 x 3, checksum .*pass data= again"):
        keras_ssl.pretrain(out=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="has other arguments: --data series: array of 32 x 30 x 3"):
        keras_ssl.pretrain(data={"series": 2 * series["series"]}, out=tmp_path / "run", resume=True)
    assert keras_ssl.pretrain(data=series, out=tmp_path / "run", resume=True)["steps"] == 8


def test_a_method_for_other_samples(files):
    with pytest.raises(ValueError, match="BYOL learns from images. Received: series, of which learn: "):
        keras_ssl.pretrain(data=files / "train.npz", method="BYOL", out=files / "run")


@pytest.mark.parametrize("given, said", [
    ({"waves": np.zeros(3)}, r"data must hold one of the columns image, .*Received: \['waves'\]"),
    ({"series": np.zeros((2, 4, 1)), "label": np.zeros((2, 1), int)}, "label of data must have one value per sample"),
    ({"series": np.zeros((2, 4, 1)), "label": np.zeros(2)}, "label of data must be ints or strings"),
    ({"series": np.zeros((2, 4, 1)), "label": np.array(["a", "b"]), "class_names": np.array(["a"])}, "Received: 'b'"),
])  # fmt: skip
def test_columns_that_do_not_fit(given, said):
    with pytest.raises(ValueError, match=said):
        columns.Columns(given)


def test_files_that_do_not_fit(files):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        columns.Columns(files / "none.npz")
    (files / "broken.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="cannot be read"):
        columns.Columns(files / "broken.npz")
    np.savez(files / "bare.npz", series=walks()["series"])
    with pytest.raises(ValueError, match="bare.npz' must hold the column label"):
        columns.labeled(files / "train.npz", files / "bare.npz")
    np.savez(files / "others.npz", series=walks()["series"][:2], label=np.array(["slow", "still"]))
    with pytest.raises(ValueError, match="Only in one of them: fast, still"):
        columns.labeled(files / "train.npz", files / "others.npz")


def test_the_vocabulary_of_tokens():
    texts = kinds.tokens(4)
    assert columns.Columns(texts).vocabulary is None
    assert columns.Columns(texts | {"vocabulary": np.array(["a", "b"])}).vocabulary == 2
    assert columns.Columns(texts | {"vocabulary": 20}).vocabulary == 20
