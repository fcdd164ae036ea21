"""LeJEPA: arXiv 2511.08544."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import distribute, losses
from tests import cases
from tests.reference import gaussian as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas
from tests.test_redundancy import encoder, value_and_gradient, vectors, view

CASE = cases.Case(
    {"hidden": 16, "dim": 8, "slices": 32, "regularizer_weight": 0.1}, cases.any_size_encoder, cases.multi_crop
)


def unit_rows(count, dim, seed=5):
    x = vectors(count, dim, seed=seed)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def small(**options):
    return keras_ssl.LeJEPA(encoder(), **{"hidden": 7, "dim": 5, "slices": 16} | options)


# The losses


@pytest.mark.parametrize("points, limit", [(17, 3.0), (5, 2.0)])
def test_sig_reg_is_the_loop(points, limit):
    x, directions = 0.7 * vectors(2, 6, 3) + 0.4, unit_rows(5, 3)
    value, (slope,) = value_and_gradient(lambda x: losses.sig_reg(x, directions, points, limit), x)
    assert value.dtype == tf.float64
    assert float(value) == pytest.approx(reference.sig_reg(x, directions, points, limit), rel=1e-9)
    loop = gradient(lambda x: reference.sig_reg(x, directions, points, limit), x)
    np.testing.assert_allclose(slope, loop, atol=1e-7)


@pytest.mark.parametrize("count", [1, 2, None])
def test_the_invariance_is_the_loop_and_its_mean_gets_a_gradient(count):
    x = vectors(3, 4, 2)
    value, (slope,) = value_and_gradient(lambda x: losses.invariance_to_mean(x, count), x)
    assert float(value) == pytest.approx(reference.invariance(x, count or 3), rel=1e-9)
    np.testing.assert_allclose(slope, gradient(lambda x: reference.invariance(x, count or 3), x), atol=1e-7)


def test_the_statistic_is_about_one_for_gaussians_of_any_number():
    directions = unit_rows(64, 16)
    for rows in (16, 256, 4096):
        found = float(losses.sig_reg(vectors(4, rows, 16).astype("float32"), directions))
        assert found == pytest.approx(1.05, abs=0.2), rows


def test_the_statistic_of_other_distributions_grows_with_their_number():
    directions, x = unit_rows(64, 16), vectors(4096, 16).astype("float32")
    for rows in (8, 512):
        assert float(losses.sig_reg(np.zeros((rows, 16)), directions)) == pytest.approx(0.402 * rows, rel=1e-3)
    few, many = (float(losses.sig_reg(2 * x[:rows], directions)) for rows in (1024, 4096))
    assert many == pytest.approx(4 * few, rel=0.1) and few > 20


def test_the_statistic_is_the_integral():
    x = vectors(50, 1) ** 2 - 0.5
    exact = reference.epps_pulley(x[:, 0], points=20_001)
    assert float(losses.sig_reg(x, np.ones((1, 1)))) == pytest.approx(exact, rel=1e-3)


def test_the_statistic_is_of_each_view_apart():
    """Two views of one Gaussian half each are not Gaussian, though all of them together are."""
    x = np.sort(vectors(512, 1), axis=0)
    halves, directions = np.stack([x[:256], x[256:]]), np.ones((1, 1))
    apart = [float(losses.sig_reg(half, directions)) for half in halves]
    assert float(losses.sig_reg(halves, directions)) == pytest.approx(np.mean(apart)) and min(apart) > 20
    assert float(losses.sig_reg(x, directions)) < 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_losses_are_float32_inside(dtype):
    low, directions = ops.cast(vectors(2, 8, 3), dtype), unit_rows(5, 3)
    for function in (lambda x: losses.sig_reg(x, directions), losses.invariance_to_mean):
        assert function(low).dtype == tf.float32
        assert float(function(low)) == pytest.approx(float(function(ops.cast(low, "float32"))), rel=1e-6)


def assert_replicas_are_one(strategy, loss_of, x):
    """`loss_of` the embeddings `(views, batch, dim)` of two replicas is that of one, and so is its gradient."""

    def value_and_slope(x):  # (batch, views, dim), so that the batch can be shared
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = loss_of(ops.swapaxes(x, 0, 1))
            share = loss / distribute.replicas()
        return loss, tape.gradient(share, x)

    loss, slope = value_and_slope(tf.constant(x))
    (one, first), (two, second) = on_replicas(strategy, value_and_slope, x)
    assert one == pytest.approx(float(loss), rel=1e-12) and two == pytest.approx(float(loss), rel=1e-12)
    np.testing.assert_allclose(np.concatenate([first, second]), slope, atol=1e-12)


def test_two_replicas_are_one_with_the_whole_batch(two_replicas):
    directions = unit_rows(6, 3)
    assert_replicas_are_one(two_replicas, lambda x: losses.sig_reg(x, directions), vectors(8, 2, 3))


# The method


def outputs_and_inputs(name, **options):
    """A method's outputs for three global and two local views, and what NumPy makes its loss of.

    These are the embeddings `(views, batch, dim)` and the directions.
    """
    images = keras.Input((None, None, 3))
    means = keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, -1)(images)))
    model = getattr(keras_ssl, name)(means, depth=1, dim=5, slices=16, **options)
    views = [view(seed) for seed in range(3)] + [view(seed)[:, :6, :6] for seed in (3, 4)]
    kernel, bias = (np.float64(x) for x in model.projection.get_weights())
    embeddings = np.stack([(np.float64(x).mean(axis=(1, 2)) / 127.5 - 1) @ kernel + bias for x in views])
    state = model.draws.state.numpy()
    directions = np.float64(model.directions())
    model.draws.state.assign(state)
    return {key: float(value) for key, value in model({"views": views}, training=True).items()}, embeddings, directions


def test_the_loss_is_the_papers():
    outputs, embeddings, directions = outputs_and_inputs("LeJEPA", regularizer_weight=0.3)
    invariance, test = reference.invariance(embeddings, 3), reference.sig_reg(embeddings, directions)
    assert outputs["invariance"] == pytest.approx(invariance, rel=1e-4)
    assert outputs["sig_reg"] == pytest.approx(test, rel=1e-4)
    assert outputs["loss"] == pytest.approx(0.7 * invariance + 0.3 * test, rel=1e-4)


def test_global_views_are_those_of_the_first_size_unless_told():
    views = [np.zeros((2, size, size, 3)) for size in (8, 8, 6, 8)]
    assert small().count_global(views) == 3 and small(global_views=1).count_global(views) == 1


def test_more_global_views_than_views_are_refused():
    views = [view(seed) for seed in range(2)]
    with pytest.raises(ValueError, match="global_views=3 and 2 views"):
        small(global_views=3)({"views": views}, training=True)
    assert np.isfinite(small(global_views=2)({"views": views}, training=True)["loss"])


def test_the_projector_is_the_papers():
    model = keras_ssl.LeJEPA(encoder())
    head = [type(layer).__name__ for layer in model.projection.layers[-1].layers]
    block = ["Dense", "BatchNormalization", "ReLU"]
    assert head == [*block, *block, "Dense"]
    assert [layer.units for layer in model.projection.layers[-1].layers[::3]] == [2048, 2048, 128]
    assert all(layer.use_bias for layer in model.projection.layers[-1].layers[::3])
    assert model.evaluated_encoder is model.encoder


def test_directions_differ_between_steps_and_agree_between_replicas(two_replicas):
    model = small()
    first, second = (np.asarray(model.directions()) for _ in range(2))
    assert first.shape == (16, 5) and np.abs(first - second).max(axis=1).min() > 0.1
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-6)
    with two_replicas.scope():
        shared = keras_ssl.LeJEPA(cases.small_encoder(), hidden=4, dim=5, slices=16)
    one, two = on_replicas(two_replicas, lambda x: shared.directions() + 0 * x[0], np.zeros((2, 1), "float32"))
    np.testing.assert_array_equal(one, two)


def test_directions_are_uniform_on_the_sphere():
    directions = np.asarray(small(slices=4000, dim=3).directions())
    np.testing.assert_allclose(directions.T @ directions / 4000, np.eye(3) / 3, atol=0.03)
    np.testing.assert_allclose(directions.mean(axis=0), 0, atol=0.03)


def trained(steps, name="LeJEPA", frozen=False, batch=64, **options):
    """The logs of all steps, and the last embeddings."""
    keras.utils.set_random_seed(0)
    model = getattr(keras_ssl, name)(encoder(), hidden=32, dim=4, slices=32, **options)
    model.encoder.trainable = not frozen
    model.compile(optimizer=keras.optimizers.Adam(5e-3))
    draw = np.random.default_rng(0)
    smooth = draw.uniform(0, 255, (batch, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    logs = []
    for _ in range(steps):
        made = [(smooth * draw.uniform(0.7, 1.3, (batch, 1, 1, 3))).astype("float32") for _ in range(2)]
        logs.append(model.train_on_batch({"views": tuple(made)}, return_dict=True))
        model.reset_metrics()
    return logs, np.float64(model.embed(made))


def test_without_the_test_of_normality_all_embeddings_become_one():
    spread = {weight: trained(120, regularizer_weight=weight)[1].std(axis=1).mean() for weight in (0.0, 0.02)}
    assert spread[0.0] < 0.2 and spread[0.02] > 0.5, spread


def test_a_projector_alone_can_make_the_embeddings_gaussian():
    logs, _ = trained(60, frozen=True, regularizer_weight=1.0)
    found = [step["sig_reg"] for step in logs]
    assert found[0] > 5 and np.mean(found[-10:]) < 1.05, found


@pytest.mark.parametrize("options, message", [
    ({"regularizer_weight": 1.5}, "regularizer_weight must be a finite number from 0 to 1"),
    ({"slices": 0}, "slices must be a positive int"),
    ({"activation": "tanh"}, "activation must be one of"),
    ({"global_views": 0}, "global_views must be a positive int or None"),
])  # fmt: skip
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
