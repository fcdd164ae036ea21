"""DIM: arXiv 1808.06670. Its estimators, its networks, and the prior that a second player asks for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import encoders, losses
from keras_ssl.methods.mutual_information.dim import copy_and_mlp
from tests import cases
from tests.reference import information as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

LOSSES = {
    "jsd": (losses.information_jsd, reference.jsd),
    "nce": (losses.information_nce, reference.nce),
    "dv": (losses.information_dv, reference.dv),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
SIZES = {"layer": "map", "summary": 3, "units": 8, "hidden": 6}


def encoder(size=8):
    images = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(6, 3, 2, activation="relu", name="map")(keras.layers.Rescaling(1 / 127.5, -1)(images))
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def both(estimator="nce"):
    return {"estimator": estimator, "global_weight": 0.5}


def case_encoder():
    return encoder(cases.SIZE)


def adam():
    return {"encoder": cases.sgd(), "discriminator": cases.sgd()}


CASE = cases.Case(SIZES | both(), encoder=case_encoder, views=cases.one_crop, optimizer=adam)


def make(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.DIM(encoder(), **SIZES | options)


def images(batch=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, 8, 8, 3)).astype("float32")


def scores(*shape, seed=0):
    return 2 * np.random.default_rng(seed).normal(size=shape)


# The estimators


@every_loss
def test_estimators_are_the_loops_in_value_and_gradient(name):
    loss, loop = LOSSES[name]
    s = scores(4, 4, 3)
    x = tf.constant(s)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    assert float(value) == pytest.approx(loop(s), rel=1e-12)
    np.testing.assert_allclose(tape.gradient(value, x), gradient(loop, s), atol=1e-8)


@every_loss
def test_the_order_of_places_counts_for_nothing(name):
    s = scores(4, 4, 5)
    loss = LOSSES[name][0]
    assert float(loss(s[:, :, [3, 0, 4, 1, 2]])) == pytest.approx(float(loss(s)), rel=1e-12)


@every_loss
def test_large_scores_do_not_overflow(name):
    for factor in (1e4, -1e4):
        assert np.isfinite(LOSSES[name][0]((factor * scores(3, 3, 2)).astype("float32")))


@every_loss
def test_estimators_are_float32_inside(name):
    low = tf.cast(scores(3, 3, 2), "float16")
    assert LOSSES[name][0](low).dtype == "float32"


@every_loss
def test_two_replicas_are_one_with_the_whole_batch(two_replicas, name):
    s = scores(4, 4, 3)

    def value_and_slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = LOSSES[name][0](x)
            share = loss / keras_ssl.distribute.replicas()
        return loss, tape.gradient(share, x)

    expected, slope = value_and_slope(tf.constant(s))
    (one, first), (two, second) = on_replicas(two_replicas, value_and_slope, s)
    assert (one + two) / 2 == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(np.concatenate([first, second]), slope, atol=1e-12)


def test_extremes_of_the_divergence():
    assert float(losses.information_jsd(np.zeros((3, 3, 4)))) == pytest.approx(0, abs=1e-12)
    best = np.where(np.eye(3)[:, :, None], 100.0, -100.0) * np.ones(4)
    assert float(losses.information_jsd(best)) == pytest.approx(-2 * np.log(2))


def test_nce_of_one_place_is_info_nce_with_all_in_the_sum():
    s = scores(5, 5, 1)
    expected = np.mean([np.log(np.exp(s[i, :, 0]).sum()) - s[i, i, 0] for i in range(5)])
    assert float(losses.information_nce(s)) == pytest.approx(expected, rel=1e-12)


def test_other_places_of_the_same_image_are_no_negatives():
    s = scores(3, 3, 4)
    x = tf.constant(s)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = losses.information_nce(x)
    slope = tape.gradient(loss, x).numpy()
    own = slope[np.arange(3), np.arange(3)]
    assert (own < 0).all() and (slope[~np.eye(3, dtype=bool)] > 0).all()


# The networks


def test_the_papers_network():
    model = encoders.dim_net((32, 32, 3))
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 4_855_680
    assert model.get_layer("local").output.shape == (None, 8, 8, 128) and model.output_shape == (None, 1024)
    large = encoders.dim_net((64, 64, 3), width=4, dim=8)
    assert large.get_layer("local").output.shape == (None, 8, 8, 16)
    for shape in ((28, 28, 3), (32, 64, 3), (8, 8, 3), (None, None, 3)):
        with pytest.raises(ValueError, match="equal sides of 16, 32, 64"):
            encoders.dim_net(shape)


def test_the_compared_vectors_start_as_a_noisy_copy():
    network = copy_and_mlp(5, 12, "copy")
    kernel = np.asarray(network.get_layer("copy").kernel)
    assert kernel.shape == (5, 12) and (np.diag(kernel) == 1).all()
    noise = kernel[~np.eye(5, 12, dtype=bool)]
    assert 0.008 < np.abs(noise).max() <= 0.01 and abs(noise.mean()) < 0.002
    assert np.abs(np.asarray(copy_and_mlp(12, 5, "narrow").get_layer("copy").kernel)).max() < 0.99


def test_defaults_are_the_papers():
    model = keras_ssl.DIM(encoders.dim_net((32, 32, 3), width=8))
    assert model.of_places.output_shape == model.of_summary.output_shape == (None, 2048)
    assert model.summarize.output_shape == (None, 64)
    assert [kernel.shape for kernel in model.discriminator.weights[::2]] == [(64, 1000), (1000, 200), (200, 1)]


def weights_of(network):
    return [np.float64(v) for v in network.trainable_variables]


def parts(model, view):
    local, features = (np.float64(x) for x in model.maps(view, training=True))
    kernel, bias = weights_of(model.summarize)
    return local, features @ kernel + bias


def dense(x, network, relu=True):
    values = weights_of(network)
    for number in range(0, len(values), 2):
        x = x @ values[number] + values[number + 1]
        x = np.maximum(x, 0) if number + 2 < len(values) else x
    return x


def uniform_of(model, rows):
    state = model.draws.state.numpy()
    found = np.float64(keras_ssl.augment.uniform(keras_ssl.augment.rows.local_seeds(model.draws, rows), model.summary))
    model.draws.state.assign(state)
    return found


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_are_the_papers(name):
    options = {"estimator": name, "global_weight": 0.5, "local_weight": 0.7, "prior_weight": 0.3, "penalty": 2.0}
    model, view = make(**options), images()
    draw = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1 * draw.normal(size=variable.shape))
    noise = uniform_of(model, 4)
    found = model({"views": (view,)}, training=True)
    local, summary = parts(model, view)
    loop = LOSSES[name][1]

    order = [v.path.split("/")[-2:] for v in model.of_places.trainable_variables]
    assert [kind for _, kind in order] == ["kernel", "gamma", "beta", "kernel", "bias", "kernel", "gamma", "beta"]
    places = reference.copy_and_mlp(local.reshape(-1, 6), weights_of(model.of_places)).reshape(4, 9, 8)
    queries = reference.copy_and_mlp(summary, weights_of(model.of_summary))
    s_local = np.einsum("id,jld->ijl", queries, places)

    whole, beside = local.reshape(4, -1) @ weights_of(model.of_map)[0], dense(summary, model.beside_map)
    s_global = np.array([[dense(np.maximum(a + b, 0), model.of_pairs) for b in whole] for a in beside])

    made = 1 / (1 + np.exp(-summary))
    softplus = lambda x: np.logaddexp(x, 0)  # noqa: E731
    prior = softplus(-dense(made, model.discriminator)).mean()
    information = 0.7 * loop(s_local) + 0.5 * loop(s_global)
    assert float(found["information"]) == pytest.approx(-information, rel=1e-4, abs=1e-5)
    assert float(found["prior"]) == pytest.approx(prior, rel=1e-5)
    assert float(found["loss"]["encoder"]) == pytest.approx(information + 0.3 * prior, rel=1e-4, abs=1e-5)

    def slope(x):
        each = [gradient(lambda y: dense(y, model.discriminator)[0], row) for row in x]
        return np.mean([np.sum(one**2) for one in each])

    expected = softplus(-dense(noise, model.discriminator)).mean() + softplus(dense(made, model.discriminator)).mean()
    expected += 2.0 * (slope(noise) + slope(made)) / 2
    assert float(found["loss"]["discriminator"]) == pytest.approx(expected, rel=1e-4)


def plain(network, x):
    *inner, last = [*network.inner, network.last]
    for layer in inner:
        x = layer(x)
    return last(x)[:, 0]


def test_the_slope_is_the_gradient_and_has_one_itself():
    model = make()
    x = tf.constant(np.random.default_rng(0).uniform(size=(5, 3)), "float32")
    with tf.GradientTape() as outer:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = plain(model.discriminator, x)
        expected = tf.reduce_sum(tape.gradient(score, x) ** 2, axis=1)
        expected_mean = tf.reduce_mean(expected)
    weights = model.discriminator.trainable_variables[::2]  # a bias has none
    slopes = outer.gradient(expected_mean, weights)
    with tf.GradientTape() as outer:
        found = model.discriminator(x)
        mean = tf.reduce_mean(found[1])
    np.testing.assert_allclose(found[0], score, rtol=1e-5)
    np.testing.assert_allclose(found[1], expected, rtol=1e-4)
    for one, other in zip(outer.gradient(mean, weights), slopes):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def test_each_player_has_its_own_weights_and_the_penalty_stays_out_of_the_encoder():
    model = make(**both())
    own = {player: {id(v) for v in model.weights_of(player)} for player in model.players}
    assert not own["encoder"] & own["discriminator"]
    assert len(own["encoder"]) + len(own["discriminator"]) == len(model.trainable_variables)
    with tf.GradientTape() as tape:
        loss = model({"views": (images(),)}, training=True)["loss"]["discriminator"]
    assert all(slope is None for slope in tape.gradient(loss, model.weights_of("encoder")))


@pytest.mark.parametrize("options, names", [
    ({}, ("of_places", "of_summary")),
    ({"local_weight": 0.0, "global_weight": 1.0}, ("of_map", "beside_map", "of_pairs")),
])  # fmt: skip
def test_only_what_is_weighted_has_networks(options, names):
    model = make(**options)
    found = [name for name in ("of_places", "of_summary", "of_map", "beside_map", "of_pairs") if hasattr(model, name)]
    assert tuple(found) == names and np.isfinite(model({"views": (images(),)}, training=True)["loss"]["encoder"])


@pytest.mark.parametrize("options, message", [
    ({"layer": "nothing"}, r"one of \[.*'map'.*layer='nothing'"),
    ({"estimator": "mine"}, "estimator must be one of"),
    ({"local_weight": 0.0}, "must be above 0"),
    ({"penalty": -1.0}, "penalty must be a finite number from 0"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_the_global_form_needs_maps_of_a_known_size():
    with pytest.raises(ValueError, match="known size.*None x None"):
        keras_ssl.DIM(encoder(size=None), **SIZES | {"global_weight": 1.0})


def test_the_prior_makes_the_summaries_uniform():
    """Summaries of one value each would be told from the noise at once."""
    keras.utils.set_random_seed(0)
    given = keras.Input((4, 4, 2))
    flat = keras.layers.Flatten()(keras.layers.Conv2D(2, 1, name="map")(given))
    model = keras_ssl.DIM(
        keras.Model(given, flat), layer="map", summary=2, units=4, local_weight=1e-3, prior_weight=1.0, penalty=0.1
    )
    model.summarize.set_weights([0.3 * np.random.default_rng(0).normal(size=(32, 2)), np.array([2.0, -2.0])])
    rates = {"encoder": 1e-2, "discriminator": 1e-3}
    model.compile(optimizer={player: keras.optimizers.Adam(rate, beta_1=0.5) for player, rate in rates.items()})
    view = np.random.default_rng(1).normal(size=(128, 4, 4, 2)).astype("float32")

    def made():
        return np.asarray(tf.sigmoid(model.summarize(model.encoder(view))))

    before = made()
    for _ in range(100):
        model.train_on_batch({"views": (view,)})
    after = made()
    assert np.abs(before.mean(axis=0) - 0.5).min() > 0.25
    assert np.abs(after.mean(axis=0) - 0.5).max() < 0.1, after.mean(axis=0)
    shares = np.array([np.histogram(column, 4, (0, 1))[0] for column in after.T]) / 128
    assert shares.min() > 0.1 and shares.max() < 0.45, shares
