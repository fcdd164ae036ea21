"""The command line: runs that stop and go on, what is printed where, exit codes, and files that others read."""

import argparse
import csv
import importlib
import importlib.util
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import augment, encoders, eval, runs
from keras_ssl.command import main, pretrain, sources
from keras_ssl.command.callbacks import Journal, Stop
from keras_ssl.command.ending import Stopped

ROOT = Path(__file__).parents[1]
# A few steps from the start the features of a small network are what the monitor warns of.
pytestmark = pytest.mark.filterwarnings("default:The features have collapsed")
STEPS, EPOCHS = 4, 3


def tiny(shape, **options):
    """In the place of a ResNet, which takes seconds to compile."""
    images = keras.Input(shape, name="images")
    x = keras.layers.Conv2D(4, 3, 2, use_bias=False)(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x), name="tiny")


def crops(size):
    """In the place of SimCLR's views, which take seconds to compile, too."""
    return augment.Views(augment.RandomResizedCrop(size, flip=0.5), 2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes, dark and bright; 36 images."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(36):
        name = ("dark", "light")[number % 2]
        (folder / name).mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 128, (12, 10, 3)) + 127 * (number % 2)
        keras.utils.save_img(folder / name / f"{number:02d}.png", pixels, scale=False)
    return folder


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command line in this process: exit code, stdout, stderr."""
    monkeypatch.setattr(encoders, "resnet18", tiny)
    monkeypatch.setattr(augment, "simclr_cifar", crops)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def started(photos, out, *more):
    sizes = ("--size", 8, "--batch", 8, "--epochs", EPOCHS, "--checkpoint-every", 3)
    return ("pretrain", "--data", photos, "--out", out, *sizes, *more)


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A run that went to its end, with its result, and what it said meanwhile."""
    out = tmp_path_factory.mktemp("runs") / "simclr"
    keras.config.set_dtype_policy("float32")
    printed, said = out.parent / "stdout", out.parent / "stderr"
    with pytest.MonkeyPatch.context() as patch, open(printed, "w") as stdout, open(said, "w") as stderr:
        patch.setattr(encoders, "resnet18", tiny)
        patch.setattr(augment, "simclr_cifar", crops)
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", stderr)
        assert main([str(part) for part in started(photos, out, "--watch", photos, photos, "--json")]) == 0
    return types.SimpleNamespace(out=out, result=json.loads(printed.read_text()), said=said.read_text())


# pretrain


def test_a_run_leaves_an_encoder_and_what_it_was(finished, photos):
    assert finished.result["status"] == "done" and finished.result["steps"] == STEPS * EPOCHS
    assert finished.said.count("Epoch ") == EPOCHS and "\b" not in finished.said  # lines, as there is no terminal
    record = runs.read(finished.out)
    assert [row["epoch"] for row in record["history"]] == [1, 2, 3]
    assert {"loss", "knn", "feature_rank"} < set(record["history"][-1])
    assert record["arguments"]["data"] == str(photos) and record["arguments"]["seed"] == 0
    assert record["versions"]["keras"] == keras.__version__ and record["status"] == "done"
    assert record["method"]["temperature"] == 0.5 and record["optimizer"]["class"] == "LARS"
    encoder = keras.saving.load_model(finished.out / "encoder.keras")
    np.testing.assert_array_equal(encoder.get_weights()[0], runs.load_model(finished.out).encoder.get_weights()[0])


def in_main_thread():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread only")


def test_a_run_that_was_stopped_goes_on_as_if_it_was_not(command, finished, photos, tmp_path, monkeypatch):
    in_main_thread()
    out, number, step = tmp_path / "run", signal.SIGTERM, 6  # inside the second epoch
    batch_end = keras_ssl.Checkpoint.on_train_batch_end

    def interrupted(self, batch, logs=None):
        batch_end(self, batch, logs)
        if self.step == step:
            signal.raise_signal(number)

    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(keras_ssl.Checkpoint, "on_train_batch_end", interrupted)
        code, printed, said = command(*started(photos, out, "--watch", photos, photos))
    assert code == 128 + number and printed == "" and f"Step {step} is saved" in said
    assert signal.getsignal(number) is handler
    record = runs.read(out)
    assert record["status"] == "stopped" and len(record["history"]) == step // STEPS
    assert not (out / "encoder.keras").exists()
    assert runs.load_encoder(out).count_params() > 0  # a run can be looked at before its end

    assert command("pretrain", "--out", out, "--resume")[0] == 0
    one, two = runs.load_model(finished.out), runs.load_model(out)
    for a, b in zip(one.variables, two.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    rows = runs.read(out)["history"]
    assert [row["loss"] for row in rows] == [row["loss"] for row in runs.read(finished.out)["history"]]
    code, printed, _ = command("pretrain", "--out", out, "--resume", "--json")  # at its end it has nothing to do
    assert code == 0 and json.loads(printed)["steps"] == STEPS * EPOCHS


@pytest.fixture
def ctrl_c():
    """What Ctrl-C does in a process that was started in the foreground: in the background it is ignored."""
    in_main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_at_the_end_of_an_epoch(tmp_path, ctrl_c):
    record = {"history": [], "seconds": 0.0}
    checkpoint = types.SimpleNamespace(start=3, saved=7)
    stop = Stop(checkpoint, Journal(tmp_path, record))
    stop.set_model(types.SimpleNamespace(stop_training=False))
    stop.on_epoch_end(0, {})
    with stop.listening():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):  # a second time it ends at once
            signal.raise_signal(signal.SIGINT)
    stop.on_epoch_end(0, {})  # the signal came while the evaluations ran: the next step is the last
    stop.on_train_batch_end(0)
    with pytest.raises(Stopped, match="SIGINT. Step 7 is saved"):
        stop.on_epoch_end(0, {"loss": 1.0})
    assert record["history"] == []
    checkpoint.start = 0  # the epoch was complete
    with pytest.raises(Stopped):
        stop.on_epoch_end(0, {"loss": 1.0})
    assert record["history"] == [{"epoch": 1, "loss": 1.0}]


def test_a_run_is_not_begun_over_another(command, finished, photos, tmp_path):
    code, printed, said = command(*started(photos, finished.out))
    assert (code, printed) == (2, "") and said.count("\n") == 1 and "go on with --resume" in said
    code, _, said = command(*started(photos, finished.out, "--resume", "--seed", 1))
    assert code == 2 and "other arguments: --seed 0" in said
    (tmp_path / "letters.txt").write_text("mine")
    code, _, said = command(*started(photos, tmp_path, "--resume"))
    assert code == 2 and "not the folder of a run" in said


@pytest.mark.filterwarnings("default:1 of 36")
def test_a_run_that_fails(command, photos, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for path in photos.rglob("*.png"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "07.png").write_bytes(b"no image")
    code, printed, said = command(*started(folder, tmp_path / "run"))
    assert (code, printed) == (1, "") and "07.png" in said.splitlines()[-1] and "Traceback" not in said
    assert runs.read(tmp_path / "run")["status"].startswith("failed")
    assert "Traceback" in command("evaluate", folder, "--test", folder, "--protocol", "rank_me", "--traceback")[2]
    code, _, said = command(*started(folder, tmp_path / "skip", "--bad-images", "skip", "--epochs", 1))
    assert code == 0 and "warning: 1 of 36 image files are skipped" in said


@pytest.mark.parametrize("arguments, said", [
    (("pretrain",), "Pass --data"),
    (("pretrain", "--data", "nowhere/"), "There is no folder"),
    (("pretrain", "--data", "PHOTOS", "--method", "SimCRL"), "There is no 'SimCRL'. Recipes: SimCLR, "),
    (("pretrain", "--data", "PHOTOS", "--method", "CLIP"), "CLIP: it learns from captions. For a run of minutes there"),
    (("pretrain", "--data", "PHOTOS", "--method", "CLIP", "--quick", "--batch", "8"), "needs the column text beside"),
    (("pretrain", "--data", "PHOTOS", "--batch", "8", "--method", "MAE", "--encoder", "resnet18"), "MAE must be"),
    (("pretrain", "--data", "PHOTOS", "--encoder", "resnet19"), "--encoder of SimCLR must be one of resnet18"),
    (("pretrain", "--data", "PHOTOS", "--batch", "64"), "36 images are fewer than one batch of 64"),
    (("pretrain", "--data", "PHOTOS", "--size", "0"), "0 is not a positive number"),
    (("evaluate", "nowhere/", "--train", "PHOTOS", "--test", "PHOTOS"), "There is no 'nowhere"),
    (("evaluate", "pixels", "--test", "PHOTOS"), "knn, linear learns from labels: pass --train"),
    (("evaluate", "pixels", "--train", "PHOTOS", "--test", "PHOTOS"), "pass --size"),
    (("evaluate", "pixels", "--train", "PHOTOS", "--test", "x.npz"), " and 'x.npz'"),
    (("evaluate", "pixels", "--train", "x.npz", "--test", "PHOTOS"), "be folders of images, or both columns (.npz)"),
    (("evaluate", "pixels", "--test", "PHOTOS", "--protocol", "magic"), "invalid choice: 'magic'"),
    (("embed", "PHOTOS", "--data", "PHOTOS", "--out", "x.npz"), "is not the folder of a run"),
    (("embed", "RUN", "--data", "PHOTOS", "--out", "x.txt"), "--out must end in .npz or .csv"),
    (("export", "RUN", "--out", "x.pt"), "--out must end in .keras, .tflite, .onnx"),
    (("convert", "weights.pth", "--out", "x.h5"), "--out must end in .keras"),
    (("report", "PHOTOS"), "is not the folder of a run"),
    (("dance",), "invalid choice: 'dance'"),
    ((), "required: COMMAND"),
])  # fmt: skip
def test_wrong_usage(command, finished, photos, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    places = {"PHOTOS": photos, "RUN": finished.out}
    code, printed, error = command(*(places.get(argument, argument) for argument in arguments))
    assert (code, printed) == (2, "") and said in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_help_teaches_and_is_quick():
    for name in ("pretrain", "evaluate", "embed", "export", "convert", "report"):
        code = (
            "import sys; from keras_ssl.command import main\n"
            f"code = main(['{name}', '--help'])\n"
            "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules); sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"python -m keras_ssl {name} " in done.stdout.split("example")[1], name
    done = subprocess.run([sys.executable, "-m", "keras_ssl", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"keras_ssl {keras_ssl.__version__}\n")


def test_labels_where_a_method_learns_from_them(photos):
    arguments = pretrain.DEFAULTS | {"size": 8}
    labels = sources.source_of(str(photos), None, arguments).labels()
    assert sorted(set(labels)) == [0, 1] and labels == sorted(labels)
    with pytest.raises(ValueError, match="class folders"):
        sources.source_of(str(photos / "dark"), None, arguments).labels()
    pixels = np.zeros((8, 6, 6, 3), "uint8")
    images = sources.source_of(pixels, np.arange(8) % 2, arguments)
    batch = next(iter(images.pipeline(4, ("label", "index"), 0, 0)))
    np.testing.assert_array_equal(batch["label"], batch["index"] % 2)
    with pytest.raises(ValueError, match="pass labels=, an int for each image"):
        sources.source_of(pixels, None, arguments).check(("label",))
    with pytest.raises(ValueError, match=r"square images as an array .* \(8, 6, 5, 3\)"):
        sources.source_of(pixels[:, :, 1:], None, arguments)
    with pytest.raises(ValueError, match="labels are for an array of images"):
        sources.source_of(str(photos), [0], arguments)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(encoders, "resnet18", tiny)
    monkeypatch.setattr(augment, "simclr_cifar", crops)


def pixels_of(photos):
    dataset = keras_ssl.data.image_folder(photos, 8, 36, labels=True, shuffle=False)
    batch = next(iter(dataset))
    return batch["image"].numpy(), batch["label"].numpy()


def test_the_command_as_a_function_on_an_array(small, photos, tmp_path):
    images, labels = pixels_of(photos)
    options = {"data": images, "out": tmp_path / "run", "batch": 8, "epochs": 2, "watch": [(images, labels)] * 2}
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = keras_ssl.pretrain(method="simclr", **options)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"  # as it was before
    keras.config.set_dtype_policy("float32")
    assert found["method"] == "SimCLR" and found["steps"] == 8 and {"loss", "knn"} < set(found["last"])
    assert keras.saving.load_model(found["encoder"]).input_shape == (None, 8, 8, 3)
    record = runs.read(tmp_path / "run")
    assert record["arguments"]["size"] == 8 and record["arguments"]["data"].startswith("array of 36 x 8 x 8 x 3, ")
    assert keras_ssl.pretrain(**options, resume=True)["steps"] == 8
    with pytest.raises(ValueError, match="has other arguments: --data array of 36"):
        keras_ssl.pretrain(**options | {"data": images[::-1]}, resume=True)
    with pytest.raises(ValueError, match="is of data in memory .array of 36 .*: pass data= again"):
        keras_ssl.pretrain(out=tmp_path / "run", resume=True)
    scores = keras_ssl.evaluate(found["run"], photos, photos, ["knn"], k=5)
    assert runs.read(tmp_path / "run")["scores"] == {"knn": scores["knn"].to_dict()}
    with pytest.raises(ValueError, match="protocol must be of knn, linear"):
        keras_ssl.evaluate(found["run"], photos, photos, "magic")
    assert keras_ssl.embed(found["run"], photos, tmp_path / "f.npz")["features"] == 4


def test_functions_have_the_arguments_of_their_commands():
    for name in ("pretrain", "evaluate", "embed", "report"):
        parser = argparse.ArgumentParser()
        importlib.import_module(f"keras_ssl.command.{name}").add(parser)
        asked = {action.dest for action in parser._actions} - {"help"}
        taken = inspect.signature(getattr(keras_ssl, name)).parameters
        assert asked <= set(taken), name
        assert set(taken) - asked == ({"labels"} if name == "pretrain" else set()), name
    defaults = inspect.signature(keras_ssl.evaluate).parameters
    assert defaults["k"].default == inspect.signature(eval.knn).parameters["k"].default


def test_a_second_ctrl_c_after_saved_epochs_says_what_is_saved(command, photos, tmp_path, monkeypatch, ctrl_c):
    def impatient(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Stop, "on_epoch_end", impatient)
    code, printed, said = command(*started(photos, tmp_path / "run"))
    assert (code, printed) == (130, "") and "Stopped at once. Step 6 is saved: " in said
    assert runs.read(tmp_path / "run")["status"] == "stopped"


def test_small_images_are_an_error_unless_they_may_be_enlarged(command, photos, tmp_path):
    code, _, said = command(*started(photos, tmp_path / "run", "--size", 16, "--epochs", 1))
    assert code == 1 and "upscale" in said.splitlines()[-1]
    code, _, said = command(*started(photos, tmp_path / "other", "--size", 16, "--epochs", 1, "--upscale"))
    assert code == 0, said


@keras.saving.register_keras_serializable("tests")
class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2


def test_an_encoder_that_plain_keras_cannot_load_is_told_of(tmp_path):
    images = keras.Input((8, 8, 3))
    encoder = keras.Model(images, keras.layers.GlobalAveragePooling2D()(Halved()(images)))
    model = keras_ssl.SimCLR(encoder, hidden=4, dim=4)
    with pytest.warns(UserWarning, match="is written for keras_ssl.load, not for Keras alone: .*Halved"):
        pretrain.export(model, tmp_path)
    assert (tmp_path / "encoder.keras").is_file()


# What comes after


def test_evaluate_is_what_the_functions_say(command, finished, photos, tmp_path):
    arguments = ("evaluate", finished.out, "--train", photos, "--test", photos, "--k", 5)
    code, printed, _ = command(
        *arguments, "--protocol", "knn", "linear", "retrieval", "clustering", "rank_me", "--json", "--out",
        tmp_path / "scores.csv",
    )  # fmt: skip
    found = json.loads(printed)["scores"]
    assert code == 0 and list(found) == ["knn", "linear", "retrieval", "clustering", "rank_me"]
    dataset = keras_ssl.data.image_folder(photos, 8, 8, labels=True, shuffle=False, upscale=True)
    encoder = keras.saving.load_model(finished.out / "encoder.keras")
    assert found["knn"] == eval.knn(encoder, dataset, dataset, k=5).to_dict()
    assert runs.read(finished.out)["scores"] == found
    rows = table(tmp_path / "scores.csv")
    assert rows[0]["protocol"] == "knn" and float(rows[0]["accuracy"]) == found["knn"]["accuracy"]
    code, printed, _ = command("evaluate", "pixels", "--train", photos, "--test", photos, "--size", 8)
    assert code == 0 and "linear probe: 100.00 %" in printed


def test_fine_tuning_shows_its_epochs(command, finished, photos):
    """It takes minutes, so it says how far it is: a bar on a terminal, else a line for each epoch."""
    code, out, said = command(
        "evaluate", finished.out, "--train", photos, "--test", photos, "--protocol", "fine_tune", "--epochs", 2
    )
    assert code == 0 and "fine-tuning:" in out and "Epoch" not in out
    assert "Epoch 1/2" in said and "Epoch 2/2" in said and said.count("loss:") == 2


def test_other_classes_are_seen(command, finished, photos, tmp_path):
    for name in ("dark", "lights"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes((photos / "dark" / "00.png").read_bytes())
    code, _, said = command("evaluate", finished.out, "--train", photos, "--test", tmp_path)
    assert code == 2 and "light, lights" in said


def test_embed(command, finished, photos, tmp_path):
    encoder = keras.saving.load_model(finished.out / "encoder.keras")
    dataset = keras_ssl.data.image_folder(photos, 8, 36, shuffle=False, upscale=True)
    expected = encoder.predict(next(iter(dataset))["image"], verbose=0)
    places = ("--data", photos, "--out", tmp_path / "f.npz", "--projector", tmp_path / "board")
    code, printed, _ = command("embed", finished.out, *places, "--json")
    assert code == 0 and json.loads(printed)["images"] == 36
    with np.load(tmp_path / "f.npz") as file:
        np.testing.assert_allclose(file["features"], expected, rtol=1e-5, atol=1e-6)
        assert list(file["paths"][[0, -1]]) == ["dark/00.png", "light/35.png"]
        assert list(file["class_names"][file["labels"]][[0, -1]]) == ["dark", "light"]
    assert (tmp_path / "board" / "labels.tsv").read_text().splitlines()[:2] == ["path\tlabel", "dark/00.png\tdark"]
    assert command("embed", finished.out, "--data", photos / "dark", "--out", tmp_path / "f.csv")[0] == 0
    check_names_that_are_not_utf_8(command, finished, photos, tmp_path)
    rows = table(tmp_path / "f.csv")
    assert list(rows[0]) == ["path", "f0", "f1", "f2", "f3"] and rows[0]["path"] == "00.png"
    np.testing.assert_allclose([float(rows[0][f"f{i}"]) for i in range(4)], expected[0], rtol=1e-5, atol=1e-6)


def check_names_that_are_not_utf_8(command, finished, photos, tmp_path):
    odd, name = tmp_path / "odd", b"gr\xfcn.png"
    odd.mkdir()
    for source, target in (("00.png", b"a.png"), ("02.png", name)):
        (Path(os.fsdecode(os.fsencode(odd) + b"/" + target))).write_bytes((photos / "dark" / source).read_bytes())
    for file in ("odd.npz", "odd.csv"):
        code, _, said = command(
            "embed", finished.out, "--data", odd, "--out", tmp_path / file, "--projector", tmp_path / file[-3:]
        )
        assert code == 0, said
        assert "gr\\xfcn.png" in (tmp_path / file[-3:] / "labels.tsv").read_text()
    assert name in (tmp_path / "odd.csv").read_bytes()
    with np.load(tmp_path / "odd.npz") as found:
        assert [os.fsencode(path) for path in found["paths"]] == [b"a.png", name] and len(found["features"]) == 2


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def exported(command, finished, out):
    """An encoder that was exported, images and what plain Keras makes of them."""
    code, printed, said = command("export", finished.out, "--out", out, "--json")
    assert code == 0, said
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype("float32")
    encoder = keras.saving.load_model(finished.out / "encoder.keras")
    assert json.loads(printed)["output"] == [None, 4]
    return images, encoder.predict(images, verbose=0)


def test_export_as_keras_and_as_saved_model(command, finished, tmp_path):
    import tensorflow as tf

    images, expected = exported(command, finished, tmp_path / "encoder")
    loaded = tf.saved_model.load(tmp_path / "encoder")
    np.testing.assert_allclose(loaded.serve(images), expected, atol=1e-6)
    images, expected = exported(command, finished, tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)


# The interpreter of TensorFlow tells of its successor; the converter's own warnings are not ours.
@pytest.mark.filterwarnings("ignore")
def test_export_as_litert(command, finished, tmp_path):
    images, expected = exported(command, finished, tmp_path / "encoder.tflite")
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    interpreter = Interpreter(str(tmp_path / "encoder.tflite"))
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, images)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # of the converter
def test_export_as_onnx(command, finished, tmp_path):
    if importlib.util.find_spec("tf2onnx") is None or importlib.util.find_spec("onnx") is None:
        code, _, said = command("export", finished.out, "--out", tmp_path / "encoder.onnx")
        assert code == 1 and "pip install 'keras_ssl[onnx]'" in said
        return
    images, expected = exported(command, finished, tmp_path / "encoder.onnx")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(tmp_path / "encoder.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: images})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_convert(command, tmp_path, monkeypatch):
    from keras_ssl import pretrained

    asked = []

    def load(source, input_shape=None):
        asked.append((source, input_shape))
        return tiny(input_shape or (8, 8, 3))

    monkeypatch.setattr(pretrained, "load", load)
    code, printed, _ = command("convert", "w.pth", "--size", 16, "--out", tmp_path / "e.keras", "--json")
    assert code == 0 and json.loads(printed)["input"] == [None, 16, 16, 3]
    assert asked == [("w.pth", (16, 16, 3))]
    assert keras.saving.load_model(tmp_path / "e.keras").output_shape == (None, 4)
    assert command("convert", "dino_vits16", "--out", tmp_path / "d.keras")[0] == 0
    assert pretrained.card(tmp_path / "d.keras")["license"]


def test_report(command, finished, tmp_path):
    code, printed, said = command("report", finished.out, "--out", tmp_path / "page.html", "--images", 20)
    assert code == 0 and str(tmp_path / "page.html") in printed, said
    text = (tmp_path / "page.html").read_text()
    assert "<h1>SimCLR, resnet18</h1>" in text and "3 of 3 epochs of 4 steps" in text
    for heading in ("Training", "Views", "Neighbors", "Map", "Features", "Filters", "Settings"):
        assert f"<h2>{heading}</h2>" in text, heading
    assert "<td>temperature</td>" in text and "Attention" not in text


def test_json_is_strict():
    text = runs.as_json({"a": float("nan"), "b": np.float32(0.5), "c": (np.arange(2), Path("x")), 1: None})
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": 0.5, "c": [[0, 1], "x"], "1": None}
