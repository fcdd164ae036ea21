"""SimCLR v2: arXiv 2006.10029."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses
from tests import cases
from tests.reference import losses as reference
from tests.test_losses import value_and_gradient, vectors

CASE = cases.Case({"hidden": 16, "dim": 8, "temperature": 0.5, "queue_size": 20, "momentum": 0.9})

FEATURES = 3 * 3 * 6


def encoder(seed=0):
    keras.utils.set_random_seed(seed)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    synchronized = keras_ssl.distribute.replicas() > 1
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=synchronized)(x)
    return keras.Model(images, keras.layers.Flatten()(keras.layers.ReLU()(x)))


def student(seed=0, classes=4):
    inner = encoder(seed)
    return keras.Sequential([inner, keras.layers.Dense(classes)])


def view(batch=6, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 8, 8, 3)).astype("float32")


def weights(model):
    return [w.copy() for w in model.get_weights()]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# The loss with a memory


def nt_xent_with_queue(first, second, queue, temperature):
    views = [*first, *second]
    n, found = len(first), []
    for i, anchor in enumerate(views):
        similarity = [reference.cosine(anchor, other) for j, other in enumerate(views) if j != i]
        similarity += [reference.cosine(anchor, entry) for entry in queue]
        partner = reference.cosine(anchor, views[(i + n) % (2 * n)])
        found.append(np.log(np.sum(np.exp(np.array(similarity) / temperature))) - partner / temperature)
    return np.mean(found)


@pytest.mark.parametrize("batch, size, temperature", [(2, 1, 0.5), (4, 7, 0.1)])
def test_the_loss_with_a_queue_equals_the_loop(batch, size, temperature):
    a, b, queue = vectors(batch, 5), vectors(batch, 5, seed=1), vectors(size, 5, seed=2)
    queue /= np.linalg.norm(queue, axis=-1, keepdims=True)
    value, (slope_a, slope_b, none) = value_and_gradient(
        lambda x, y, q: losses.nt_xent(x, y, temperature, queue=q), a, b, queue
    )
    assert value == pytest.approx(nt_xent_with_queue(a, b, queue, temperature), rel=1e-5)
    expected = reference.gradient(lambda x: nt_xent_with_queue(x, b, queue, temperature), a)
    np.testing.assert_allclose(slope_a, expected, atol=1e-5)
    expected = reference.gradient(lambda x: nt_xent_with_queue(a, x, queue, temperature), b)
    np.testing.assert_allclose(slope_b, expected, atol=1e-5)
    assert none is None
    empty, _ = value_and_gradient(lambda x, y: losses.nt_xent(x, y, temperature, queue=np.zeros((0, 5))), a, b)
    assert empty == pytest.approx(reference.nt_xent(a, b, temperature), rel=1e-5)


# Pretraining


@pytest.mark.parametrize("hidden, depth", [(None, 3), (7, 4), (None, 1)])
def test_projector_is_the_authors(hidden, depth):
    model = keras_ssl.SimCLRv2(encoder(), hidden=hidden, depth=depth)
    *hiddens, last, norm = model.projector.layers
    assert [type(layer).__name__ for layer in hiddens] == ["Dense", "BatchNormalization", "ReLU"] * (depth - 1)
    for dense, centered in zip(hiddens[::3], hiddens[1::3]):
        assert dense.units == (hidden or FEATURES) and not dense.use_bias and centered.center
    assert last.units == 128 and not last.use_bias and norm.scale and not norm.center


def test_without_memory_it_is_simclr_with_a_deeper_projector():
    model = keras_ssl.SimCLRv2(encoder(), dim=5, depth=2, temperature=0.5)
    simclr = keras_ssl.SimCLR(encoder(), dim=5, temperature=0.5)
    simclr.projector = model.projector
    batch = {"views": (view(), view(seed=1))}
    assert float(model(batch, training=True)["loss"]) == pytest.approx(float(simclr(batch, training=True)["loss"]))
    assert model.memory is None and not [v for v in model.variables if "entries" in v.path]


def test_the_memory_holds_the_keys_of_both_views_after_the_step():
    model = keras_ssl.SimCLRv2(encoder(), dim=5, queue_size=14, momentum=0.7)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    batch = {"views": (view(), view(seed=1))}
    before = model.memory.entries.numpy()
    network = weights(model.memory_network)
    images = np.concatenate(batch["views"])
    keys = losses.contrastive.unit(model.memory_network(images, training=True)).numpy()
    model.memory_network.set_weights(network)
    student = [v.numpy() for v in model.projected.trainable_variables]
    model.train_on_batch(batch)
    np.testing.assert_allclose(model.memory.entries[:12], keys, atol=1e-5)
    np.testing.assert_array_equal(model.memory.entries[12:], before[12:])
    followers = [v for v in model.memory_network.weights if "moving" not in v.path]
    for slow, old, new in zip(followers, student, model.projected.trainable_variables, strict=True):
        np.testing.assert_allclose(slow, 0.7 * old + 0.3 * new.numpy(), atol=1e-6, err_msg=slow.path)


def test_two_replicas_fill_the_memory_in_the_order_of_one(two_replicas):
    found = []
    for scope in (contextlib.nullcontext(), two_replicas.scope()):
        with scope:
            keras.utils.set_random_seed(1)
            model = keras_ssl.SimCLRv2(encoder(), dim=5, queue_size=40)
            model.compile(optimizer=keras.optimizers.SGD(0.0))
        data = tf.data.Dataset.from_tensor_slices({"views": (view(13), view(13, 1))}).batch(8)  # 4 + 4, then 3 + 2
        model.fit(data, verbose=0)
        assert int(model.memory.pointer.numpy()) == 26
        found.append(model.memory.entries.numpy())
    np.testing.assert_allclose(*found, atol=1e-4)


# Fine-tuning


def test_the_classifier_keeps_the_first_layers_of_the_projector():
    model = keras_ssl.SimCLRv2(encoder(), hidden=7, dim=5)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    model.train_on_batch({"views": (view(), view(seed=1))})  # statistics and scales unlike those of the start
    images = view(seed=2)
    x = model.encoder(images, training=False)
    expected = [x]
    for index, part in enumerate(model.projector.layers):
        x = part(x, training=False)
        if index in (2, 5, 7):  # after each ReLU, and the embedding
            expected.append(x)
    for layer, units in enumerate((FEATURES, 7, 7, 5)):
        classifier = model.classifier(3, layer=layer)
        dense = [part for part in classifier.layers if isinstance(part, keras.layers.Dense)]
        assert len(dense) == layer + 1 and dense[-1].kernel.shape == (units, 3)
        assert not np.any(dense[-1].kernel) and not np.any(dense[-1].bias)  # starts from zero
        kept = keras.Model(classifier.input, classifier.get_layer("logits").input)
        np.testing.assert_allclose(kept(images), expected[layer], atol=1e-5)
    assert np.any(model.classifier(3, zero_init=False).get_layer("logits").kernel)


def test_the_classifier_is_a_copy_that_trains_whole():
    model = keras_ssl.SimCLRv2(encoder(), dim=5)
    before = weights(model)
    classifier = model.classifier(3)
    start = weights(classifier)
    classifier.compile(optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(True))
    classifier.fit(view(8), np.arange(8) % 3, epochs=2, verbose=0)
    assert same(weights(model), before)
    assert all(not np.array_equal(a, b) for a, b in zip(start, weights(classifier)))
    assert len(classifier.trainable_variables) == 4 + 3 + 2


def test_the_classifier_of_half_precision_returns_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    classifier = keras_ssl.SimCLRv2(encoder(), dim=5).classifier(3, zero_init=False)
    assert classifier(view()).dtype == "float32"
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(loaded(view()), classifier(view()))


@pytest.mark.parametrize("layer", [-1, 4, 1.0])
def test_a_layer_that_is_not_there(layer):
    with pytest.raises(ValueError, match=f"to depth=3. Received: layer={layer}"):
        keras_ssl.SimCLRv2(encoder()).classifier(3, layer=layer)


# Distillation


def distiller(**options):
    defaults = {"augment": None, "teacher": student(1), "temperature": 0.5}
    return keras_ssl.SimCLRv2Distiller(student(), **{**defaults, **options})


def probabilities(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def log_probabilities(model, images, temperature, training):
    state = weights(model)
    logits = model(images, training=training).numpy().astype("float64") / temperature
    model.set_weights(state)
    return np.log(probabilities(logits))


@pytest.mark.parametrize("temperature, alpha", [(1.0, 1.0), (0.1, 1.0), (0.5, 0.3), (1.0, 0.0)])
def test_distillation_is_the_formula(temperature, alpha):
    model = distiller(temperature=temperature, alpha=alpha)
    images, labels = view(), np.array([0, -1, 2, -1, -1, 3], "int32")
    of_teacher = np.exp(log_probabilities(model.teacher, images, temperature, training=False))
    of_student = log_probabilities(model.encoder, images, temperature, training=True)
    plain = log_probabilities(model.encoder, images, 1.0, training=True)
    soft = hard = 0.0
    for i, label in enumerate(labels):
        soft -= sum(of_teacher[i, c] * of_student[i, c] for c in range(4)) / len(labels)
        hard -= plain[i, label] / len(labels) if label >= 0 else 0.0
    outputs = model({"views": (images,), "label": labels}, training=True)
    assert float(outputs["loss"]) == pytest.approx(alpha * soft + (1 - alpha) * hard, rel=1e-4)
    if alpha < 1:
        assert float(outputs["supervised"]) == pytest.approx(hard, rel=1e-4)
        assert float(outputs["distillation"]) == pytest.approx(soft, rel=1e-4)


def test_the_loss_is_least_where_the_student_agrees():
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    model = distiller()
    model.teacher, entropy = lambda images, training: tf.constant(logits), 0.0
    p = probabilities(logits / 0.5)
    entropy = -np.mean(np.sum(p * np.log(p), axis=1))

    def loss(offset):
        model.encoder = lambda images, training: tf.constant(logits + offset)
        return float(model.objective([view()]))

    assert loss(0.0) == pytest.approx(entropy, rel=1e-5)
    rng = np.random.default_rng(1)
    assert all(loss(rng.normal(size=(6, 4)).astype("float32")) > entropy + 1e-3 for _ in range(5))


def test_the_teacher_gets_no_gradient_and_never_moves():
    teacher = student(1)
    model = distiller(teacher=teacher, alpha=0.5)
    before = weights(teacher)
    with tf.GradientTape() as tape:
        tape.watch([v.value for v in model.teacher.variables if "float" in v.dtype])
        loss = model({"views": (view(),), "label": np.arange(6) % 4}, training=True)["loss"]
    trained = {id(v) for v in model.encoder.trainable_variables}
    assert {id(v) for v in model.trainable_variables} == trained
    gradients = tape.gradient(loss, [v.value for v in [*model.trainable_variables, *model.teacher.weights]])
    for gradient in gradients[: len(trained)]:
        assert np.abs(gradient).max() > 0
    assert gradients[len(trained) :] == [None] * len(model.teacher.weights)
    model.compile(optimizer=keras.optimizers.SGD(0.5))
    model.fit({"views": (view(),), "label": np.arange(6) % 4}, verbose=0)
    assert same(weights(model.teacher), before) and same(weights(teacher), before)
    assert teacher.trainable_variables  # the caller's is not frozen


def test_the_student_comes_to_agree_with_the_teacher():
    model = distiller(temperature=1.0)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    images = view(32)
    model.teacher.layers[-1].kernel.assign(4 * model.teacher.layers[-1].kernel)
    answers = np.argmax(model.teacher(images), axis=1)
    before = np.mean(np.argmax(model.predict(images, verbose=0), axis=1) == answers)
    model.fit({"views": (images,)}, epochs=40, verbose=0)
    assert np.mean(np.argmax(model.encoder(images, training=True), axis=1) == answers) > max(0.9, before)


def test_a_distillation_that_was_stopped_goes_on(tmp_path):
    data = {"views": (view(8),), "label": np.arange(8) % 5 - 1}
    runs = []
    for stop in (False, True):
        model = distiller(alpha=0.5)
        model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
        model.fit(data, shuffle=False, batch_size=4, verbose=0)
        if stop:
            model.save(tmp_path / "run.keras")
            model = keras_ssl.load(tmp_path / "run.keras")
        model.fit(data, shuffle=False, batch_size=4, verbose=0)
        runs.append(weights(model))
    assert same(*runs)
    exported = keras_ssl.export(model, tmp_path / "student.keras")
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "student.keras")(view()), exported(view()), atol=1e-6
    )


def test_two_replicas_distil_as_one(two_replicas):
    found = []
    for scope in (contextlib.nullcontext(), two_replicas.scope()):
        with scope:
            model = distiller(alpha=0.4)
            model.compile(optimizer=keras.optimizers.SGD(0.1))
        columns = {"views": (view(8),), "label": np.array([-1, -1, 0, -1, 2, 3, 1, 0])}  # unequal shares of labels
        losses = model.fit(tf.data.Dataset.from_tensors(columns), epochs=2, verbose=0).history["loss"]
        found.append([*[v.numpy() for v in model.trainable_variables], losses])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_distillation_in_half_precision(policy):
    expected = float(distiller()({"views": (view(),)}, training=True)["loss"])
    keras.config.set_dtype_policy(policy)
    model = distiller()
    model.compile(optimizer=keras.optimizers.SGD(0.05))
    assert float(model({"views": (view(),)}, training=True)["loss"]) == pytest.approx(expected, rel=0.03)
    assert np.isfinite(model.fit({"views": (view(),)}, epochs=2, verbose=0).history["loss"]).all()


def test_errors_say_what_came():
    with pytest.raises(ValueError, match=r"logits of shape \(None, 4\).*Received: \(None, 3\)"):
        distiller(teacher=student(classes=3))
    with pytest.raises(ValueError, match="Received: None"):
        distiller(teacher=None)
    with pytest.raises(ValueError, match="alpha must be from 0 to 1. Received: alpha=1.5"):
        distiller(alpha=1.5)
    with pytest.raises(ValueError, match="needs the column 'label'"):
        distiller(alpha=0.5)({"views": (view(),)}, training=True)
