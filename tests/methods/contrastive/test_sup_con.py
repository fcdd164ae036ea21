"""SupCon: arXiv 2004.11362."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.reference import negatives as reference
from tests.test_contrastive_family import BATCH, LABELS, VIEWS, encoder, loss_of, make, outputs, together, view

CASE = cases.Case({"hidden": 16, "dim": 8, "classes": 3})


def test_the_labels_are_needed_and_used():
    model = make("SupCon", hidden=7)
    assert loss_of(model) != pytest.approx(loss_of(model, labels=np.arange(BATCH)), rel=1e-3)
    assert loss_of(model) == pytest.approx(loss_of(model, labels=9 - LABELS), rel=1e-5)
    with pytest.raises(ValueError, match="needs the column 'label'"):
        model({"views": VIEWS}, training=True)
    dense, relu, output = model.projector.layers
    assert dense.units == 7 and dense.use_bias and isinstance(relu, keras.layers.ReLU) and output.use_bias
    assert make("SupCon").projector.layers[0].units == 3 * 3 * 6
    assert model.classifier is None
    assert set(model.train_on_batch({"views": VIEWS, "label": LABELS}, return_dict=True)) == {"loss"}


def test_sup_con_takes_more_views():
    model = make("SupCon")
    views = [*VIEWS, view(2)]
    expected = reference.sup_con(together(model, views), LABELS, 0.1).mean() / 0.7
    assert loss_of(model, *views) == pytest.approx(expected, rel=1e-4)


def test_the_joint_classifier():
    model = make("SupCon", classes=3, weight=0.5)
    features = model.encoder(np.concatenate(VIEWS), training=True)
    logits = model.classifier(features).numpy().astype("float64")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cross_entropy = -np.log(shares[np.arange(2 * BATCH), np.tile(LABELS, 2)]).mean()
    contrastive = reference.sup_con(together(model), LABELS, 0.1).mean() / 0.7
    found = outputs(model)
    assert float(found["cross_entropy"]) == pytest.approx(cross_entropy, rel=1e-4)
    assert float(found["contrastive"]) == pytest.approx(contrastive, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(cross_entropy + 0.5 * contrastive, rel=1e-4)

    with tf.GradientTape() as tape:  # the cross-entropy trains the encoder and leaves the projector alone
        loss = outputs(model)["cross_entropy"]
    slopes = tape.gradient(loss, [model.encoder.trainable_variables[0].value, model.projector.weights[0].value])
    assert np.abs(slopes[0]).max() > 0 and slopes[1] is None
    logged = model.train_on_batch({"views": VIEWS, "label": LABELS}, return_dict=True)
    assert {"loss", "contrastive", "cross_entropy"} <= set(logged)

    whole = keras.Sequential([model.encoder, model.classifier])
    expected = model.classifier(model.predict(VIEWS[0], verbose=0))
    np.testing.assert_allclose(whole.predict(VIEWS[0], verbose=0), expected, atol=1e-5)


def test_the_joint_model_learns_to_classify():
    keras.utils.set_random_seed(0)
    model = keras_ssl.SupCon(encoder(), dim=5, classes=3)
    model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
    colors = np.eye(3)[LABELS][:, None, None, :] * 120 + 60
    draw = np.random.default_rng(0)
    views = lambda: [(colors + draw.normal(0, 20, (BATCH, 8, 8, 3))).astype("float32") for _ in range(2)]
    for _ in range(30):
        model.train_on_batch({"views": views(), "label": LABELS})
    found = model.classifier(model.predict(views()[0], verbose=0)).numpy().argmax(axis=1)
    np.testing.assert_array_equal(found, LABELS)
