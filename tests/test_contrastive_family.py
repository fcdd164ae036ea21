"""The methods beside SimCLR that have another loss, from SupCon to InvaSpread."""

import keras
import numpy as np
import pytest
import tensorflow as tf

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


def slopes_of(model):
    with tf.GradientTape() as tape:
        loss = outputs(model)["loss"]
    return [g.numpy() for g in tape.gradient(loss, [w.value for w in model.trainable_variables])]


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


def test_every_option_of_align_uniform_is_used():
    options = {"align_weight": 3.0, "uniform_weight": 0.7, "power": 1.5, "scale": 3.0}
    model = make("AlignUniform", **options)
    a, b = together(model)
    align = np.mean(reference.alignment(a, b, 1.5))
    uniform = (reference.uniformity(a, 3.0) + reference.uniformity(b, 3.0)) / 2
    found = outputs(model)
    assert float(found["alignment"]) == pytest.approx(align, rel=1e-4)
    assert float(found["uniformity"]) == pytest.approx(uniform, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(3.0 * align + 0.7 * uniform, rel=1e-4)
    for name, default in {"align_weight": 1.0, "uniform_weight": 1.0, "power": 2.0, "scale": 2.0}.items():
        assert loss_of(make("AlignUniform", **options | {name: default})) != pytest.approx(loss_of(model), rel=1e-3)


@pytest.mark.parametrize("name", ["AlignUniform", "InvaSpread"])
def test_the_head_is_linear(name):
    (output,) = make(name).projector.layers
    assert output.units == 5 and output.use_bias


# FlatNCE and DCL


def test_flat_nce_shows_simclrs_loss_and_has_the_gradient_of_decoupled():
    options = {"hidden": 12, "temperature": 0.2}
    flat, decoupled, simclr = (make(name, **options) for name in ("FlatNCE", "DecoupledContrastive", "SimCLR"))
    for model in (decoupled, simclr):
        model.set_weights(flat.get_weights())
    assert loss_of(flat) == pytest.approx(loss_of(simclr), rel=1e-5)
    assert loss_of(flat) != pytest.approx(loss_of(decoupled), rel=1e-3)
    for model in (decoupled, simclr):  # batch norm moved
        model.set_weights(flat.get_weights())
    found, expected, others = slopes_of(flat), slopes_of(decoupled), slopes_of(simclr)
    for slope, same, other in zip(found, expected, others):
        np.testing.assert_allclose(slope, same, rtol=1e-3, atol=1e-5)
    assert max(np.abs(slope - other).max() for slope, other in zip(found, others)) > 1e-3


def test_the_weight_of_decoupled_is_an_option():
    plain, weighted = make("DecoupledContrastive"), make("DecoupledContrastive", weighted=True)
    a, b = together(plain)
    assert loss_of(plain) == pytest.approx(reference.decoupled(a, b, 0.1).mean(), rel=1e-4)
    assert loss_of(plain) != pytest.approx(loss_of(weighted), rel=1e-4)


# Debiased and hard negatives


def test_a_third_view_is_a_positive_and_no_negative():
    model = make("DebiasedContrastive", tau_plus=0.3)
    a, b, c = apart(model, [*VIEWS, view(2)])
    expected = reference.debiased(a, b, 0.5, 0.3, extra=[c]).mean()
    assert loss_of(model, *VIEWS, view(2)) == pytest.approx(expected, rel=1e-4)
    assert loss_of(model) != pytest.approx(expected, rel=1e-4)


def test_beta_stays_or_falls_to_zero():
    still, falling = (make("HardNegativeContrastive", beta=2.0, steps=steps) for steps in (None, 4))
    for step in range(6):
        assert float(still.current_beta()) == 2.0
        assert float(falling.current_beta()) == pytest.approx(2.0 * max(1 - step / 4, 0))
        a, b = apart(falling)
        expected = reference.debiased(a, b, 0.5, 0.1, float(falling.current_beta())).mean()
        assert loss_of(falling) == pytest.approx(expected, rel=1e-4)
        for model in (still, falling):
            model.train_on_batch({"views": VIEWS})


# SupCon


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
    colours = np.eye(3)[LABELS][:, None, None, :] * 120 + 60
    draw = np.random.default_rng(0)
    views = lambda: [(colours + draw.normal(0, 20, (BATCH, 8, 8, 3))).astype("float32") for _ in range(2)]
    for _ in range(30):
        model.train_on_batch({"views": views(), "label": LABELS})
    found = model.classifier(model.predict(views()[0], verbose=0)).numpy().argmax(axis=1)
    np.testing.assert_array_equal(found, LABELS)
