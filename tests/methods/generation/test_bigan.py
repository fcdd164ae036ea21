"""BiGAN: arXiv 1605.09782."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import optimizers, recipes
from keras_ssl.recipes.generation import bigan as recipe
from tests import cases
from tests.methods.generation.test_autoencoder import images
from tests.methods.generation.test_autoencoder import small as made


def players():
    return {"generator": cases.sgd(), "discriminator": keras.optimizers.SGD(0.01)}


SIZES = {"width": 4, "dim": 5, "discriminator_width": 4, "hidden": 8}
CASE = cases.Case(SIZES, views=cases.one_crop, optimizer=players)


def small(**options):
    return made("BiGAN", **SIZES | options)


def seen_by_the_discriminator(model, x):
    """What the discriminator gets in a step, and the outputs of the step."""
    seen, whole = [], model.discriminator
    model.discriminator = lambda pair, training: seen.append([np.asarray(part) for part in pair]) or whole(
        pair, training=training
    )
    outputs = model({"views": (x,)}, training=True)
    model.discriminator = whole
    return seen, outputs


def test_pairs_are_an_image_with_its_code_and_a_code_with_its_image():
    model, x = small(), images(64)
    (true, made), _ = seen_by_the_discriminator(model, x)
    np.testing.assert_allclose(true[0], x / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(true[1], np.tanh(np.asarray(model.coder(x, training=True)) / 2), atol=1e-5)
    np.testing.assert_allclose(made[0], model.made(made[1], training=True), atol=1e-5)
    assert -1 <= made[1].min() < -0.9 and 0.9 < made[1].max() <= 1 and made[1].std() == pytest.approx(3**-0.5, rel=0.05)
    again = seen_by_the_discriminator(model, x)[0][1][1]
    assert np.abs(again - made[1]).mean() > 0.1


def test_codes_of_images_have_the_range_of_those_that_are_drawn():
    """So that the range tells nothing of which kind a pair is."""
    model, x = small(), images(64)
    kernel = model.coder.trainable_variables[-1]
    assert kernel.shape == (16, 5)  # no bias
    kernel.assign(100 * kernel)
    (true, _), _ = seen_by_the_discriminator(model, x)
    assert 0.99 < np.abs(true[1]).max() <= 1


def test_both_losses_are_the_papers_with_swapped_labels():
    model, x = small(), images()
    pairs, outputs = seen_by_the_discriminator(model, x)
    sure = [1 / (1 + np.exp(-np.float64(model.discriminator(pair, training=True)))) for pair in pairs]
    found = {player: float(loss) for player, loss in outputs["loss"].items()}
    discriminator = -np.mean(np.log(sure[0])) - np.mean(np.log(1 - sure[1]))
    assert found["discriminator"] == pytest.approx(discriminator, rel=1e-4)
    generator = -np.mean(np.log(1 - sure[0])) - np.mean(np.log(sure[1]))
    assert found["generator"] == pytest.approx(generator, rel=1e-4)


def test_the_encoder_learns_through_its_code_and_the_generator_through_its_images():
    model, x = small(), images()
    weights = [model.encoder.trainable_variables[0].value, model.generator.trainable_variables[0].value]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = model({"views": (x,)}, training=True)["loss"]["generator"]
    assert all(np.abs(slope).max() > 0 for slope in tape.gradient(loss, weights))


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_each_player_moves_its_own_weights_only(still):
    model, x = small(), images()
    rates = {player: 0.0 if player == still else 0.1 for player in model.players}
    model.compile({player: keras.optimizers.SGD(rate) for player, rate in rates.items()}, run_eagerly=True)
    before = {player: [w.numpy() for w in model.weights_of(player)] for player in model.players}
    model.train_on_batch({"views": (x,)})
    for player in model.players:
        moved = [not np.array_equal(w, old) for w, old in zip(model.weights_of(player), before[player])]
        assert not any(moved) if player == still else all(moved)


def test_the_discriminator_looks_at_images_and_at_codes():
    model, x = small(), images()
    code = np.random.default_rng(0).uniform(-1, 1, (4, 5)).astype("float32")
    logits = np.asarray(model.discriminator([x / 127.5 - 1, code]))
    assert np.abs(logits - model.discriminator([x[::-1] / 127.5 - 1, code])).max() > 0
    assert np.abs(logits - model.discriminator([x / 127.5 - 1, code[::-1]])).max() > 0


def test_draws_are_images_that_the_seed_decides():
    model = small()
    drawn = model.sample(4)
    assert drawn.shape == (4, 12, 12, 3) and 0 <= drawn.min() and drawn.max() <= 255
    np.testing.assert_array_equal(drawn, model.sample(4))
    assert np.abs(drawn - model.sample(4, seed=1)).max() > 0


def test_images_come_back_although_no_loss_compares_them():
    """Images of one color each."""
    x = (np.random.default_rng(0).uniform(0, 255, (512, 1, 1, 3)) * np.ones((512, 4, 4, 3))).astype("float32")
    keras.utils.set_random_seed(0)
    encoder = cases.small_encoder(size=4, padding="same")
    model = keras_ssl.BiGAN(encoder, dim=3, width=32, discriminator_width=32, hidden=128)
    model.compile({player: keras.optimizers.Adam(3e-4, beta_1=0.5) for player in model.players})
    model.fit({"views": (x,)}, batch_size=128, epochs=100, verbose=0)
    found = model.pictures(x)["reconstruction"]
    own, of_others = (np.mean((found - images) ** 2) for images in (x, x[::-1]))
    assert own < 0.4 * of_others and own < np.mean((x - x.mean(axis=0)) ** 2)


def test_the_rates_are_those_of_the_authors():
    run = recipes.Run((64, 64, 3), 1_281_167, 128, 10_009, 400, "resnet18")
    for one in recipe.players(run, 2e-4, weight_decay=2.5e-5, exclude="gamma").values():
        assert type(one) is optimizers.Adam and (one.beta_1, one.beta_2) == (0.5, 0.999)
        assert one.weight_decay == 2.5e-5 and one._learning_rate.warmup_target == 2e-4
        scale = keras.layers.BatchNormalization()
        scale.build((None, 2))
        assert [one._is_excluded(variable) for variable in scale.trainable_variables] == [True, False]
