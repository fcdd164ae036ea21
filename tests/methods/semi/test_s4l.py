"""S4L: arXiv 1905.03670."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import augment, losses
from keras_ssl.methods.semi import s4l
from tests import cases, semi
from tests.reference import pretext
from tests.reference import semi as reference
from tests.test_distribute import on_replicas

CASE = semi.case(vat_weight=0.3, entropy_weight=0.3, epsilon=2.0, xi=0.3, momentum=0.9)


def batch(labels=semi.LABELS):
    return {"views": (semi.images(), semi.groups()), "label": labels}


def turned(images):
    return np.concatenate([np.rot90(images, turns, axes=(1, 2)) for turns in range(4)])


def test_the_objective_is_that_of_the_code():
    """All rotations in one batch; the loss of the angles is the mean of those of labeled and of unlabeled images."""
    model, twin = semi.make("S4L", weight=0.7, class_weight=0.3), semi.make("S4L")
    x = np.concatenate([turned(semi.images()), turned(semi.images(16, seed=1))])
    features = twin.encoder(x, training=True)
    logits = np.asarray(twin.classifier(features), "float64")[:32]
    answers = np.asarray(twin.head(features), "float64")
    parts = [pretext.classification(answers[:32], np.repeat(range(4), 8))[0]]
    parts += [pretext.classification(answers[32:], np.repeat(range(4), 16))[0]]
    found = model(batch(), training=True)
    supervised = semi.cross_entropy(logits, np.tile(semi.LABELS, 4))
    assert float(found["supervised"]) == pytest.approx(supervised, rel=1e-5)
    assert float(found["unsupervised"]) == pytest.approx(np.mean(parts), rel=1e-5)
    assert float(found["loss"]) == pytest.approx(0.3 * supervised + 0.7 * np.mean(parts), rel=1e-5)
    right = answers.argmax(axis=1) == np.r_[np.repeat(range(4), 8), np.repeat(range(4), 16)]
    assert float(found["task_accuracy"]) == pytest.approx((right[:32].mean() + right[32:].mean()) / 2)


def test_the_last_layers_start_as_in_the_code():
    model = semi.make("S4L")
    for layer in (model.classifier.layers[0], model.head.layers[0]):
        assert isinstance(layer.kernel_initializer, keras.initializers.GlorotUniform) and layer.use_bias


def test_unlabeled_images_alone_train_the_encoder():
    model = semi.make("S4L")
    with tf.GradientTape() as tape:
        found = model(batch(np.full(8, -1)), training=True)
    slope = tape.gradient(found["loss"], model.encoder.trainable_variables[0].value)
    assert float(found["supervised"]) == 0 and np.abs(slope).max() > 0


def test_a_weight_of_0_leaves_the_loss_of_rotated_labeled_images():
    """Unlabeled ones are still among the statistics of the batch."""
    model, twin = semi.make("S4L", weight=0.0), semi.make("S4L")
    x = np.concatenate([turned(semi.images()), turned(semi.images(16, seed=1))])
    with tf.GradientTape(persistent=True) as tape:
        logits = twin.network(x, training=True)[:32]
        known = np.tile(semi.LABELS, 4) >= 0
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(np.tile(semi.LABELS, 4)[known], logits[known])
        expected, found = tf.reduce_mean(each), model(batch(), training=True)["loss"]
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    weights = zip(model.network.trainable_variables, twin.network.trainable_variables)
    for own, other in weights:
        slope = tape.gradient(found, own.value)
        np.testing.assert_allclose(slope, tape.gradient(expected, other.value), rtol=1e-3, atol=1e-6)


def test_the_hardest_triplets_are_the_loop():
    views = np.random.default_rng(0).normal(size=(5, 3, 4))
    with tf.GradientTape() as tape:
        x = tf.constant(views)
        tape.watch(x)
        loss, nearest = losses.batch_hard_triplets(x)
    assert float(loss) == pytest.approx(reference.batch_hard(views), rel=1e-6)
    moved = views.copy()
    moved[2, 1, 3] += 1e-5
    change = (reference.batch_hard(moved) - reference.batch_hard(views)) / 1e-5
    assert float(tape.gradient(loss, x)[2, 1, 3]) == pytest.approx(change, abs=1e-5)
    assert 0 <= float(nearest) <= 1
    tight = np.repeat(np.eye(4)[:, None], 2, axis=1)
    loss, nearest = losses.batch_hard_triplets(tight)
    assert float(nearest) == 1 and float(loss) == pytest.approx(np.log1p(np.exp(-np.sqrt(2))), rel=1e-5)


def test_near_views_are_not_noise_in_float32():
    draw = np.random.default_rng(0)
    views = draw.normal(size=(4, 1, 16)) + 1e-4 * draw.normal(size=(4, 2, 16))
    views = (views / np.linalg.norm(views, axis=-1, keepdims=True)).astype("float32")
    found = float(losses.batch_hard_triplets(views)[0])
    assert found == pytest.approx(reference.batch_hard(views.astype("float64")), abs=1e-6)


def test_two_replicas_have_the_negatives_of_both(two_replicas):
    views = np.random.default_rng(0).normal(size=(6, 3, 4)).astype("float32")
    found = on_replicas(two_replicas, losses.batch_hard_triplets, views)
    assert np.mean([float(loss) for loss, _ in found]) == pytest.approx(reference.batch_hard(views), rel=1e-5)
    alone = losses.batch_hard_triplets(views)
    assert np.mean([float(nearest) for _, nearest in found]) == pytest.approx(float(alone[1]))


def test_equal_views_have_a_finite_gradient():
    with tf.GradientTape() as tape:
        x = tf.ones((3, 2, 4))
        tape.watch(x)
        loss, _ = losses.batch_hard_triplets(x)
    assert np.isfinite(tape.gradient(loss, x)).all()


def test_exemplars_compare_views_of_labeled_and_of_unlabeled_images_apart():
    model = semi.make("S4L", task="exemplar", copies=2, dim=5)
    twin = semi.make("S4L", task="exemplar", copies=2, dim=5)
    views = [semi.images(seed=1), semi.images(seed=2), semi.groups(seed=3), semi.groups(seed=4)]
    x = np.concatenate([view.reshape(-1, *view.shape[-3:]) for view in views])
    features = twin.encoder(x, training=True)
    z = np.asarray(twin.head(features), "float64")
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    pairs = [z[:16].reshape(2, 8, 5), z[16:].reshape(2, 16, 5)]
    expected = np.mean([reference.batch_hard(pair.transpose(1, 0, 2)) for pair in pairs])
    found = model({"views": tuple(views), "label": semi.LABELS}, training=True)
    assert float(found["unsupervised"]) == pytest.approx(expected, rel=1e-4)
    logits = np.asarray(twin.classifier(features), "float64")[:16]
    assert float(found["supervised"]) == pytest.approx(semi.cross_entropy(logits, np.tile(semi.LABELS, 2)), rel=1e-5)


def test_exemplars_train_compiled():
    keras.utils.set_random_seed(0)
    model = keras_ssl.S4L(cases.small_encoder(), semi.views(2, 2), classes=3, task="exemplar", copies=2, dim=5)
    model.compile(keras.optimizers.SGD(0.05))
    data = {"image": semi.images(), "label": semi.LABELS, **semi.columns(8)}
    found = model.train_on_batch(data, return_dict=True)
    assert np.isfinite(found["loss"]) and 0 <= found["task_accuracy"] <= 1


def test_the_average_has_no_bias_towards_the_start():
    model = semi.make("S4L", momentum=0.9)
    paces = []
    for step in range(3):
        model.step.assign(step)
        paces.append(float(model.pace()))
    value, found = np.array([4.0, 7.0, 1.0]), 100.0
    for x, pace in zip(value, paces):
        found = pace * found + (1 - pace) * x
    weights = 0.9 ** np.arange(2, -1, -1)
    assert found == pytest.approx((weights * value).sum() / weights.sum(), rel=1e-4)


def test_the_mix_adds_its_terms():
    model = semi.make("S4L", vat_weight=0.3, entropy_weight=0.2, class_weight=0.3, weight=0.4, epsilon=2.0)
    found = {name: float(value) for name, value in model(batch(), training=True).items()}
    expected = 0.3 * found["supervised"] + 0.4 * found["unsupervised"]
    expected += 0.3 * found["adversarial"] + 0.2 * found["entropy"]
    assert found["loss"] == pytest.approx(expected, rel=1e-5) and found["adversarial"] > 0
    assert {"adversarial", "entropy"} <= set(model.logged) and "adversarial" not in semi.make("S4L").logged


def test_the_changed_images_are_the_unlabeled_ones_as_they_are_turned(monkeypatch):
    given = []

    def fixed(method, images, logits, seeds):
        given.extend([images, logits, seeds])
        return ops.mean(logits) * 0 + 3.0

    monkeypatch.setattr(s4l, "adversarial", fixed)
    model, twin = semi.make("S4L", vat_weight=0.3), semi.make("S4L")
    found = model(batch(), training=True)
    plain = twin(batch(), training=True)
    x = np.concatenate([turned(semi.images()), turned(semi.images(16, seed=1))])
    np.testing.assert_array_equal(given[0], x[32:])
    np.testing.assert_allclose(given[1], semi.make("S4L").network(x, training=True)[32:], atol=1e-4)
    assert len(np.unique(given[2], axis=0)) == 64
    assert float(found["loss"]) == pytest.approx(float(plain["loss"]) + 0.9, rel=1e-5)


def test_images_that_are_not_square_cannot_be_turned():
    model = keras_ssl.S4L(cases.any_size_encoder(), classes=3)
    views = (semi.images(), semi.groups())
    for wrong in ((views[0][:, :8], views[1]), (views[0], views[1][:, :, :8])):
        with pytest.raises(ValueError, match="must be square. Received: 8 x"):
            model({"views": wrong, "label": semi.LABELS}, training=True)


def test_the_views_of_exemplars():
    layer = augment.s4l_exemplar(10, count=3)
    made = layer({"image": semi.images(2), "unlabeled": semi.groups(2)})
    assert [tuple(view.shape) for view in made] == [(2, 10, 10, 3)] * 3 + [(2, 2, 10, 10, 3)] * 3
    model = semi.make("S4L", task="exemplar", copies=4)
    with pytest.raises(ValueError, match="S4L takes 8 views of each sample. Received: 6"):
        model({"views": tuple(made), "label": semi.LABELS[:2]}, training=True)


def test_each_step_draws_another_change():
    model = semi.make("S4L", vat_weight=1.0, weight=0.0, class_weight=0.0, epsilon=4.0)
    found = [float(model(batch(), training=True)["adversarial"]) for _ in range(2)]
    assert found[0] != found[1]
