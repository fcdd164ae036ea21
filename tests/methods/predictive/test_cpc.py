"""CPC: arXiv 1807.03748. What each context has seen, what it is asked, and among which candidates."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import losses, recipes
from keras_ssl.methods.predictive.cpc import offsets, prediction_network, turned
from tests import cases
from tests.reference import predictive as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

GRID, PATCH = 4, 3
SIZES = {"grid": GRID, "patch": PATCH, "stride": PATCH, "hidden": 6, "depth": 2, "dim": 5}


def patches_of_crops():
    return keras_ssl.augment.View([keras_ssl.augment.RandomFlip(), keras_ssl.augment.PatchGrid(GRID, PATCH)])


CASE = cases.Case(SIZES | {"steps": 2}, encoder=cases.padded_encoder, views=patches_of_crops)


def encoder():
    """Without anything that depends on the other patches."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(7, 2, activation="relu")(keras.layers.Rescaling(1 / 127.5, -1)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def make(**options):
    model = keras_ssl.CPC(encoder(), **SIZES | options)
    randomize(model)
    return model


def randomize(model, seed=0):
    """Biases of zero hide mistakes, and features of so few weights are all alike."""
    draw = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.5 * draw.normal(size=variable.shape))


def patches(batch=3, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (batch, GRID**2, PATCH, PATCH, 3))
    return pixels.astype("float32")


def grids(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# The loss


@pytest.mark.parametrize("offset", [1, 3])
def test_the_loss_of_a_step_is_the_loop_in_value_and_gradient(offset):
    p, t = grids(2, 4, 3, 5), grids(2, 4, 3, 5, seed=1)
    one, other = tf.constant(p), tf.constant(t)
    with tf.GradientTape() as tape:
        tape.watch([one, other])
        loss = losses.info_nce_ahead(one, other, offset)
    slopes = tape.gradient(loss, [one, other])
    assert float(loss) == pytest.approx(reference.info_nce_ahead(p, t, offset), rel=1e-12)
    for slope, function, x in (
        (slopes[0], lambda x: reference.info_nce_ahead(x, t, offset), p),
        (slopes[1], lambda x: reference.info_nce_ahead(p, x, offset), t),
    ):
        np.testing.assert_allclose(slope, gradient(function, x), atol=1e-8)
    assert not slopes[0][:, 4 - offset :].numpy().any()  # the last rows predict nothing


def test_predictions_are_told_from_all_places_of_all_images():
    """Targets that are unit vectors of their own: the right one is found, and no other counts as right."""
    t = np.eye(2 * 3 * 2).reshape(2, 3, 2, 12)
    p = 50 * np.roll(t, -1, axis=1)  # the row below
    assert float(losses.info_nce_ahead(p, t, 1)) == pytest.approx(0, abs=1e-12)
    assert float(losses.info_nce_ahead(p, t, 2)) == pytest.approx(50)
    assert float(losses.info_nce_ahead(0 * p, t, 1)) == pytest.approx(np.log(12))


def test_offsets_that_do_not_fit_are_refused():
    for offset in (0, 4):
        with pytest.raises(ValueError, match=f"from 1 to 3.*offset={offset}"):
            losses.info_nce_ahead(grids(1, 4, 2, 3), grids(1, 4, 2, 3), offset)


def test_the_loss_is_float32_inside():
    low = [tf.cast(grids(2, 3, 2, 4, seed=seed), "bfloat16") for seed in (0, 1)]
    found = losses.info_nce_ahead(*low, 1)
    assert found.dtype == "float32"
    assert float(found) == pytest.approx(float(losses.info_nce_ahead(*(tf.cast(x, "float32") for x in low), 1)))


def test_two_replicas_see_the_places_of_each_other(two_replicas):
    p, t = grids(4, 3, 2, 5), grids(4, 3, 2, 5, seed=1)

    def value_and_slopes(p, t):
        with tf.GradientTape() as tape:
            tape.watch([p, t])
            loss = losses.info_nce_ahead(p, t, 1)
            share = loss / keras_ssl.distribute.replicas()
        return loss, *tape.gradient(share, [p, t])

    expected, *slopes = value_and_slopes(tf.constant(p), tf.constant(t))
    (one, *first), (two, *second) = on_replicas(two_replicas, value_and_slopes, p, t)
    assert (one + two) / 2 == pytest.approx(float(expected), rel=1e-12)
    for mine, yours, whole in zip(first, second, slopes):
        np.testing.assert_allclose(np.concatenate([mine, yours]), whole, atol=1e-12)


# The method


def layers_of(network):
    return [[np.float64(w) for w in layer.get_weights()] for layer in network.layers if layer.get_weights()]


@pytest.mark.parametrize("steps, directions", [(None, 1), (2, 4)])
def test_the_loss_is_the_papers(steps, directions):
    model, view = make(steps=steps, directions=directions), patches()
    found = model({"views": (view,)}, training=True)
    latents = np.float64(model.latents(view))
    assert model.offsets == [1, 2, 3][:steps]
    expected = 0
    for number, network in enumerate(model.networks):
        grid = latents.transpose(0, 2, 1, 3) if number >= 2 else latents
        grid = grid[:, ::-1] if number % 2 else grid
        expected += reference.cpc(grid, layers_of(network), 2, model.offsets)
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-5)
    count = len(model.offsets) * directions
    assert float(found["information"]) == pytest.approx(np.log(3 * 16) - expected / count, rel=1e-4)


def test_the_gradient_reaches_the_encoder_by_predictions_and_targets():
    model, view = make(steps=1, depth=1), patches(2)
    latents = tf.Variable(model.latents(view))
    with tf.GradientTape() as tape:
        targets, prediction = model.networks[0](latents)
        loss = losses.info_nce_ahead(0.1 * prediction, targets, 1)
    slope = tape.gradient(loss, latents)
    of = lambda x: reference.cpc(x, layers_of(model.networks[0]), 1, [1])  # noqa: E731
    np.testing.assert_allclose(slope, gradient(of, np.float64(latents)), atol=1e-5)


def test_the_latents_are_those_of_the_patches_in_the_order_of_the_grid():
    model, view = make(), patches()
    latents = model.latents(view)
    each = model.encoder(view[2, [7]])
    np.testing.assert_allclose(latents[2, 1, 3], each[0], rtol=1e-5)


@pytest.mark.parametrize("number", range(4))
def test_no_context_has_seen_what_lies_ahead(number):
    depth, side = 2, 6
    network = prediction_network(side, 12, 24, depth, 3, 1, "ahead")
    draw = np.random.default_rng(1)
    for variable in network.trainable_variables:
        variable.assign(0.4 * draw.normal(size=variable.shape))
    latents = tf.constant(grids(1, side, side, 12), "float32")
    for row in (0, 2, 4):
        with tf.GradientTape() as tape:
            tape.watch(latents)
            prediction = network(turned(latents, number))[1][:, row, 2]
        seen = np.abs(turned(tape.gradient(prediction, latents), number)).sum(axis=(0, 3)) > 0
        rows = np.flatnonzero(seen.any(axis=1))
        assert rows.tolist() == list(range(max(0, row - depth), row + 1)), (row, rows)
        assert seen[row, 1] and seen[row, 3]  # to both sides of its own row


def test_turned_grids_have_their_direction_below():
    grid = np.arange(9.0).reshape(1, 3, 3, 1)
    found = [np.asarray(turned(grid, number))[0, :, 0, 0].tolist() for number in range(4)]
    assert found == [[0, 3, 6], [6, 3, 0], [0, 1, 2], [2, 1, 0]]


def test_every_step_has_a_network_of_its_own():
    model, view = make(), patches()
    network = model.networks[0]
    with tf.GradientTape() as tape:
        targets, first, *_ = network(model.latents(view), training=True)
        loss = losses.info_nce_ahead(0.1 * first, targets, 1)
    kernels = [layer.kernel.value for layer in network.layers if layer.name.startswith("conv")][-3:]
    slopes = tape.gradient(loss, kernels, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    touched = [bool(np.abs(slope).max() > 0) for slope in slopes]
    assert touched == [True, False, False]


def test_rows_that_overlap_are_not_predicted():
    assert offsets(7, 64, 32, None) == [2, 3, 4, 5, 6] == offsets(7, 64, 32, 5)
    assert offsets(6, 80, 36, None) == [3, 4, 5] and offsets(5, 10, 5, 2) == [2, 3] and offsets(4, 3, 3, 1) == [1]
    with pytest.raises(ValueError, match="steps must fit the grid: of 7 rows.* 5 do not overlap.*steps=6"):
        make(grid=7, patch=64, stride=32, steps=6)
    with pytest.raises(ValueError, match="0 do not overlap the first.*steps=None"):
        make(grid=2, patch=64, stride=32)


def test_the_result_is_the_mean_over_the_patches_of_images_of_any_size(tmp_path):
    model = make()
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3)).astype("float32")
    found = model.predict(images, verbose=0)
    grid = keras_ssl.augment.PatchGrid(GRID, PATCH)(images)
    np.testing.assert_allclose(found, np.mean(model.latents(grid), axis=(1, 2)), rtol=1e-5)
    keras_ssl.export(model, tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(again(images), found, rtol=1e-5)
    larger = images.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(again(larger), found, rtol=1e-4)


def test_patches_of_the_result_may_overlap():
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3)).astype("float32")
    model = make(grid=5, patch=4, stride=2)
    grid = keras_ssl.augment.PatchGrid(5, 4, stride=2)(images)
    np.testing.assert_allclose(model.predict(images, verbose=0), np.mean(model.latents(grid), axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 12, 12, 3), (2, 9, 3, 3, 3), (2, 16, 4, 4, 3)])
def test_views_that_are_no_such_grid_are_refused(shape):
    with pytest.raises(ValueError, match=r"as patches of shape \(batch, 16, 3, 3, 3\).*PatchGrid\(4, 3, stride=3\)"):
        make()({"views": (np.zeros(shape, "float32"),)}, training=True)


def test_the_contexts_learn_what_lies_below():
    """Images of stripes that run downwards: all rows are alike, and images differ."""
    keras.utils.set_random_seed(0)
    model = keras_ssl.CPC(encoder(), **SIZES | {"hidden": 16, "dim": 16})
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    colors = np.random.default_rng(0).uniform(0, 255, (16, 1, GRID, 1, 1, 3)).astype("float32")
    view = np.broadcast_to(colors, (16, GRID, GRID, PATCH, PATCH, 3)).reshape(16, GRID**2, PATCH, PATCH, 3)
    found = []
    for _ in range(60):
        found.append(model.train_on_batch({"views": (view,)}, return_dict=True)["information"])
        model.reset_metrics()
    assert found[0] < 0.3 and found[-1] > 1.5, found  # at most log 64: each stripe is there four times


def test_the_network_of_the_paper_sees_no_colors():
    run = recipes.Run((64, 64, 3), 8, 8, 1, 1, "resnet18", width=4)
    encoder = recipes.make("CPC", run)[0].encoder
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    gray = np.repeat(images @ np.array([[0.2989], [0.5870], [0.1140]], "float32"), 3, axis=-1)
    np.testing.assert_allclose(encoder(images), encoder(gray), rtol=1e-2, atol=1e-2)
    assert np.abs(np.asarray(encoder(images)) - np.asarray(encoder(images[::-1]))).max() > 0.05
