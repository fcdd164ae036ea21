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


@pytest.mark.filterwarnings("default:.*is written for keras_ssl.load")
def test_labels_of_nodes_from_the_shell(monkeypatch, tmp_path):
    """A recipe may ask how many labels the nodes have, as it may ask for the number of the tokens."""
    asked = []

    def minutes(run):
        asked.append(run)
        encoder = keras_ssl.encoders.gin(*run.shape, labels=run.vocabulary, width=8, depth=1)
        return keras_ssl.SimCLR(encoder, kinds.graph_views(), hidden=8, dim=4), keras.optimizers.SGD(0.01)

    made = types.SimpleNamespace(KIND=inputs.GRAPH, ENCODERS=("gin",), minutes=minutes)
    find = recipes.find
    monkeypatch.setattr(recipes, "find", lambda method: made if method == "SimCLR" else find(method))
    graphs = kinds.graphs(16)
    graphs["nodes"] = np.where(graphs["nodes_mask"], np.arange(16)[:, None] % 5, 0)
    with pytest.raises(ValueError, match="no recipe for SimCLR: none was written yet. For a run of minutes .* --quick"):
        keras_ssl.pretrain(data=graphs, out=tmp_path / "run", epochs=1, batch=8)
    run = keras_ssl.pretrain(data=graphs, out=tmp_path / "run", epochs=1, batch=8, quick=True)
    assert run["steps"] == 2 and asked[0].vocabulary == 5
    np.savez(tmp_path / "graphs.npz", **graphs, vocabulary=9)
    keras_ssl.pretrain(data=tmp_path / "graphs.npz", out=tmp_path / "other", epochs=1, batch=8, quick=True)
    assert asked[1].vocabulary == 9


def test_a_recipe_of_minutes_is_enough_for_a_quick_run():
    assert recipes.why_not("CLIP", "minutes") is None and "captions" in recipes.why_not("CLIP")
    assert "CLIP" in recipes.names("minutes") and "CLIP" not in recipes.names()


def test_a_folder_beside_columns(files):
    for train, test in (("photos", "test.npz"), ("train.npz", "photos")):
        with pytest.raises(ValueError, match="Both sets must be folders of images, or both columns"):
            columns.labeled(files / train, files / test)
    with pytest.raises(ValueError, match=r"Received: a dict and '.*photos'"):
        columns.labeled(walks(), files / "photos")


def test_watched_sets_are_read_before_the_run_begins(recipe, files):
    """So that a folder of a wrong call is not in the way of the right one."""
    out = files / "never"
    for watch in ((files / "photos", walks()), (walks(), files / "photos"), (walks(), {"series": walks()["series"]})):
        with pytest.raises(ValueError, match="Both sets must be folders|must hold the column label"):
            keras_ssl.pretrain(data=walks(), method="SimCLR", out=out, epochs=1, batch=8, watch=watch)
        assert not out.exists()


def test_images_among_columns_are_square(tmp_path):
    for shape in ((8, 16, 12, 3), (8, 16, 16)):
        with pytest.raises(ValueError, match="square images as an array .* Received: an array of shape"):
            keras_ssl.pretrain(data={"image": np.zeros(shape, "uint8")}, out=tmp_path / "run", batch=4)


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
    ({"series": np.zeros((2, 4, 1)), "label": np.arange(2), "class_names": np.array(["a"])}, "labels from 0 to 1"),
])  # fmt: skip
def test_columns_that_do_not_fit(given, said):
    with pytest.raises(ValueError, match=said):
        columns.Columns(given)


def test_files_that_do_not_fit(files):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        columns.Columns(files / "none.npz")
    whole = (files / "train.npz").read_bytes()
    np.save(files / "one.npy", walks()["series"])
    np.savez_compressed(files / "packed.npz", **walks())
    packed = bytearray((files / "packed.npz").read_bytes())
    packed[120:140] = bytes(20)
    for content in (b"PK", whole[:200], whole[:-50], (files / "one.npy").read_bytes(), bytes(packed)):
        (files / "broken.npz").write_bytes(content)
        with pytest.raises(ValueError, match="broken.npz' cannot be read: .*np.savez writes such files"):
            columns.Columns(files / "broken.npz")
    np.savez(files / "bare.npz", series=walks()["series"])
    with pytest.raises(ValueError, match="bare.npz' must hold the column label"):
        columns.labeled(files / "train.npz", files / "bare.npz")
    np.savez(files / "others.npz", series=walks()["series"][:2], label=np.array(["slow", "still"]))
    with pytest.raises(ValueError, match="Only in one of them: fast, still"):
        columns.labeled(files / "train.npz", files / "others.npz")
    for names, name in ((["a", "b"], "one"), (["b", "a"], "other")):
        np.savez(files / f"{name}.npz", series=walks()["series"][:2], label=np.arange(2), class_names=names)
    with pytest.raises(ValueError, match="must have the same order"):
        columns.labeled(files / "one.npz", files / "other.npz")


def test_the_vocabulary_of_tokens():
    texts = kinds.tokens(4)
    assert columns.Columns(texts).vocabulary is None
    assert columns.Columns(texts | {"vocabulary": np.array(["a", "b"])}).vocabulary == 2
    assert columns.Columns(texts | {"vocabulary": 20}).vocabulary == 20
