"""Evaluation of encoders of every kind of data: the same features however the data comes, masks and ints included."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_ssl import eval as evaluation
from keras_ssl import inputs
from keras_ssl.eval import extraction

N = 24
LABELS = np.arange(N) % 2
rng = np.random.default_rng


def named(**arrays):
    """Inputs by the names of columns: shape and dtype are those of the arrays."""
    return {name: keras.Input(x.shape[1:], dtype=x.dtype.name, name=name) for name, x in arrays.items()}


def videos():
    noise = rng(0).integers(0, 90, (N, 3, 6, 6, 3))
    data = {"video": (noise + 120 * LABELS[:, None, None, None, None]).astype("uint8")}
    clip = keras.Input((3, 6, 6, 3))
    x = layers.Conv3D(4, 3, padding="same")(layers.Rescaling(1 / 255)(clip))
    return data, keras.Model(clip, layers.GlobalAveragePooling3D()(x))


def sounds():
    data = {"audio": rng(1).normal(size=(N, 64)).astype("float32") * (1 + 4 * LABELS[:, None])}
    sound = keras.Input((64,))
    x = layers.Conv1D(4, 8, strides=4, activation="relu")(layers.Reshape((64, 1))(sound))
    return data, keras.Model(sound, layers.GlobalAveragePooling1D()(x))


def series():
    length = rng(2).integers(4, 10, N)
    mask = np.arange(10) < length[:, None]
    x = (rng(3).normal(size=(N, 10, 2)) + 3 * LABELS[:, None, None]).astype("float32")
    data = {"series": np.where(mask[..., None], x, 777), "series_mask": mask}  # what is padded must not count
    given = named(series=np.zeros((1, 10, 2), "float32"), series_mask=mask)
    x = layers.Dense(4)(given["series"])
    return data, keras.Model(given, layers.GlobalAveragePooling1D()(x, mask=given["series_mask"]))


def tokens():
    mask = np.arange(8) < rng(4).integers(3, 9, N)[:, None]
    ids = rng(5).integers(1, 10, (N, 8)) + 10 * LABELS[:, None]
    data = {"token_ids": np.where(mask, ids, 19).astype("int64"), "padding_mask": mask}
    given = named(token_ids=np.zeros((1, 8), "int32"), padding_mask=mask)
    x = layers.Embedding(20, 6)(given["token_ids"])
    return data, keras.Model(given, layers.GlobalAveragePooling1D()(x, mask=given["padding_mask"]))


def graphs():
    mask = np.arange(5) < rng(6).integers(2, 6, N)[:, None]
    nodes = (rng(7).normal(size=(N, 5, 3)) + 2 * LABELS[:, None, None]).astype("float32")
    data = {"nodes": nodes, "edges": rng(8).integers(0, 2, (N, 7, 2)).astype("int32"), "nodes_mask": mask}
    given = named(**data)
    ends = ops.one_hot(given["edges"], 5)  # (batch, edges, 2, nodes)
    near = ops.matmul(ops.transpose(ends[:, :, 0], (0, 2, 1)), ends[:, :, 1])  # (batch, nodes, nodes)
    x = layers.Dense(4)(given["nodes"] + ops.matmul(near, given["nodes"]))
    return data, keras.Model(given, layers.GlobalAveragePooling1D()(x, mask=given["nodes_mask"]))


KINDS = {"video": videos, "audio": sounds, "series": series, "tokens": tokens, "graph": graphs}


@pytest.mark.parametrize("name", KINDS)
def test_features_are_the_same_however_the_data_comes(name, monkeypatch):
    data, encoder = KINDS[name]()
    kind = inputs.kind_of(data)
    assert kind.name == name
    names = inputs.input_names(encoder)
    own = {key: data[key] for key in names} if names else data[kind.column]
    expected = ops.convert_to_numpy(encoder(own))
    slices = tf.data.Dataset.from_tensor_slices
    whole = {**data, "label": LABELS, "seed": np.zeros((N, 2), "int32"), "other": np.array(["text"] * N)}
    kinds = [data, (data, LABELS), whole, slices(whole).batch(7), slices(whole), slices((data, LABELS)).batch(5)]
    if not names:
        kinds += [(data[kind.column], LABELS), slices((data[kind.column], LABELS)), slices(data[kind.column]).batch(7)]
    for some in kinds:
        for numbers in (2**25, 1)[:1 + (some is kinds[3])]:  # in one chunk, and in as many as there are batches
            monkeypatch.setattr(extraction, "PIXELS", numbers)
            rows, labels = evaluation.features(encoder, some, batch_size=5)
            assert rows.dtype == np.float32
            np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)
            assert labels is None or np.array_equal(labels, LABELS)


@pytest.mark.parametrize("name", KINDS)
def test_evaluations_take_the_kind(name):
    data, encoder = KINDS[name]()
    labeled = data, LABELS
    pipeline = tf.data.Dataset.from_tensor_slices({**data, "label": LABELS}).batch(6)
    assert float(evaluation.knn(encoder, labeled, pipeline, k=3)) == pytest.approx(
        float(evaluation.knn(encoder, pipeline, labeled, k=3))
    )
    assert float(evaluation.linear(encoder, labeled, pipeline)) > 0.8
    assert float(evaluation.rank_me(encoder, pipeline, images=12)) == pytest.approx(
        float(evaluation.rank_me(encoder, data, images=12)), rel=1e-4
    )
    assert float(evaluation.semi_supervised(encoder, pipeline, labeled, 0.5, seeds=1)) > 0.7
    double = lambda sample: [sample, sample]
    assert float(evaluation.align_uniform(encoder, data, double)) == pytest.approx(0, abs=1e-6)
    model = keras.Model(encoder.inputs, encoder.outputs)
    model.encoder = encoder
    knn = evaluation.KNN(labeled, pipeline, k=3)
    monitor = evaluation.CollapseMonitor(pipeline.repeat(), augment=double, images=10)
    for callback in (knn, monitor):
        callback.set_model(model)
        callback.set_params({"epochs": 1})
        callback.on_train_begin()
        logs = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that features of a random encoder are few
            callback.on_epoch_end(0, logs)
        assert set(logs) == set(callback.names) and all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("name", KINDS)
def test_fine_tuning_takes_the_kind(name):
    data, encoder = KINDS[name]()
    before = encoder.get_weights()
    labels = np.array([1440764, 1443537])[LABELS]  # ids of classes
    score, model = evaluation.fine_tune(
        encoder, (data, labels), tf.data.Dataset.from_tensor_slices({**data, "label": labels}).batch(7),
        epochs=2, batch_size=8, layer_decay=1.0, learning_rate=0.1, return_model=True,
    )
    assert score.n == N and evaluation.features(model, data)[0].shape == (N, 2)
    for old, new in zip(before, encoder.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_fine_tuning_learns_tokens():
    data, encoder = tokens()
    score = evaluation.fine_tune(
        encoder, (data, LABELS), (data, LABELS), epochs=60, batch_size=8, layer_decay=1.0, learning_rate=1.0
    )
    assert float(score) == 1


def test_pooling_sees_what_is_real_only():
    data, _ = tokens()
    ids, mask = data["token_ids"], data["padding_mask"]
    given = keras.Input((8,), dtype="int32", name="token_ids")
    encoder = keras.Model(given, layers.Embedding(20, 6)(given))
    table = encoder.layers[-1].get_weights()[0][ids]  # (n, 8, 6)
    real = mask[..., None]
    expected = {"mean": (table * real).sum(1) / real.sum(1), "max": np.where(real, table, -np.inf).max(1)}
    for pool, wanted in expected.items():
        rows, labels = evaluation.features(encoder, {**data, "label": LABELS}, pool=pool)
        np.testing.assert_allclose(rows, wanted, atol=1e-6)
        assert np.array_equal(labels, LABELS)
    rows, _ = evaluation.features(encoder, ids, pool="mean")  # without a mask all count
    np.testing.assert_allclose(rows, table.mean(1), atol=1e-6)
    nothing = {"token_ids": ids[:3], "padding_mask": np.zeros_like(mask[:3])}
    for pool in expected:
        np.testing.assert_array_equal(evaluation.features(encoder, nothing, pool=pool)[0], np.zeros((3, 6)))
    own = keras.Sequential([given, layers.Embedding(20, 6, mask_zero=True)])  # a mask that the encoder makes
    ids = np.where(mask, ids, 0)
    table = own.get_weights()[0][ids]
    rows, _ = evaluation.features(own, ids, pool="mean")
    np.testing.assert_allclose(rows, (table * real).sum(1) / real.sum(1), atol=1e-6)
    score = evaluation.knn(evaluation.pooled(encoder, "mean"), (data, LABELS), (data, LABELS), k=3)
    assert float(score) > 0.8


def test_maps_are_pooled():
    images = rng(0).integers(0, 256, (6, 8, 8, 3), "uint8")
    encoder = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    maps = encoder.predict(images.astype("float32"), verbose=0)
    for pool in ("mean", "max"):
        rows, _ = evaluation.features(encoder, images, pool=pool, batch_size=4)
        np.testing.assert_allclose(rows, getattr(maps, pool)(axis=(1, 2)), rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="pooled"):
        evaluation.features(encoder, images)
    with pytest.raises(ValueError, match='pool must be "mean"'):
        evaluation.features(encoder, images, pool="first")


@pytest.mark.parametrize("name", KINDS)
def test_layers_inside_of_an_encoder_of_the_kind(name):
    data, encoder = KINDS[name]()
    real = [layer for layer in encoder.layers if not isinstance(layer, layers.InputLayer)]
    layer = next(layer for layer in reversed(real) if len(layer.output.shape) > 2)
    inside = evaluation.layer_encoder(encoder, layer.name)
    rows, _ = evaluation.features(inside, data)
    np.testing.assert_allclose(rows, evaluation.features(encoder, data)[0], rtol=1e-4, atol=1e-4)


def test_ints_stay_ints():
    seen = []

    class Looking(keras.Model):
        def call(self, x):
            seen.append(keras.backend.standardize_dtype(x.dtype))
            return ops.one_hot(x[:, 0], 4)

    evaluation.features(Looking(), {"token_ids": np.ones((5, 3), "int32")})
    assert set(seen) == {"int32"}


def test_raw_values():
    data, _ = series()
    rows, _ = evaluation.features(None, data)
    np.testing.assert_array_equal(rows, data["series"].reshape(N, -1))
    rows, _ = evaluation.features(None, videos()[0])
    np.testing.assert_allclose(rows, videos()[0]["video"].reshape(N, -1) / 255, rtol=1e-6)
    with pytest.raises(ValueError, match="Without an encoder"):
        evaluation.features(None, tokens()[0])


def gray(rows=16):
    return rng(0).integers(0, 256, (rows, 12, 10), "uint8")


def test_batches_of_rank_3_are_batches():
    slices = tf.data.Dataset.from_tensor_slices
    images = gray()
    flat = images.reshape(16, -1) / np.float32(255)
    for some in (images, slices(images).batch(4), slices({"image": images}).batch(4), slices(images[..., None])):
        np.testing.assert_allclose(evaluation.features(None, some)[0], flat, rtol=1e-6)
    given = keras.Input((12, 10, 1))
    encoder = keras.Model(given, layers.Flatten()(layers.Rescaling(1 / 255)(given)))
    for some in (images, slices(images).batch(4), slices(images), slices(images[..., None]), images[..., None]):
        np.testing.assert_allclose(evaluation.features(encoder, some)[0], flat, rtol=1e-5)


class Shuffled:
    """A pipeline that says of itself that it is not in order."""

    ordered = False

    def __init__(self, dataset):
        self.dataset, self.element_spec = dataset, dataset.element_spec

    def cardinality(self):
        return self.dataset.cardinality()

    def as_numpy_iterator(self):
        return self.dataset.as_numpy_iterator()


def test_what_is_evaluated_is_all_and_in_order():
    data, encoder = sounds()
    ordered = tf.data.Dataset.from_tensor_slices({**data, "label": LABELS}).batch(7)
    pipeline = Shuffled(ordered.shuffle(9).take(2))
    with pytest.raises(ValueError, match="shuffle=False"):
        evaluation.features(encoder, pipeline)
    with pytest.raises(ValueError, match="shuffle=False"):
        evaluation.knn(encoder, ordered, pipeline)
    pipeline.in_order, pipeline.steps = lambda: ordered, [("take", {"count": 2})]
    with pytest.raises(ValueError, match="a part of it"):  # which one is not known
        evaluation.features(encoder, pipeline)
    pipeline.steps = [("map", {}), ("repeat", {})]
    rows, labels = evaluation.features(encoder, pipeline)
    np.testing.assert_array_equal(rows, evaluation.features(encoder, ordered)[0])
    np.testing.assert_array_equal(labels, LABELS)
    assert evaluation.CollapseMonitor(Shuffled(ordered), images=9)  # looks at some only
    monitor = evaluation.CollapseMonitor(Shuffled(ordered), images=9)
    monitor.set_model(encoder)
    monitor.on_train_begin()
    assert len(monitor.sample["audio"]) == 9


def test_pixels_from_0_to_1_are_told():
    data, encoder = videos()
    images = rng(0).random((6, 8, 8, 3))
    image_encoder = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten()])
    for judged, some in ((image_encoder, images), (None, images), (encoder, {"video": data["video"] / 255.0})):
        with pytest.warns(UserWarning, match="0..255"):
            evaluation.features(judged, some)
    with pytest.warns(UserWarning, match="0..255"):
        evaluation.features(image_encoder, tf.data.Dataset.from_tensor_slices({"image": images}).batch(4))
    with pytest.raises(ValueError, match="NaN"):
        evaluation.features(image_encoder, np.full((2, 8, 8, 3), np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation.features(image_encoder, images * 255)
        evaluation.features(sounds()[1], sounds()[0]["audio"].clip(0, 1))  # sounds may be small


def ragged():
    return tf.data.Dataset.from_generator(
        lambda: ({"image": np.zeros((8 + i, 8, 3), "uint8")} for i in range(4)),
        output_signature={"image": tf.TensorSpec((None, 8, 3), "uint8")},
    )


def any_size():
    given = keras.Input((None, None, 3))
    return keras.Model(given, layers.GlobalAveragePooling2D()(given))


@pytest.mark.parametrize("make, match", [
    (lambda: evaluation.features(any_size(), ragged()), "one size"),
    (lambda: evaluation.features(any_size(), [np.zeros((8, 8, 3)), np.zeros((9, 8, 3))] * 2), "several sizes"),
    (lambda: evaluation.features(tokens()[1], {"token_ids": tokens()[0]["token_ids"]}), "Missing: .'padding_mask'"),
    (lambda: evaluation.features(tokens()[1], tokens()[0]["token_ids"]), "takes a dict"),
    (lambda: evaluation.features(series()[1], {**series()[0], "series_mask": np.ones((3, 10), bool)}), "same number"),
    (lambda: evaluation.features(sounds()[1], np.zeros((3, 60), "float32")), "resize or pad"),
    (lambda: evaluation.features(sounds()[1], {"video": videos()[0]["video"]}), "resize or pad"),
    (lambda: evaluation.linear_features(np.eye(3), [1, 1, 1], np.eye(3), [1, 1, 1]), "two classes"),
    (lambda: evaluation.mlp_probe_features(np.eye(3), [1, 1, 1], np.eye(3), [1, 1, 1]), "two classes"),
    (lambda: evaluation.knn_features(np.eye(3), [1, 1, 1], np.eye(3), [1, 1, 1]), "two classes"),
    (lambda: evaluation.retrieval_features(np.eye(3), [1, 1, 1]), "two classes"),
    (lambda: evaluation.fine_tune(sounds()[1], (sounds()[0], 0 * LABELS), (sounds()[0], LABELS)), "two classes"),
])  # fmt: skip
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_labels_that_are_ids_are_as_good_as_numbers():
    generator = rng(0)
    x, y = generator.normal(size=(80, 8)).astype("float32"), np.arange(80) % 4
    x += 1.5 * np.eye(4, 8)[y].astype("float32")
    ids = np.array([3, 1443537, 1440764, 2**40])  # not in ascending order
    for name, options in (("knn_features", {"k": 3}), ("linear_features", {}), ("mlp_probe_features", {"epochs": 1})):
        judge = getattr(evaluation, name)
        number = np.argsort(np.argsort(ids))  # the same classes, numbered in the order of the ids
        assert judge(x[:50], ids[y[:50]], x[50:], ids[y[50:]], **options) == judge(
            x[:50], number[y[:50]], x[50:], number[y[50:]], **options
        )
    score = evaluation.knn_features(x[:50], ids[y[:50]], x[:50], ids[y[:50]] + 1, k=1)
    assert float(score) == 0  # classes that no training sample has
