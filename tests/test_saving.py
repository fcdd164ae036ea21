"""What is saved can be loaded where it is needed: in another process, the encoder without keras_ssl."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import saving

ROOT = pathlib.Path(__file__).parents[1]

PLAIN_KERAS = """
import sys
import keras, numpy as np
encoder = keras.saving.load_model("encoder.keras")
np.save("plain.npy", encoder.predict(np.load("images.npy"), verbose=0))
assert not [name for name in sys.modules if name.startswith(("keras_ssl", "keras_cv"))]
"""
WHOLE_MODEL = """
import keras_ssl
model = keras_ssl.load("model.keras")
import numpy as np
assert type(model) is keras_ssl.MoCoV1
np.save("whole.npy", model.predict(np.load("images.npy"), verbose=0))
np.savez("weights.npz", *model.get_weights(), *[v.numpy() for v in model.optimizer.variables])
assert np.isfinite(model.train_on_batch(np.load("images.npy")))
"""


def encoder(*middle):
    images = x = keras.Input((8, 8, 3))
    for layer in (keras.layers.Rescaling(1 / 127.5, offset=-1), keras.layers.Conv2D(6, 3), *middle):
        x = layer(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def images():
    return np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), "uint8")


def trained_moco():
    grouped = keras_ssl.encoders.GroupedBatchNormalization(2, momentum=0.5)
    model = keras_ssl.MoCoV1(encoder(grouped), keras_ssl.augment.moco_v1(8), dim=4, queue_size=12)
    model.compile(optimizer=keras_ssl.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    model.train_on_batch(images())
    assert np.abs(grouped.moving_mean).max() > 0.01
    return model


def in_a_new_process(code, folder, path=""):
    environment = os.environ | {"PYTHONPATH": str(path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )


def test_files_load_in_a_new_process(tmp_path):
    model = trained_moco()
    expected = model.predict(images(), verbose=0)
    np.save(tmp_path / "images.npy", images())
    written = keras_ssl.export(model, tmp_path / "encoder.keras")
    model.save(tmp_path / "model.keras")
    assert type(model.encoder.layers[3]).__name__ == "GroupedBatchNormalization"  # the model stays as it was
    np.testing.assert_allclose(written.predict(images(), verbose=0), expected, atol=1e-5)

    processes = in_a_new_process(PLAIN_KERAS, tmp_path), in_a_new_process(WHOLE_MODEL, tmp_path, ROOT)
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output[-3000:]
    np.testing.assert_allclose(np.load(tmp_path / "plain.npy"), expected, atol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "whole.npy"), expected, atol=1e-5)
    state = [*model.get_weights(), *[v.numpy() for v in model.optimizer.variables]]
    found = list(np.load(tmp_path / "weights.npz").values())
    assert len(found) == len(state)
    for first, second in zip(found, state):
        np.testing.assert_array_equal(first, second)


def test_an_encoder_alone_can_be_exported(tmp_path):
    model = encoder(keras.layers.BatchNormalization())
    keras_ssl.export(model, str(tmp_path / "encoder.keras"))
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(loaded.predict(images(), verbose=0), model.predict(images(), verbose=0), atol=1e-6)


@keras.saving.register_keras_serializable("keras_ssl_tests")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def test_export_refuses_what_plain_keras_cannot_load(tmp_path):
    nested = keras.Sequential([keras.Input((6, 6, 6)), Twice()])
    for model in (encoder(Twice()), encoder(nested)):
        with pytest.raises(ValueError, match="plain Keras cannot load: Twice"):
            keras_ssl.export(model, tmp_path / "encoder.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["encoder.h5", "encoder.pt", "encoder.keras.zip"])
def test_export_refuses_other_files(tmp_path, name):
    with pytest.raises(ValueError, match="must end in .keras, .tflite, .onnx"):
        keras_ssl.export(encoder(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def vit(**options):
    return keras_ssl.encoders.vit((8, 8, 3), patch=4, width=16, depth=1, heads=2, **options)  # with an exact GELU


ENDINGS = {"keras": ".keras", "tf_saved_model": "", "litert": ".tflite", "onnx": ".onnx"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*tf.lite:UserWarning")
@pytest.mark.parametrize("form, policy", [
    *((form, "mixed_bfloat16") for form in ENDINGS), ("onnx", "mixed_float16"), ("keras", "mixed_float16"),
    ("litert", "float32"), ("onnx", "float32"),
])  # fmt: skip
def test_exports_are_float32_and_compute_the_features(form, policy, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnxruntime"), pytest.importorskip("tf2onnx")
    keras.config.set_dtype_policy(policy)
    trained = vit()
    keras.config.set_dtype_policy("float32")
    path = tmp_path / f"encoder{ENDINGS[form]}"
    written = keras_ssl.export(trained, path)
    assert {layer.compute_dtype for layer in written._flatten_layers()} == {"float32"}
    pixels = images()[:3].astype("float32")
    expected = written.predict(pixels, verbose=0)
    found = saving.RUNTIMES[form](path, pixels)  # another number of images than it was written with
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(expected, trained.predict(pixels, verbose=0).astype("float32"), atol=0.1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*tf.lite:UserWarning")
@pytest.mark.parametrize("form", ENDINGS)
def test_encoders_of_several_inputs_are_exported(form, tmp_path):
    given = {
        "series": keras.Input((5, 3), name="series"), "series_mask": keras.Input((5,), dtype="bool", name="series_mask")
    }  # fmt: skip
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(4)(given["series"]), mask=given["series_mask"])
    path = tmp_path / f"encoder{ENDINGS[form]}"
    written = keras_ssl.export(keras.Model(given, x), path)
    sample = saving.example(written, rows=3)
    sample["series_mask"][:, 3:] = False
    found = saving.RUNTIMES[form](path, sample)
    np.testing.assert_allclose(found, written(sample), atol=1e-5)


def test_an_export_that_is_wrong_is_told_and_not_left(tmp_path, monkeypatch):
    path = tmp_path / "encoder.keras"
    keras_ssl.export(encoder(), path)
    before = path.read_bytes()
    broken = {"keras": lambda path, sample: by_keras(path, sample) + 1}
    by_keras = saving.by_keras
    for runtime, words in ((broken["keras"], "computes other features"), (lambda *_: 1 / 0, "cannot open or run")):
        monkeypatch.setitem(saving.RUNTIMES, "keras", runtime)
        with pytest.raises(ValueError, match=words):
            keras_ssl.export(encoder(), path)
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_missing_runtime_is_said(tmp_path, monkeypatch):
    def missing(*_):
        raise ImportError("its runtime is not installed (pip install onnxruntime)")

    monkeypatch.setitem(saving.RUNTIMES, "keras", missing)
    with pytest.warns(UserWarning, match="was written, but not opened: its runtime is not installed"):
        keras_ssl.export(encoder(), tmp_path / "encoder.keras")
    assert (tmp_path / "encoder.keras").is_file()


def test_load_executes_nothing_that_is_in_the_file(tmp_path):
    view = keras_ssl.augment.View([keras_ssl.augment.RandomResizedCrop(8), keras.layers.Lambda(lambda x: x + 1)])
    model = keras_ssl.SimCLR(encoder(), keras_ssl.augment.Views(view, 2), hidden=4, dim=3)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="(?i)unsafe|lambda"):
        keras_ssl.load(tmp_path / "model.keras")


def test_load_without_compile_has_no_optimizer(tmp_path):
    model = trained_moco()
    model.save(tmp_path / "model.keras")
    loaded = keras_ssl.load(tmp_path / "model.keras", compile=False)
    assert getattr(loaded, "optimizer", None) is None and not loaded.compiled
    for first, second in zip(loaded.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["DINO", "IBOT", "DINOv2", "DINOv3", "MSN"])
def test_the_teachers_encoder_is_the_result(name, tmp_path):
    vit = keras_ssl.encoders.vit((None, None, 3), patch=4, width=16, depth=2, heads=2, grid=2)
    options = {"hidden": 8, "dim": 8} | ({"prototype_count": 6} if name == "MSN" else {"bottleneck": 8})
    model = getattr(keras_ssl, name)(vit, **options, **({"grid": 2} if name in ("IBOT", "DINOv2", "DINOv3") else {}))
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)  # the student goes on alone
    pixels = images()
    features = model.predict(pixels, verbose=0)
    assert model.evaluated_encoder is not model.encoder
    assert np.abs(features - model.encoder.predict(pixels, verbose=0)).max() > 1e-3
    teacher = model.target if name == "MSN" else model.teacher
    student = model.anchor if name == "MSN" else model.student
    for slow, fast in zip(teacher.weights, student.weights, strict=True):
        fast.assign(slow)
    np.testing.assert_allclose(model.encoder.predict(pixels, verbose=0), features, atol=1e-6)

    model.evaluated_encoder.save(tmp_path / "teacher.keras")
    again = keras_ssl.load(tmp_path / "teacher.keras")
    np.testing.assert_array_equal(again.predict(pixels, verbose=0), features)
    monitor = keras_ssl.eval.Monitor(lambda encoder: 1.0, "score")
    monitor.set_model(model)
    collapse = keras_ssl.eval.CollapseMonitor(pixels)
    collapse.set_model(model)
    assert monitor.encoder is model.evaluated_encoder and collapse.encoder is model.encoder


def test_an_encoder_of_any_size_is_tried_on_small_images():
    """At 224 pixels the attention among patches of two pixels would take 5 GB a block."""
    vit = keras_ssl.encoders.vit((None, None, 3), patch=2, width=4, depth=1, heads=1, grid=4)
    assert saving.example(vit).shape == (2, 64, 64, 3)
    layers = [keras.layers.Conv2D(2, 41, strides=2), keras.layers.Conv2D(2, 15), keras.layers.GlobalMaxPooling2D()]
    deep = keras.Sequential([keras.Input((None, None, 3)), *layers])
    assert saving.example(deep).shape == (2, 96, 96, 3)


@pytest.mark.parametrize("auto_scale_loss", [True, False])
def test_the_scale_of_the_loss_is_kept(auto_scale_loss, tmp_path):
    model = keras_ssl.SimCLR(encoder(), dtype="mixed_float16")
    model.compile(optimizer=keras.optimizers.SGD(0.1), auto_scale_loss=auto_scale_loss)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    again = keras_ssl.load(tmp_path / "model.keras")
    for one in (model, again):
        assert isinstance(one.optimizer, keras.optimizers.LossScaleOptimizer) is auto_scale_loss


def test_what_export_and_load_cannot_take(tmp_path):
    images = keras.Input((4, 4, 3))
    x = keras.layers.GlobalAveragePooling2D()(images)
    encoder = keras.Model(images, x)
    for model, path in ((str(tmp_path / "a.keras"), encoder), (str(tmp_path / "a.keras"), tmp_path / "b.keras")):
        with pytest.raises(TypeError, match="export takes a keras_ssl.Method or an encoder, .* and the path of a file"):
            keras_ssl.export(model, path)
    with pytest.raises(ValueError, match="must return one tensor of features. Received: 2 outputs"):
        keras_ssl.export(keras.Model(images, {"a": x, "b": x}), tmp_path / "a.keras")
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="The format keras is a file, but .* is a folder"):
        keras_ssl.export(encoder, tmp_path / "folder.keras")
    with pytest.raises(ValueError, match="The format tf_saved_model is a folder, but .* is a file"):
        keras_ssl.export(encoder, tmp_path / "file")
    keras_ssl.export(encoder, tmp_path / "new" / "folder" / "encoder.keras")
    with pytest.raises(ValueError, match="There is no file"):
        keras_ssl.load(tmp_path / "none.keras")
    whole = (tmp_path / "new" / "folder" / "encoder.keras").read_bytes()
    for content in (b"", b"x", whole[: len(whole) // 2]):
        (tmp_path / "part.keras").write_bytes(content)
        with pytest.raises(ValueError, match=f"is no whole .keras file: it is a file of {len(content)} bytes"):
            keras_ssl.load(tmp_path / "part.keras")
    with pytest.raises(ValueError, match="is no whole .keras file: it is a folder"):
        keras_ssl.load(tmp_path / "folder.keras")


def test_an_encoder_of_any_length_is_tried_on_short_samples(tmp_path):
    series = keras_ssl.encoders.sensor_cnn((None, 3))
    keras_ssl.export(series, tmp_path / "encoder.keras")
    assert saving.example(series).shape == (2, 64, 3)
    sounds = keras_ssl.encoders.audio2vec(widths=(2,), masked=True)
    assert {name: x.shape for name, x in saving.example(sounds).items()} == {
        "audio": (2, 1024), "audio_mask": (2, 1024),
    }  # fmt: skip
    waves = keras_ssl.encoders.cpc_audio(filters=(4,) * 5, context=4, norm="layer")
    keras_ssl.export(waves, tmp_path / "waves.keras")
    assert saving.example(waves).shape == (2, 1024)
    texts = keras.Sequential([keras.Input((None,), dtype="int32"), keras.layers.Embedding(4, 2)])
    assert saving.example(texts).shape == (2, 16)
