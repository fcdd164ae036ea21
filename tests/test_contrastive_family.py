"""The methods beside SimCLR that have another loss, from SupCon to InvaSpread."""

import keras
import numpy as np
import pytest

import keras_ssl
from tests.reference import losses as simclr_reference
from tests.reference import negatives as reference

BATCH = 6
LABELS = np.array([0, 1, 0, 2, 1, 0])


def encoder():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, strides=2)(keras.layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.Flatten()(x))


def make(name, **options):
    keras.utils.set_random_seed(0)
    model = getattr(keras_ssl, name)(encoder(), **{"dim": 5} | options)
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def view(seed=0):
    """Of another brightness for every seed, so that batch statistics of one view and of both differ."""
    return np.random.default_rng(seed).uniform(40 * seed, 100 + 40 * seed, (BATCH, 8, 8, 3)).astype("float32")


VIEWS = [view(0), view(1)]


def outputs(model, views=VIEWS, labels=LABELS):
    return model({"views": views, "label": labels}, training=True)


def loss_of(model, *views, **options):
    return float(outputs(model, list(views) or VIEWS, **options)["loss"])


def together(model, views=VIEWS):
    features = model.encoder(np.concatenate(views), training=True)
    return np.split(model.projector(features, training=True).numpy().astype("float64"), len(views))


def apart(model, views=VIEWS):
    return [model.projector(model.encoder(x, training=True), training=True).numpy().astype("float64") for x in views]


# name: (its options, how its views go through the encoder, its loss of the embeddings)
PAPERS = {
    "SupCon": ({}, together, lambda a, b: reference.sup_con([a, b], LABELS, 0.1) / 0.7),
    "DecoupledContrastive": ({"weighted": True}, together, lambda a, b: reference.decoupled(a, b, 0.1, True, 0.5)),
    "DebiasedContrastive": ({"tau_plus": 0.2}, apart, lambda a, b: reference.debiased(a, b, 0.5, 0.2)),
    "HardNegativeContrastive": ({"tau_plus": 0.2}, apart, lambda a, b: reference.debiased(a, b, 0.5, 0.2, 1.0)),
    "FlatNCE": ({}, together, lambda a, b: reference.nt_xent(a, b, 0.1)),
    "AlignUniform": (
        {"align_weight": 3.0},
        together,
        lambda a, b: 3 * reference.alignment(a, b, 2) + (reference.uniformity(a, 2) + reference.uniformity(b, 2)) / 2,
    ),
    "InvaSpread": ({}, together, lambda a, b: reference.invariant_spread(a, b, 0.1)),
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_objective_is_the_papers(name):
    options, embed, loss = PAPERS[name]
    model = make(name, **options)
    assert loss_of(model) == pytest.approx(np.mean(loss(*embed(model))), rel=1e-4)
    other = together if embed is apart else apart
    assert np.mean(loss(*other(model))) != pytest.approx(loss_of(model), rel=1e-3)


@pytest.mark.parametrize(
    "name, options, factor",
    [
        ("DebiasedContrastive", {"tau_plus": 0.0, "temperature": 0.2}, 1.0),
        ("HardNegativeContrastive", {"tau_plus": 0.0, "beta": 0.0, "temperature": 0.2}, 1.0),
        ("SupCon", {"temperature": 0.2}, 0.2 / 0.07),
        ("SupCon", {"temperature": 0.2, "base_temperature": None, "inside": True}, 1.0),
        ("FlatNCE", {"temperature": 0.2}, 1.0),
    ],
)
def test_at_their_ends_they_are_simclr(name, options, factor):
    model = make(name, **options)
    embed = apart if "tau_plus" in options else together
    expected = factor * simclr_reference.nt_xent(*embed(model), 0.2)
    assert loss_of(model, labels=np.arange(BATCH)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", PAPERS)
def test_only_encoder_and_heads_are_trained(name):
    model = make(name)
    trained = {id(v) for v in model.encoder.trainable_variables + model.projector.trainable_variables}
    assert {id(v) for v in model.trainable_variables} == trained


@pytest.mark.parametrize("name", ["DebiasedContrastive", "HardNegativeContrastive"])
def test_the_head_of_the_debiased_is_the_authors(name):
    dense, norm, relu, output = make(name).projector.layers
    assert dense.units == 512 and not dense.use_bias and norm.center and isinstance(relu, keras.layers.ReLU)
    assert output.units == 5 and output.use_bias


@pytest.mark.parametrize("name", ["AlignUniform", "InvaSpread"])
def test_the_head_is_linear(name):
    (output,) = make(name).projector.layers
    assert output.units == 5 and output.use_bias
