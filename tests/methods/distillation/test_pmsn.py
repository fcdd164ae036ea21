"""PMSN: arXiv 2210.07277."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import distribute, losses
from keras_ssl.methods.distillation.pmsn import power_law
from tests.methods.distillation import test_msn
from tests.methods.distillation.test_msn import views, vit
from tests.reference import clustering as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas
from tests.test_redundancy import value_and_gradient, vectors

CASE = dataclasses.replace(test_msn.CASE, arguments=test_msn.CASE.arguments | {"exponent": 0.5})


def make(name="PMSN", **options):
    keras.utils.set_random_seed(0)
    options = {"hidden": 12, "dim": 6, "prototype_count": 7, "momentum": 0.9} | options
    return getattr(keras_ssl, name)(vit(), **options)


def divergence(scores, prior, temperature=0.1):
    mean = np.mean([reference.softmax(row / temperature) for row in scores], axis=0)
    return sum(p * np.log(p / q) for p, q in zip(mean, prior))


def test_the_prior_is_a_power_law():
    np.testing.assert_allclose(power_law(4, 0.5), np.array([1, 2**-0.5, 3**-0.5, 0.5]) / (1.5 + 2**-0.5 + 3**-0.5))
    np.testing.assert_allclose(power_law(4, 0), 0.25)


def test_the_divergence_is_the_loop():
    scores, prior = vectors(6, 4), power_law(4, 0.7)
    value, (slope,) = value_and_gradient(lambda x: losses.mean_entropy_gap(x, 0.5, prior), scores)
    assert float(value) == pytest.approx(divergence(scores, prior, 0.5), rel=1e-6)
    np.testing.assert_allclose(slope, gradient(lambda x: divergence(x, prior, 0.5), scores), atol=1e-6)


def test_the_divergence_is_0_where_the_mean_is_the_prior_and_only_there():
    prior = power_law(5, 0.6)
    at = np.log(prior)[None].repeat(3, axis=0)
    assert float(losses.mean_entropy_gap(at, 1.0, prior)) == pytest.approx(0, abs=1e-6)
    assert float(losses.mean_entropy_gap(0 * at, 1.0, prior)) > 0.01 < float(losses.mean_entropy_gap(at, 1.0))
    uniform = losses.mean_entropy_gap(vectors(6, 5), 1.0, np.full(5, 0.2))
    assert float(uniform) == pytest.approx(float(losses.mean_entropy_gap(vectors(6, 5), 1.0)), rel=1e-6)


def test_two_replicas_have_the_divergence_of_one(two_replicas):
    scores, prior = vectors(8, 4).astype("float32"), power_law(4, 0.7)
    expected = float(losses.mean_entropy_gap(scores, 0.5, prior))
    for found in on_replicas(two_replicas, lambda x: losses.mean_entropy_gap(x, 0.5, prior), scores):
        assert float(found) == pytest.approx(expected, rel=1e-5)
    assert distribute.replicas() == 1


def test_the_loss_is_that_of_msn_with_the_divergence():
    crops = views()
    uniform, model = make("MSN", iterations=0, drop=0), make(exponent=0.8, drop=0, entropy_weight=0.5)
    found = {key: float(value) for key, value in model({"views": crops}, training=True).items()}
    expected = {key: float(value) for key, value in uniform({"views": crops}, training=True).items()}
    assert found["cross_entropy"] == expected["cross_entropy"] and found["entropy_gap"] != expected["entropy_gap"]
    assert found["loss"] == pytest.approx(found["cross_entropy"] + 0.5 * found["entropy_gap"], rel=1e-6)


def test_a_uniform_prior_is_msn_bit_for_bit():
    crops, states = views(), []
    for name, options in (("MSN", {"iterations": 0}), ("PMSN", {"exponent": 0.0})):
        model = make(name, **options)
        model.compile(optimizer=keras.optimizers.SGD(0.2), run_eagerly=True)
        loss = [model.train_on_batch({"views": crops}, return_dict=True)["loss"] for _ in range(2)]
        states.append([loss, *model.get_weights()])
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)


def test_prototypes_of_rare_images_may_be_rare():
    """Of 44 images 40 are alike: with the power law the two prototypes share them more as they are."""
    draw = np.random.default_rng(0)
    common, rare = draw.uniform(0, 255, (2, 1, 2, 2, 3))
    coarse = np.concatenate([common.repeat(40, axis=0), rare.repeat(4, axis=0)])
    images = coarse.repeat(4, axis=1).repeat(4, axis=2).astype("float32")
    found = {}
    for exponent in (0.0, 3.32):  # 1 : 1, and 10 : 1
        model = make(exponent=exponent, drop=0, prototype_count=2, hidden=16, temperature=0.1, entropy_weight=2.0)
        model.compile(optimizer=keras.optimizers.Adam(5e-3))
        for _ in range(40):
            crops = [images + draw.normal(0, 5, images.shape).astype("float32") for _ in range(3)]
            model.train_on_batch({"views": tuple(crops)})
        features = model.head(model.encoder(images), training=False)
        scores = np.asarray(model.prototypes(keras.ops.normalize(features)))
        found[exponent] = np.mean([reference.softmax(row / 0.1) for row in scores], axis=0)[0]
    target = power_law(2, 3.32)[0]
    assert target == pytest.approx(10 / 11, abs=0.01)
    assert abs(found[3.32] - target) < abs(found[0.0] - target) - 0.1, found
