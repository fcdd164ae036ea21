"""EMP-SSL: arXiv 2304.03977."""

import keras
import numpy as np
import pytest

import keras_ssl
from tests import cases
from tests.reference import volume as reference
from tests.test_redundancy import encoder, layers, view


def three():
    return cases.crops(cases.SIZE, cases.SIZE, cases.SIZE)


CASE = cases.Case({"hidden": 16, "dim": 6, "similarity_weight": 4.0}, views=three)


def small(**options):
    return keras_ssl.EMPSSL(encoder(), **{"hidden": 7, "dim": 5} | options)


def test_the_loss_is_the_papers():
    model, views = small(similarity_weight=3.0, epsilon=0.5), [view(seed) for seed in range(3)]
    features = model.patch_encoder(np.concatenate(views), training=True)
    embeddings = np.split(np.float64(model.projector(features, training=True)), 3)
    outputs = {key: float(value) for key, value in model({"views": views}, training=True).items()}
    loss, similarity, rate = reference.emp_ssl(embeddings, 3.0, 0.5)
    assert outputs["similarity"] == pytest.approx(similarity, rel=1e-4)
    assert outputs["coding_rate"] == pytest.approx(rate, rel=1e-4)
    assert outputs["loss"] == pytest.approx(loss, rel=1e-4)


def test_equal_patches_have_the_whole_similarity():
    outputs = small()({"views": [view()] * 4}, training=True)
    assert float(outputs["similarity"]) == pytest.approx(1, abs=1e-5)


def test_the_networks_are_the_papers():
    model = keras_ssl.EMPSSL(encoder())
    block = ["Dense", "BatchNormalization", "ReLU"]
    assert layers(model.patch_encoder.layers[-1]) == block and layers(model.projector) == [*block, "Dense"]
    dense = [*model.patch_encoder.layers[-1].layers[::3], *model.projector.layers[::3]]
    assert [layer.units for layer in dense] == [4096, 4096, 1024] and all(layer.use_bias for layer in dense)
    assert model.evaluated_encoder is model.encoder


def test_features_of_patches_are_the_mean_of_the_hidden_layer():
    model, views = small(), [view(seed) for seed in range(3)]
    expected = np.mean([model.patch_encoder(x, training=False) for x in views], axis=0)
    assert expected.shape == (8, 7)
    np.testing.assert_allclose(model.patch_features(views), expected, atol=1e-5)


def test_the_sign_is_the_papers_training_spreads_the_embeddings():
    """With the coding rate added instead, all embeddings would become one."""
    keras.utils.set_random_seed(0)
    model = small(hidden=32, dim=8, similarity_weight=10.0)
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (32, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    logs = []
    for _ in range(60):
        light = [draw.uniform(0.7, 1.3, (32, 1, 1, 3)) for _ in range(3)]
        views = tuple((smooth * factor).astype("float32") for factor in light)
        logs.append(model.train_on_batch({"views": views}, return_dict=True))
        model.reset_metrics()
    first, last = logs[0], logs[-1]
    assert last["coding_rate"] > first["coding_rate"] + 0.5 and last["similarity"] > 0.95, (first, last)


@pytest.mark.parametrize("options, message", [
    ({"epsilon": 0}, "epsilon must be a finite number above 0"),
    ({"similarity_weight": -1}, "similarity_weight must be a finite number from 0"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
