"""TPN: arXiv 1907.11879."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import inputs, recipes
from tests import cases, kinds
from tests.reference.losses import gradient

LENGTH = 20


def samples(count):
    return {"series": kinds.smooth(np.random.default_rng(0), count, LENGTH, 3)}


def encoder():
    return keras_ssl.encoders.conv1d((None, 3), filters=(8,), kernels=(5,), norm=None, pooling="max")


CASE = cases.Case({"hidden": 8}, encoder, keras_ssl.augment.tpn, kind=inputs.SERIES, samples=samples)


def cross_entropies(whole, transformed):
    """Of one task, sample after sample, from logits `(batch,)`."""
    probability = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    found = [np.log(1 - probability(x)) for x in whole] + [np.log(probability(x)) for x in transformed]
    return -np.mean(found)


def means(features=3):
    """An encoder of one weight a channel."""
    series = keras.Input((None, features))
    return keras.Model(series, keras.layers.GlobalAveragePooling1D()(series))


def test_the_loss_is_the_papers_in_value_and_gradient():
    draws = np.random.default_rng(1)
    views = [draws.normal(size=(4, 6, 3)).astype("float32") for _ in range(3)]
    model = keras_ssl.TPN(means(), tasks=("a", "b"), hidden=5)
    weights = [[np.float64(w) for w in head.get_weights()] for head in model.heads]

    def logits(x, task):
        kernel, bias, last, offset = weights[task]
        return (np.maximum(x.mean(axis=1) @ kernel + bias, 0) @ last + offset)[:, 0]

    def loss(first):
        return sum(cross_entropies(logits(first, task), logits(np.float64(views[1 + task]), task)) for task in (0, 1))

    given = [tf.constant(view) for view in views]
    with tf.GradientTape() as tape:
        tape.watch(given)
        outputs = model({"views": given}, training=True)
    assert float(outputs["loss"]) == pytest.approx(loss(np.float64(views[0])), rel=1e-5)
    np.testing.assert_allclose(
        tape.gradient(outputs["loss"], given)[0], gradient(loss, np.float64(views[0])), atol=1e-6
    )
    for task, name in enumerate("ab"):
        right = [*(logits(views[0], task) <= 0), *(logits(views[1 + task], task) > 0)]
        assert float(outputs[f"accuracy_{name}"]) == pytest.approx(np.mean(right))


def test_a_head_sees_its_own_transformation_only():
    views = [tf.constant(np.random.default_rng(i).normal(size=(4, 6, 3)).astype("float32")) for i in range(3)]
    model = keras_ssl.TPN(means(), tasks=("a", "b"), hidden=5)
    before = model({"views": views}, training=True)
    after = model({"views": [views[0], views[1], 3 * views[2]]}, training=True)
    assert float(before["accuracy_a"]) == float(after["accuracy_a"])
    with tf.GradientTape() as tape:
        loss = model({"views": views}, training=True)["loss"]
    first = tape.gradient(loss, model.heads[0].trainable_variables)
    with tf.GradientTape() as tape:
        loss = model({"views": [views[0], views[1], 3 * views[2]]}, training=True)["loss"]
    for one, other in zip(first, tape.gradient(loss, model.heads[0].trainable_variables)):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_the_loss_of_no_answer_is_that_of_chance():
    model = keras_ssl.TPN(means(), keras_ssl.augment.tpn())
    for head in model.heads:
        head.set_weights([0 * w for w in head.get_weights()])
    assert float(model(samples(4), training=True)["loss"]) == pytest.approx(8 * np.log(2))


def test_views_are_as_many_as_the_tasks_and_the_original():
    views = tuple(np.zeros((2, 6, 3), "float32") for _ in range(3))
    with pytest.raises(ValueError, match="TPN takes 9 views of each sample. Received: 3"):
        keras_ssl.TPN(means())({"views": views}, training=True)
    with pytest.raises(ValueError, match="tasks must be one or more different names"):
        keras_ssl.TPN(means(), tasks=("a", "a"))


def test_every_task_is_learned_on_walking():
    """Gravity on one axis, and a step with a slow rise and a quick fall: signs, directions and times can be told."""
    draws = np.random.default_rng(0)
    phase = (np.arange(96) / 21 + draws.uniform(size=(128, 1))) % 1
    step = np.where(phase < 0.7, phase / 0.7, (1 - phase) / 0.3)
    walk = np.stack([step, 0.4 * np.roll(step, 6, axis=1), 2 + 0.3 * np.sin(2 * np.pi * phase)], axis=2)
    keras.utils.set_random_seed(0)
    options = {"filters": (16, 16), "kernels": (9, 9), "strides": (3, 2), "norm": None, "pooling": "max"}
    trunk = keras_ssl.encoders.conv1d((None, 3), **options)
    model = keras_ssl.TPN(trunk, keras_ssl.augment.tpn(), hidden=32)
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    windows = keras_ssl.data.arrays({"series": walk.astype("float32")}, 32)
    history = model.fit(windows, epochs=25, verbose=0).history
    accuracies = {task: np.mean(history[f"accuracy_{task}"][-5:]) for task in model.tasks}
    assert min(accuracies.values()) > 0.6 and np.mean(list(accuracies.values())) > 0.8, accuracies


def test_the_encoder_is_the_papers():
    for channels, count in ((3, 84_416), (6, 86_720)):
        encoder = keras_ssl.encoders.sensor_cnn((None, channels))
        assert encoder.count_params() == count
    convolutions = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv1D)]
    assert [(x.filters, x.kernel_size[0], x.padding) for x in convolutions] == [
        (32, 24, "valid"), (64, 16, "valid"), (96, 8, "valid"),
    ]  # fmt: skip
    assert all(isinstance(x.kernel_initializer, keras.initializers.GlorotUniform) for x in convolutions)
    assert [layer.rate for layer in encoder.layers if isinstance(layer, keras.layers.Dropout)] == [0.1] * 3
    squares = sum(float(np.sum(np.square(x.kernel))) for x in convolutions)
    assert float(sum(encoder.losses)) == pytest.approx(1e-4 * squares, rel=1e-5)
    with pytest.raises(ValueError, match="input_shape must have 46 steps at least"):
        keras_ssl.encoders.sensor_cnn((45, 6))
    x = np.random.default_rng(0).normal(size=(2, 60, 6)).astype("float32")
    longer = np.concatenate([x, x, x], axis=1)
    assert (np.asarray(encoder(longer)) >= np.asarray(encoder(x)) - 1e-6).all()  # the maximum over time


def test_the_recipe_takes_the_mask_that_the_series_have():
    """What is padded has no part in the features: a recipe that let it in would not say so."""
    columns = {"series": np.random.default_rng(0).normal(size=(4, 64, 6)).astype("float32")}
    columns["series_mask"] = np.arange(64) < np.array([64, 40, 64, 50])[:, None]
    for data, masked in ((columns, True), (keras_ssl.data.arrays(columns, 2), True), (columns["series"], False)):
        details = {"in_order": lambda data=data: data, "kind": inputs.SERIES}
        model, _ = recipes.make("TPN", recipes.Run((64, 6), 4, 2, 2, 1, "sensor_cnn", **details))
        assert ("series_mask" in (inputs.input_names(model.encoder) or ())) == masked
        if masked:
            other = {**columns, "series": np.where(columns["series_mask"][..., None], columns["series"], 9.0)}
            found = [keras_ssl.eval.features(model.encoder, one)[0] for one in (columns, other)]
            np.testing.assert_allclose(*found, atol=1e-6)
