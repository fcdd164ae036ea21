"""DINO: arXiv 2104.14294."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from tests import cases
from tests.reference import clustering as reference

CASE = cases.Case(
    {
        "hidden": 16, "bottleneck": 8, "dim": 12, "temperature": 0.5, "teacher_temperature": 0.4,
        "warmup_temperature": 0.2, "warmup": 6, "momentum": 0.9, "steps": 20,
    },
    encoder=cases.small_vit, views=cases.multi_crop, base=True,
)


def any_size_encoder():
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def make(optimizer=None, encoder=None, **options):
    options = {"hidden": 12, "bottleneck": 6, "dim": 10, "momentum": 0.9} | options
    model = keras_ssl.DINO(encoder or any_size_encoder(), **options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.2), run_eagerly=True)
    return model


def crops(seed=0, batch=6):
    draw = np.random.default_rng(seed)
    return [draw.uniform(0, 255, (batch, side, side, 3)).astype("float32") for side in (8, 8, 6, 6, 6)]


def train(model, *views):
    return float(model.train_on_batch({"views": views}))


def outputs(encoder, head, prototypes, views):
    """The outputs (views, batch, dim) of a network, each size of views in one batch."""
    sizes = [view.shape[1] for view in views]
    groups = [np.concatenate([v for v in views if v.shape[1] == side]) for side in dict.fromkeys(sizes)]
    z = head(np.concatenate([encoder(images, training=True) for images in groups]), training=True).numpy()
    kernel = prototypes.kernel.numpy()
    return (z @ (kernel / np.linalg.norm(kernel, axis=0))).reshape(len(views), -1, kernel.shape[1])


def of_student(model, views):
    return outputs(model.encoder, model.head, model.prototypes, views)


def of_teacher(model, views):
    encoder, head = model.teacher.layers[1:]
    return outputs(encoder, head, model.teacher_prototypes, views[:2])


def test_the_loss_is_the_papers_and_the_center_follows_the_teacher():
    model = make(center_momentum=0.7, teacher_temperature=0.08, warmup_temperature=0.03, warmup=3)
    center = np.zeros(10)
    for step in range(5):
        views = crops(step)
        student, teacher = of_student(model, views), of_teacher(model, views)
        temperature = 0.03 + 0.05 * min(step / 3, 1)
        sharp = [[reference.softmax((row - center) / temperature) for row in view] for view in teacher]
        np.testing.assert_allclose(model.center, center, atol=1e-5)
        expected = reference.swapped_prediction(sharp, student, 0.1)
        assert train(model, *views) == pytest.approx(expected, rel=1e-3), step
        center = 0.7 * center + 0.3 * teacher.reshape(-1, 10).mean(axis=0)
    np.testing.assert_allclose(model.center, center, atol=1e-5)


def test_the_loss_of_two_views_is_the_mean_of_two_cross_entropies():
    model = make()
    views = crops()[:2]
    student, teacher = of_student(model, views), of_teacher(model, views)
    sharp = [[reference.softmax(row / 0.04) for row in view] for view in teacher]
    one, two = (reference.cross_entropy(sharp[i], student[1 - i], 0.1) for i in range(2))
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx((one + two) / 2, rel=1e-4)


def test_it_starts_near_the_logarithm_of_the_outputs():
    # The outputs have a standard deviation of 1 / 16: with equal ones of teacher and student the loss is
    # log K + (1 / 16)^2 * (1 / (2 * 0.1^2) - 1 / (0.1 * temperature)), with unlike ones the last part is missing.
    model = keras_ssl.DINO(any_size_encoder(), teacher_temperature=0.07)  # the paper's head
    assert model.prototypes.kernel.shape == (256, 65536)
    assert float(model({"views": crops(batch=2)}, training=True)["loss"]) == pytest.approx(np.log(65536), abs=0.3)
    model.teacher_temperature = 0.04
    loss = float(model({"views": crops(batch=2)}, training=True)["loss"])
    assert -0.8 < loss - np.log(65536) < 0.2


def test_the_teacher_sees_global_views_only_and_gets_no_gradient():
    model = make()
    shapes, call = [], model.teacher.call

    def counted(images, *args, **kwargs):
        shapes.append(tuple(images.shape))
        return call(images, *args, **kwargs)

    model.teacher.call = counted
    frozen = [v.value for v in (*model.teacher.weights, *model.teacher_prototypes.weights, model.center)]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        loss = model({"views": crops()}, training=True)["loss"]
    assert shapes == [(12, 8, 8, 3)]
    assert tape.gradient(loss, frozen) == [None] * len(frozen)


def test_the_teacher_follows_along_a_cosine():
    model = make(momentum=0.6, steps=4)

    def pairs():
        slow = [*model.teacher.weights, *model.teacher_prototypes.weights]
        fast = [*model.student.weights, *model.prototypes.weights]
        return [(s, f) for s, f in zip(slow, fast, strict=True) if "moving" not in f.path]

    expected = [slow.numpy() for slow, _ in pairs()]
    for step in range(6):
        train(model, *crops(step))
        tau = 1 - (1 - 0.6) * (np.cos(np.pi * min(step / 4, 1)) + 1) / 2
        expected = [tau * old + (1 - tau) * fast.numpy() for old, (_, fast) in zip(expected, pairs())]
        for (slow, _), value in zip(pairs(), expected):
            np.testing.assert_allclose(slow, value, atol=1e-5, err_msg=f"step {step}: {slow.path}")


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [False, True])
def test_the_last_layer_is_frozen_at_first(decay, momentum):
    if momentum:
        optimizer = keras_ssl.optimizers.SGD(0.1, momentum=0.9, weight_decay=decay)
    else:
        optimizer = keras_ssl.optimizers.AdamW(0.01, weight_decay=decay)
    model = make(optimizer, freeze_steps=3)
    start = model.prototypes.kernel.numpy()
    directions = start / np.linalg.norm(start, axis=0)
    for step in range(5):
        with tf.GradientTape() as tape:
            loss = model({"views": crops(step)}, training=True)["loss"]
        slopes = tape.gradient(loss, [model.prototypes.kernel.value, model.head.weights[0].value])
        assert (np.abs(slopes[0]).max() == 0) == (step < 3) and np.abs(slopes[1]).max() > 0
        train(model, *crops(step))
        kernel = model.prototypes.kernel.numpy()
        if step < 3 and not decay:
            np.testing.assert_array_equal(kernel, start)
        moved = np.abs(kernel / np.linalg.norm(kernel, axis=0) - directions).max()
        assert moved < 1e-6 if step < 3 else moved > 1e-5


def entropies_in_training(**options):
    """The entropy of the teacher's mean output, the mean of its entropies, and that of the student's, in parts of
    log K: before training, the mean of those after 30, 60 and 90 steps, and the last of these.
    """
    keras.utils.set_random_seed(0)
    model = make(bottleneck=16, dim=16, **options)
    model.compile(optimizer=keras.optimizers.Adam(0.003))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (32, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    found = []
    for step in range(91):
        if step % 30 == 0:
            images = [smooth.astype("float32")]
            logits = of_teacher(model, images)[0] - model.center.numpy()
            p = np.array([reference.softmax(row / model.teacher_temperature) for row in logits])
            student = np.array([reference.softmax(row / 0.1) for row in of_student(model, images)[0]])
            outputs = p.mean(axis=0), p, student
            found.append([-np.mean(np.sum(x * np.log(x + 1e-30), axis=-1)) / np.log(16) for x in outputs])
        light, noise = draw.uniform(0.7, 1.3, (2, 32, 1, 1, 3)), draw.normal(0, 20, (2, *smooth.shape))
        train(model, *(smooth * light + noise).astype("float32"))
    return found[0], np.mean(found[1:], axis=0), found[-1]


def test_centering_and_sharpening_keep_it_from_collapse():
    _, (mean, single, _), _ = entropies_in_training()
    assert mean > 0.2 and single < 0.9
    _, _, (mean, single, _) = entropies_in_training(batch_norm=True, momentum=0.99)  # tells these few images apart
    assert mean > 0.7 and single < 0.4  # all outputs in use, one for each image


def test_without_centering_one_output_wins():
    (mean, *_), _, (end, *_) = entropies_in_training(center_momentum=1.0)
    assert mean > 0.4 and end < 0.01


def test_without_sharpening_all_outputs_are_alike():
    """Centering alone. With neither, the targets are no sharper than the student, and any constant output is stable."""
    start, _, end = entropies_in_training(teacher_temperature=0.1)  # the student's
    assert max(start[1:]) < 0.7 and min(end[1:]) > 0.85


def test_drop_path_acts_in_the_student_only():
    keras.utils.set_random_seed(0)
    encoder = encoders.vit((None, None, 3), patch=2, width=8, depth=2, heads=2, grid=4, drop_path=0.9)
    model = make(encoder=encoder)
    images = crops()[0]
    first, second = (model.teacher(images, training=True).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, model.student(images, training=False), atol=1e-5)
    assert np.abs(model.student(images, training=True) - first).max() > 1e-3
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.teacher(images, training=True), first, atol=1e-6)
    assert np.isfinite(train(model, *crops()))


def test_views_of_another_size_need_an_encoder_that_takes_them():
    encoder = encoders.vit((8, 8, 3), patch=2, width=8, depth=1, heads=2)
    with pytest.raises(ValueError, match=r"takes images of shape \(8, 8, 3\) and a view has \(6, 6, 3\)"):
        train(make(encoder=encoder), *crops())
    assert np.isfinite(train(make(encoder=encoder), *crops()[:2]))
