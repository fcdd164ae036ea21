"""SwAV: arXiv 2006.09882."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders
from tests import cases
from tests.reference import clustering as reference
from tests.test_clustering import any_size_encoder, unit

CASE = cases.Case(
    {"hidden": 16, "dim": 8, "prototype_count": 6, "temperature": 0.5, "queue_size": 20, "queue_start": 1},
    encoder=cases.any_size_encoder, views=cases.multi_crop, base=True,
)


def make(optimizer=None, **options):
    options = {"hidden": 12, "dim": 5, "prototype_count": 6} | options
    model = keras_ssl.SwAV(any_size_encoder(), **options)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.2, momentum=0.9), run_eagerly=True)
    return model


def crops(seed=0, batch=8):
    draw = np.random.default_rng(seed)
    return [draw.uniform(0, 255, (batch, side, side, 3)).astype("float32") for side in (8, 8, 6, 6, 6)]


def train(model, *views):
    return float(model.train_on_batch({"views": views}))


def embeddings(model, views):
    """What the projector makes of all views in one batch."""
    features = np.concatenate([model.encoder(np.concatenate(v), training=True) for v in (views[:2], views[2:])])
    return unit(model.projector(features, training=True).numpy()).reshape(5, 8, -1)


def test_the_loss_is_the_papers():
    model = make()
    train(model, *crops(1))
    views = crops()
    kernel = model.prototypes.kernel.numpy()
    scores = embeddings(model, views) @ kernel
    codes = [reference.sinkhorn(scores[i], 0.05, 3) for i in range(2)]
    expected = reference.swapped_prediction(codes, scores, 0.1)
    assert float(model({"views": views}, training=True)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_projector_and_prototypes_are_those_of_the_paper():
    model = keras_ssl.SwAV(any_size_encoder())
    layers = model.projector.layers
    assert [type(layer).__name__ for layer in layers] == ["Dense", "BatchNormalization", "ReLU", "Dense"]
    assert [(layer.units, layer.use_bias) for layer in layers if hasattr(layer, "units")] == [(2048, True), (128, True)]
    assert model.prototypes.kernel.shape == (128, 3000) and len(model.prototypes.weights) == 1  # no bias


def test_the_queue_joins_when_it_is_full_and_its_time_has_come():
    for start, joins in ((0, 3), (5, 5)):  # of 20 entries, full after three batches of 8
        model = make(queue_size=20, queue_start=start)
        for step in range(7):
            views = crops(step)
            z = embeddings(model, views)
            kernel = model.prototypes.kernel.numpy()
            scores = z @ kernel
            queues = [queue.entries.numpy() for queue in model.queues]
            codes = []
            for view, queue in zip(scores, queues):
                known = np.concatenate([queue @ kernel, view]) if step >= joins else view
                codes.append(reference.sinkhorn(known, 0.05, 3)[-8:])
            expected = reference.swapped_prediction(codes, scores, 0.1)
            assert train(model, *views) == pytest.approx(expected, rel=2e-4), step
            for i, queue in enumerate(model.queues):  # unit embeddings of this view enter
                places = (np.arange(8) + 8 * step) % 20
                np.testing.assert_allclose(queue.entries.numpy()[places], z[i], atol=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_the_prototypes_are_unit_vectors_and_frozen_at_first(optimizer):
    rate, decay = 0.05, 0.1
    model = make(
        {
            "sgd": lambda: keras_ssl.optimizers.SGD(rate, weight_decay=decay),
            "lars": lambda: keras_ssl.optimizers.LARS(rate, weight_decay=decay, trust=0.1),
            "adamw": lambda: keras_ssl.optimizers.AdamW(rate, weight_decay=decay),
        }[optimizer](),
        freeze_steps=2,
    )
    before = model.prototypes.kernel.numpy()
    for step in range(4):
        with tf.GradientTape() as tape:
            loss = model({"views": crops(step)}, training=True)["loss"]
        slope = tape.gradient(loss, model.prototypes.kernel.value).numpy()
        assert (np.abs(slope).max() == 0) == (step < 2)
        train(model, *crops(step))
        kernel = model.prototypes.kernel.numpy()
        np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, atol=1e-5)
        moved = np.abs(kernel - before).max()
        assert moved < 1e-6 if step < 2 else moved > 1e-4


def usage_after_training(iterations):
    """The entropy of the prototypes' mean assignment after 60 steps, in parts of log K."""
    keras.utils.set_random_seed(0)
    model = make(iterations=iterations, prototype_count=8)
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (32, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    for _ in range(60):
        light, noise = draw.uniform(0.7, 1.3, (2, 32, 1, 1, 3)), draw.normal(0, 20, (2, *smooth.shape))
        train(model, *(smooth * light + noise).astype("float32"))
    z = unit(model.projector(model.encoder(smooth), training=True).numpy())
    mean = np.mean([reference.softmax(row / 0.1) for row in z @ model.prototypes.kernel.numpy()], axis=0)
    return -np.sum(mean * np.log(mean)) / np.log(8)


def test_softmax_targets_collapse_and_sinkhorns_do_not():
    assert usage_after_training(iterations=0) < 0.02  # 0 to 0.002 for other seeds
    assert usage_after_training(iterations=3) > 0.92  # 0.97 to 0.99


def test_resnets_of_any_size_take_crops_predict_and_are_exported(tmp_path):
    encoder = encoders.resnet18((None, None, 3), stem="cifar", width=2)
    views = keras_ssl.augment.swav_cifar(16, local_size=8, local_count=2)
    model = keras_ssl.SwAV(encoder, views, hidden=8, dim=4, prototype_count=3)
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), "uint8")
    assert np.isfinite(model(images, training=True)["loss"])
    keras_ssl.export(model, tmp_path / "encoder.keras")
    alone = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(alone(images), model.predict(images, verbose=0), atol=1e-5)
