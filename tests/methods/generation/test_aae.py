"""AAE: arXiv 1511.05644."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from tests import cases
from tests.methods.generation.test_autoencoder import images
from tests.methods.generation.test_autoencoder import small as made
from tests.reference import generation as reference


def players():
    return {"autoencoder": cases.sgd(), "discriminator": keras.optimizers.SGD(0.01)}


CASE = cases.Case({"width": 4, "dim": 6, "hidden": 8}, views=cases.one_crop, optimizer=players)


def small(**options):
    return made("AAE", **{"dim": 6, "hidden": 8} | options)


def seen_by_the_discriminator(model, x):
    """The draws and the codes that the discriminator gets in a step, and the outputs of the step."""
    seen, whole = [], model.discriminator
    model.discriminator = lambda code, training: seen.append(np.asarray(code)) or whole(code, training=training)
    outputs = model({"views": (x,)}, training=True)
    model.discriminator = whole
    return *seen, outputs


def test_codes_are_compared_with_draws_from_the_standard_normal():
    model, x = small(dim=100), images(64)
    drawn, code, _ = seen_by_the_discriminator(model, x)
    np.testing.assert_allclose(code, model.coder(x, training=True), atol=1e-5)
    assert drawn.mean() == pytest.approx(0, abs=0.06) and drawn.std() == pytest.approx(1, rel=0.05)
    assert np.abs(seen_by_the_discriminator(model, x)[0] - drawn).mean() > 0.5


def test_all_losses_are_the_papers():
    model, x = small(weight=0.3), images()
    drawn, code, outputs = seen_by_the_discriminator(model, x)
    likely = [1 / (1 + np.exp(-np.float64(model.discriminator(values)))) for values in (drawn, code)]
    error = reference.squared_error(model.decoder(code, training=True), x)
    found = {player: float(loss) for player, loss in outputs["loss"].items()}
    assert float(outputs["error"]) == pytest.approx(error, rel=1e-4)
    assert found["autoencoder"] == pytest.approx(error - 0.3 * np.mean(np.log(likely[1])), rel=1e-4)
    expected = -np.mean(np.log(likely[0])) - np.mean(np.log(1 - likely[1]))
    assert found["discriminator"] == pytest.approx(expected, rel=1e-4)


def test_the_gradients_of_a_code_are_those_of_the_formulas():
    """Of both losses, where the decoder makes the same of all codes."""
    model, x = small(weight=0.3), images()
    code = tf.constant(np.random.default_rng(0).normal(size=(4, 6)), "float32")
    model.coder = lambda images, training: code
    model.decoder = lambda code, training: tf.zeros_like(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(code)
        logits, losses = model.discriminator(code), model({"views": (x,)}, training=True)["loss"]
        one = tf.reduce_sum(logits)
    slope, likely = tape.gradient(one, code).numpy(), 1 / (1 + np.exp(-logits.numpy()))
    np.testing.assert_allclose(tape.gradient(losses["autoencoder"], code), -0.3 * (1 - likely) * slope / 4, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(losses["discriminator"], code), likely * slope / 4, atol=1e-6)


@pytest.mark.parametrize("still", ["autoencoder", "discriminator"])
def test_each_player_moves_its_own_weights_only(still):
    model, x = small(), images()
    rates = {player: 0.0 if player == still else 0.1 for player in model.players}
    model.compile({player: keras.optimizers.SGD(rate) for player, rate in rates.items()}, run_eagerly=True)
    before = {player: [w.numpy() for w in model.weights_of(player)] for player in model.players}
    model.train_on_batch({"views": (x,)})
    for player in model.players:
        moved = [not np.array_equal(w, old) for w, old in zip(model.weights_of(player), before[player])]
        assert not any(moved) if player == still else all(moved)


def test_the_codes_are_what_is_evaluated():
    model, x = small(), images()
    np.testing.assert_allclose(model.predict(x, verbose=0), model.coder(x, training=False), atol=1e-5)
    assert model.evaluated_encoder.output_shape == (None, 6)


def distance_to_normal(weight):
    """The energy distance of the codes after a training from draws of the standard normal, and the error."""
    x = (np.random.default_rng(0).uniform(0, 255, (512, 1, 1, 3)) * np.ones((512, 4, 4, 3))).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras_ssl.AAE(
        cases.small_encoder(size=4, padding="same"), dim=3, width=16, hidden=64, weight=weight
    )
    model.compile({player: keras.optimizers.Adam(2e-3, beta_1=0.5) for player in model.players})
    error = model.fit({"views": (x,)}, batch_size=128, epochs=60, verbose=0).history["error"][-1]
    code, drawn = np.asarray(model.predict(x, verbose=0)), np.random.default_rng(1).normal(size=(512, 3))
    apart = lambda a, b: np.linalg.norm(a[:, None] - b[None], axis=-1).mean()  # noqa: E731
    return 2 * apart(code, drawn) - apart(code, code) - apart(drawn, drawn), error


def test_codes_become_more_normal_than_those_of_an_autoencoder():
    (with_it, error), (without, _) = distance_to_normal(1.0), distance_to_normal(0.0)
    assert with_it < 0.2 * without and error < 0.8


def test_pictures_show_draws_that_the_seed_decides():
    model, x = small(), images()
    columns = model.pictures(x)
    assert list(columns) == ["image", "reconstruction", "drawn"]
    assert {values.shape for values in columns.values()} == {(4, 12, 12, 3)}
    np.testing.assert_array_equal(columns["drawn"], model.sample(4))
    assert np.abs(columns["drawn"] - model.sample(4, seed=1)).max() > 0
