"""Context encoder with an adversary: arXiv 1604.07379."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import optimizers
from keras_ssl.recipes.pretext import adversarial_context_encoder as recipe
from tests import cases
from tests.methods.pretext.test_context_encoder import images, masks_of, small


def players():
    return {"generator": cases.sgd(), "discriminator": keras.optimizers.SGD(0.01)}


CASE = cases.Case(
    {"width": 4, "discriminator_width": 4, "band": 1, "error_weight": 0.9}, views=cases.one_crop, optimizer=players
)
NAME = "AdversarialContextEncoder"


def made(**options):
    return small(NAME, **{"discriminator_width": 4, "error_weight": 0.9} | options)


def test_both_losses_are_the_papers():
    model, x = made(), images()
    masks = masks_of(model, x)
    outputs = model({"views": (x,)}, training=True)
    painted = model.painted(x, masks, training=True)
    true = np.float64(model.discriminator((x[:, 3:9, 3:9] / 127.5 - 1), training=True))
    false = np.float64(model.discriminator(painted, training=True))
    error, sure = float(model.error(painted, x, masks)), lambda logit: 1 / (1 + np.exp(-logit))
    assert float(outputs["error"]) == pytest.approx(error, rel=1e-5)
    found = {player: float(loss) for player, loss in outputs["loss"].items()}
    assert found["generator"] == pytest.approx(0.9 * error - 0.1 * np.mean(np.log(sure(false))), rel=1e-4)
    assert found["discriminator"] == pytest.approx(
        -np.mean(np.log(sure(true))) - np.mean(np.log(1 - sure(false))), rel=1e-4
    )


@pytest.mark.parametrize("region", ["center", "random"])
def test_the_error_is_of_all_that_the_discriminator_sees(region):
    """In the range from -1 to 1; what is visible weighs 10 times as much."""
    model, x = made(region=region), images()
    masks = masks_of(model, x)
    painted = np.float64(model.painted(x, masks, training=True))
    assert np.abs(painted).max() <= 1
    part = slice(3, 9) if region == "center" else slice(None)
    weights = np.where(masks, 1.0, 10.0)[:, part, part, None]
    expected = np.mean(weights * (painted - (x[:, part, part] / 127.5 - 1)) ** 2)
    assert float(model({"views": (x,)}, training=True)["error"]) == pytest.approx(expected, rel=1e-4)
    whole = model.inpaint(x)[2]
    assert 0 <= whole.min() and whole.max() <= 255


def test_a_discriminator_that_cannot_tell_has_a_loss_of_two_log_two():
    model, x = made(error_weight=0.0), images()
    model.discriminator.get_layer("logit").kernel.assign(0 * model.discriminator.get_layer("logit").kernel)
    found = model({"views": (x,)}, training=True)["loss"]
    assert float(found["discriminator"]) == pytest.approx(2 * np.log(2), rel=1e-5)
    assert float(found["generator"]) == pytest.approx(np.log(2), rel=1e-5)


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_each_player_moves_its_own_weights_only(still):
    model, x = made(), images()
    rates = {player: 0.0 if player == still else 0.1 for player in model.players}
    model.compile({player: keras.optimizers.SGD(rate) for player, rate in rates.items()}, run_eagerly=True)
    before = {player: [w.numpy() for w in model.weights_of(player)] for player in model.players}
    model.train_on_batch({"views": (x,)})
    for player in model.players:
        moved = [not np.array_equal(w, old) for w, old in zip(model.weights_of(player), before[player])]
        assert not any(moved) if player == still else all(moved)


def test_true_and_made_regions_have_statistics_of_their_own():
    """The logits of true regions do not depend on what the decoder makes."""
    model, x = made(), images()
    seen, whole = [], model.discriminator
    model.discriminator = lambda region, training: seen.append(np.asarray(region)) or whole(region, training=training)
    model({"views": (x,)}, training=True)
    assert [region.shape for region in seen] == [(4, 6, 6, 3)] * 2
    np.testing.assert_allclose(seen[0], x[:, 3:9, 3:9] / 127.5 - 1, atol=1e-5)


def test_the_generator_alone_makes_no_other_statistics():
    """Of the discriminator: it is called for its own loss, and the generator's is read from the same logits."""
    model, x = made(), images()
    calls, whole = [], model.discriminator
    model.discriminator = lambda region, training: calls.append(1) or whole(region, training=training)
    model({"views": (x,)}, training=True)
    assert len(calls) == 2


def test_the_discriminator_is_that_of_dcgan():
    from keras_ssl.methods.pretext.adversarial_context_encoder import discriminator

    network = discriminator((64, 64, 3), 64)
    widths = [layer.filters for layer in network.layers if hasattr(layer, "filters")]
    assert widths == [64, 128, 256, 512] and network.get_layer("relu4").output.shape == (None, 4, 4, 512)
    assert "bn1" not in [layer.name for layer in network.layers]
    assert network.get_layer("down2").kernel.numpy().std() == pytest.approx(0.02, rel=0.05)
    decoder = made(width=32).painter.layers[-1]
    assert decoder.get_layer("up1").kernel.numpy().std() == pytest.approx(0.02, rel=0.05)


def test_the_adversary_has_a_gradient_for_the_encoder():
    model, x = made(error_weight=0.0), images()
    weight = model.encoder.trainable_variables[0].value
    with tf.GradientTape() as tape:
        tape.watch(weight)
        loss = model({"views": (x,)}, training=True)["loss"]["generator"]
    assert np.abs(tape.gradient(loss, weight)).max() > 0


def test_the_rates_are_those_of_the_authors():
    found = recipe.players()
    assert all(type(one) is optimizers.Adam and one.beta_1 == 0.5 for one in found.values())
    assert {name: one.get_config()["learning_rate"] for name, one in found.items()} == pytest.approx(
        {"generator": 2e-3, "discriminator": 2e-4}
    )
