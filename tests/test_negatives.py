"""The losses of the negatives: their papers' loops, and how they reduce to one another."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl import distribute, losses
from tests.reference import negatives as reference
from tests.reference.losses import gradient
from tests.test_distribute import on_replicas

LABELS = np.array([2, 0, 2, 1, 0, 2])
# name: (the loss of two views, what the paper's loop makes of them)
LOSSES = {
    "sup_con": (
        lambda a, b: losses.sup_con([a, b], LABELS[: a.shape[0]], 0.3),
        lambda a, b: reference.sup_con([a, b], LABELS[: a.shape[0]], 0.3) * 0.3 / 0.07,
    ),
    "sup_con, inside": (
        lambda a, b: losses.sup_con([a, b], LABELS[: a.shape[0]], 0.5, base_temperature=None, inside=True),
        lambda a, b: reference.sup_con([a, b], LABELS[: a.shape[0]], 0.5, inside=True),
    ),
    "decoupled": (lambda a, b: losses.decoupled(a, b, 0.2), lambda a, b: reference.decoupled(a, b, 0.2)),
    "decoupled, weighted": (
        lambda a, b: losses.decoupled(a, b, 0.2, weighted=True, sigma=0.7),
        lambda a, b: reference.decoupled(a, b, 0.2, weighted=True, sigma=0.7),
    ),
    "debiased": (lambda a, b: losses.debiased(a, b, 0.5, 0.1), lambda a, b: reference.debiased(a, b, 0.5, 0.1)),
    "debiased, half": (lambda a, b: losses.debiased(a, b, 0.5, 0.5), lambda a, b: reference.debiased(a, b, 0.5, 0.5)),
    "hard_negative": (
        lambda a, b: losses.hard_negative(a, b, 0.5, 0.1, 1.5),
        lambda a, b: reference.debiased(a, b, 0.5, 0.1, 1.5),
    ),
    "invariant_spread": (
        lambda a, b: losses.invariant_spread(a, b, 0.3, detach_others=False),
        lambda a, b: reference.invariant_spread(a, b, 0.3),
    ),
    "invariant_spread, heavy": (
        lambda a, b: losses.invariant_spread(a, b, 0.3, 2.5, detach_others=False),
        lambda a, b: reference.invariant_spread(a, b, 0.3, 2.5),
    ),
    "alignment": (losses.alignment, lambda a, b: reference.alignment(a, b, 2)),
    "alignment, power 1": (lambda a, b: losses.alignment(a, b, 1.0), lambda a, b: reference.alignment(a, b, 1)),
    "uniformity": (
        lambda a, b: losses.uniformity(a, 2.0) + 2 * losses.uniformity(b, 0.5),
        lambda a, b: reference.uniformity(a, 2.0) + 2 * reference.uniformity(b, 0.5),
    ),
}
OF_TWO_VIEWS = {
    "sup_con": lambda a, b, t: losses.sup_con([a, b], np.arange(a.shape[0]), t),
    "decoupled": losses.decoupled,
    "weighted": lambda a, b, t: losses.decoupled(a, b, t, weighted=True),
    "debiased": losses.debiased,
    "hard_negative": losses.hard_negative,
    "flat_nce": losses.flat_nce,
    "invariant_spread": losses.invariant_spread,
}


def vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pair(batch=6, dim=4, seed=0):
    """Two views that resemble each other."""
    first = vectors(batch, dim, seed=seed)
    return first, first + 0.7 * vectors(batch, dim, seed=seed + 100)


def value_and_gradient(function, *arrays, dtype="float64"):
    variables = [keras.Variable(a, dtype=dtype) for a in arrays]
    with tf.GradientTape() as tape:
        value = function(*variables)
    assert value.shape == () and value.dtype == dtype
    return float(value), [g.numpy() for g in tape.gradient(value, [v.value for v in variables])]


@pytest.mark.parametrize("batch, dim", [(2, 3), (6, 4)])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loop_of_the_paper(name, batch, dim):
    loss, loop = LOSSES[name]
    a, b = pair(batch, dim)
    mean = lambda a, b: np.mean(loop(a, b))
    value, slopes = value_and_gradient(loss, a, b)
    assert value == pytest.approx(mean(a, b), rel=1e-9)
    np.testing.assert_allclose(slopes[0], gradient(lambda x: mean(x, b), a), atol=1e-7)
    np.testing.assert_allclose(slopes[1], gradient(lambda x: mean(a, x), b), atol=1e-7)
    value, found = value_and_gradient(loss, a, b, dtype="float32")
    assert value == pytest.approx(mean(a, b), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(found, slopes, atol=2e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_what_the_others_are_without_a_parameter_is_nt_xent(temperature):
    a, b = pair()
    expected = value_and_gradient(lambda *x: losses.nt_xent(*x, temperature), a, b)

    def same(loss, scale=1.0):
        value, slopes = value_and_gradient(loss, a, b)
        assert value == pytest.approx(scale * expected[0], rel=1e-9)
        np.testing.assert_allclose(slopes, scale * np.array(expected[1]), atol=1e-9)

    labels = np.array([5, 3, 9, 1, 0, 7])
    same(lambda *x: losses.sup_con(x, labels, temperature, base_temperature=None))
    same(lambda *x: losses.sup_con(x, labels, temperature), temperature / 0.07)
    same(lambda *x: losses.sup_con(x, labels, temperature, base_temperature=None, inside=True))
    same(lambda *x: losses.debiased(*x, temperature, tau_plus=0.0))
    same(lambda *x: losses.hard_negative(*x, temperature, tau_plus=0.0, beta=0.0))
    # the classification of InvaSpread is NT-Xent, the spread is on top of it
    spread = value_and_gradient(lambda *x: losses.invariant_spread(*x, temperature), a, b)[0]
    assert spread > expected[0]


def test_hard_negatives_without_beta_are_the_debiased():
    a, b = pair()
    extra = [vectors(6, 4, seed=7)]
    for more in ((), extra):
        expected = value_and_gradient(lambda *x: losses.debiased(*x, 0.5, 0.2, more), a, b)
        found = value_and_gradient(lambda *x: losses.hard_negative(*x, 0.5, 0.2, 0.0, more), a, b)
        assert found[0] == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-12)


def test_all_at_chance_know_their_value():
    """Vectors that are orthogonal to each other, partners too: all logits are 0."""
    n = 5
    eye = np.eye(2 * n)
    a, b = eye[:n], eye[n:]
    chance = np.log(2 * n - 1)
    assert float(losses.nt_xent(a, b)) == pytest.approx(chance)
    assert float(losses.sup_con([a, b], [0, 0, 1, 1, 2], 0.1)) == pytest.approx(chance / 0.7)
    assert float(losses.sup_con([a, b], [0, 0, 1, 1, 2], 0.1, inside=True)) == pytest.approx(chance / 0.7)
    assert float(losses.decoupled(a, b)) == pytest.approx(np.log(2 * n - 2))
    assert float(losses.decoupled(a, b, weighted=True)) == pytest.approx(np.log(2 * n - 2))
    assert float(losses.debiased(a, b)) == pytest.approx(chance)
    for beta in (0.0, 1.0, 5.0):  # equal similarities: nothing to weight
        assert float(losses.hard_negative(a, b, beta=beta)) == pytest.approx(chance)
    spread = chance - (2 * n - 2) * np.log(1 - 1 / (2 * n - 1))
    assert float(losses.invariant_spread(a, b)) == pytest.approx(spread)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_flat_nce_and_decoupled_are_nt_xent_without_its_multiplier(temperature):
    """View by view: their gradient is that of NT-Xent, divided by 1 - p+."""
    a, b = pair()
    weights = 1 / (1 - reference.chance(a, b, temperature))
    rows = lambda x, y: reference.nt_xent(x, y, temperature)
    of_first, of_second = lambda x: np.mean(weights * rows(x, b)), lambda x: np.mean(weights * rows(a, x))
    expected = [gradient(of_first, a), gradient(of_second, b)]
    _, flat = value_and_gradient(lambda *x: losses.flat_nce(*x, temperature), a, b)
    _, decoupled = value_and_gradient(lambda *x: losses.decoupled(*x, temperature), a, b)
    np.testing.assert_allclose(flat, expected, atol=1e-7)
    np.testing.assert_allclose(decoupled, flat, atol=1e-12)


@pytest.mark.parametrize("batch, temperature", [(2, 0.01), (6, 0.1), (5, 1.0)])
def test_flat_nce_is_one(batch, temperature):
    value, slopes = value_and_gradient(lambda *x: losses.flat_nce(*x, temperature), *pair(batch), dtype="float32")
    assert value == pytest.approx(1, abs=1e-6)
    assert np.abs(slopes).max() > 0


def test_flat_nce_keeps_a_gradient_where_nt_xent_is_solved():
    a = np.eye(4)
    b = a + 0.01 * vectors(4, 4)
    slope = lambda loss: np.abs(value_and_gradient(lambda *x: loss(*x, 0.05), a, b)[1]).max()
    assert slope(losses.nt_xent) < 1e-6 and slope(losses.flat_nce) > 0.01


@pytest.mark.parametrize("name", OF_TWO_VIEWS)
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_temperatures_are_finite(name, sign):
    """Cosines of 1 and -1 at t = 0.01."""
    a = np.repeat(vectors(3, 8), 2, axis=0)
    loss = lambda x, y: OF_TWO_VIEWS[name](x, y, 0.01)
    value, slopes = value_and_gradient(loss, a, sign * a, dtype="float32")
    assert np.isfinite(value) and np.isfinite(slopes).all()
    expected, _ = value_and_gradient(loss, a, sign * a)
    assert value == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", OF_TWO_VIEWS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_float32_inside(name, dtype):
    low = [ops.cast(x, dtype) for x in pair()]
    high = [ops.cast(x, "float32") for x in low]
    loss = OF_TWO_VIEWS[name](*low, 0.2)
    assert loss.dtype == tf.float32 and float(loss) == pytest.approx(float(OF_TWO_VIEWS[name](*high, 0.2)), rel=1e-6)
    assert losses.uniformity(low[0]).dtype == losses.alignment(*low).dtype == tf.float32


@pytest.mark.parametrize("name", OF_TWO_VIEWS)
def test_the_order_does_not_matter(name):
    a, b = pair()
    order = [3, 1, 5, 0, 2, 4]
    loss = float(OF_TWO_VIEWS[name](a, b, 0.3))
    assert float(OF_TWO_VIEWS[name](b, a, 0.3)) == pytest.approx(loss, rel=1e-6)
    assert float(OF_TWO_VIEWS[name](a[order], b[order], 0.3)) == pytest.approx(loss, rel=1e-6)
    if name != "flat_nce":  # always 1
        assert float(OF_TWO_VIEWS[name](a[order], b, 0.3)) != pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize("name", [*OF_TWO_VIEWS, "sup_con, inside", "uniformity"])
@pytest.mark.parametrize("batch", [2, 6])
def test_two_replicas_are_the_whole_batch(two_replicas, name, batch):
    a, b = (x.astype("float32") for x in pair(batch))
    labels = LABELS[:batch].astype("int32")
    loss = {
        **{name: lambda a, b, _, loss=loss: loss(a, b, 0.3) for name, loss in OF_TWO_VIEWS.items()},
        "sup_con": lambda a, b, labels: losses.sup_con([a, b], labels, 0.3),
        "sup_con, inside": lambda a, b, labels: losses.sup_con([a, b], labels, 0.3, inside=True),
        "uniformity": lambda a, b, _: losses.uniformity(a) + losses.alignment(a, b),
    }[name]

    def value_and_slope(a, b, labels):
        with tf.GradientTape() as tape:
            tape.watch((a, b))
            value = loss(a, b, labels) / distribute.replicas()
        return value, *tape.gradient(value, (a, b))

    expected, *slopes = value_and_slope(tf.constant(a), tf.constant(b), tf.constant(labels))
    (one, *one_slopes), (two, *two_slopes) = on_replicas(two_replicas, value_and_slope, a, b, labels)
    assert one + two == pytest.approx(float(expected), rel=1e-5)
    for whole, *halves in zip(slopes, one_slopes, two_slopes):
        np.testing.assert_allclose(np.concatenate(halves), whole, atol=2e-6)


@pytest.mark.parametrize("loss", [losses.decoupled, losses.debiased, losses.flat_nce, losses.invariant_spread])
def test_a_batch_of_one_is_refused(loss):
    with pytest.raises(ValueError, match="batch of two images at least"):
        loss(np.ones((1, 3)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="batch of two at least"):
        losses.uniformity(np.ones((1, 3)))


# SupCon


def test_sup_con_of_one_class_and_of_lonely_views_is_finite():
    a, b = pair()
    for inside in (False, True):
        value, slopes = value_and_gradient(lambda *x: losses.sup_con(x, [4] * 6, inside=inside), a, b)
        assert np.isfinite(value) and np.isfinite(slopes).all()
        # one view only, most of them without a partner: these count as 0
        labels = [0, 1, 2, 0, 3, 4]
        value, (slope,) = value_and_gradient(lambda x: losses.sup_con([x], labels, 0.1, 0.1, inside), a)
        assert value == pytest.approx(np.mean(reference.sup_con([a], labels, 0.1, inside)), rel=1e-6)
        assert np.isfinite(slope).all()


def test_the_inner_mean_is_never_larger():
    for seed in range(5):
        a, b = pair(seed=seed)
        out, inner = (float(losses.sup_con([a, b], LABELS, inside=inside)) for inside in (False, True))
        assert inner < out
    same = np.ones((6, 4))  # equal similarities: equal losses
    out, inner = (float(losses.sup_con([same, same], LABELS, inside=inside)) for inside in (False, True))
    assert inner == pytest.approx(out, rel=1e-6)


def test_the_names_of_the_labels_do_not_matter():
    a, b = pair()
    names = np.array([7, -1, 40])
    expected = float(losses.sup_con([a, b], LABELS))
    assert float(losses.sup_con([a, b], names[LABELS])) == pytest.approx(expected, rel=1e-6)
    assert float(losses.sup_con([a, b], LABELS[::-1].copy())) != pytest.approx(expected, rel=1e-3)


def test_sup_con_of_more_views():
    views = [vectors(5, 4, seed=seed) for seed in range(4)]
    labels = [0, 1, 1, 2, 0]
    expected = np.mean(reference.sup_con(views, labels, 0.4)) * 0.4 / 0.07
    assert float(losses.sup_con(views, labels, 0.4)) == pytest.approx(expected, rel=1e-5)


# DCL


def test_the_weights_are_one_on_average_and_for_a_large_sigma():
    a, b = pair()
    slope = lambda **options: value_and_gradient(lambda *x: losses.decoupled(*x, 0.3, **options), a, b)
    plain, wide = slope(), slope(weighted=True, sigma=1e7)
    assert wide[0] == pytest.approx(plain[0], rel=1e-6)
    np.testing.assert_allclose(wide[1], plain[1], atol=1e-6)
    # partners all as close: their weights are equal, so 1
    turned = np.stack([-a[:, 1], a[:, 0], -a[:, 3], a[:, 2]], axis=1) + a
    assert float(losses.decoupled(a, turned, weighted=True)) == pytest.approx(float(losses.decoupled(a, turned)))
    assert slope(weighted=True, sigma=0.5)[0] != pytest.approx(plain[0], rel=1e-3)


def test_the_decoupled_loss_may_be_negative():
    a = np.eye(4)
    assert float(losses.decoupled(a, a, 0.1)) == pytest.approx(np.log(6) - 10)


# Debiased and hard negatives


def test_the_floor_is_a_views_own_and_stops_its_negatives():
    """Image 0 is alone: its negatives point away from it, and the correction would make their sum negative."""
    a = np.array([[1.0, 0, 0], [-1, 0.1, 0], [-1, 0, 0.1], [-1, -0.1, -0.1]])
    tau_plus, t, count = 0.5, 0.5, 6
    positive, others, negative = (x.numpy() for x in losses.negatives.compare(a, a, t))
    floored = (np.exp(others) * negative).sum(axis=1) - tau_plus * count * np.exp(positive) < 0
    assert floored.tolist() == [True, False, False, False] * 2
    floor = np.exp(np.log(count) - 1 / t)
    rows = reference.debiased(a, a, t, tau_plus)
    at_the_floor = np.log(1 + floor / np.exp(1 / t))  # of both views of the image
    assert rows[0] == pytest.approx(at_the_floor)
    found = float(losses.debiased(a, a, t, tau_plus))
    assert found == pytest.approx((2 * at_the_floor + sum(rows[1:4]) + sum(rows[5:])) / 8, rel=1e-6)

    def of_row_zero(others):
        negatives = losses.negatives.log_sum_exp(others, negative)
        row = tf.constant([1.0] + [0.0] * 7, "float64")
        counts = tf.math.log(count * tf.ones(8, "float64"))
        # the mean over the views, of which only the first one depends on what is watched
        return losses.negatives.debias(positive, positive, negatives * row, counts, t, tau_plus)

    _, (slope,) = value_and_gradient(of_row_zero, others)
    np.testing.assert_array_equal(slope, 0)


def test_more_views_estimate_the_positives():
    a, b = pair()
    extra = [vectors(6, 4, seed=5), vectors(6, 4, seed=6)]
    for beta in (0.0, 2.0):
        expected = reference.debiased(a, b, 0.5, 0.2, beta, extra).mean()
        assert float(losses.hard_negative(a, b, 0.5, 0.2, beta, extra)) == pytest.approx(expected, rel=1e-5)
    loss = lambda *x: losses.debiased(*x[:2], 0.5, 0.2, x[2:])
    value, slopes = value_and_gradient(loss, a, b, *extra)
    assert value != pytest.approx(float(losses.debiased(a, b, 0.5, 0.2)), rel=1e-4)
    expected = gradient(lambda x: reference.debiased(a, b, 0.5, 0.2, 0.0, [x, extra[1]]).mean(), extra[0])
    np.testing.assert_allclose(slopes[2], expected, atol=1e-8)


def test_the_correction_makes_the_loss_smaller_where_positives_are_close():
    a, b = pair()
    b = a + 0.1 * (b - a)
    values = [float(losses.debiased(a, b, 0.5, tau_plus)) for tau_plus in (0.0, 0.05, 0.1, 0.3, 0.6)]
    assert values == sorted(values, reverse=True) and values[0] > values[1]


def test_a_large_beta_takes_the_hardest_negative():
    a, b = pair()
    scores = reference.scores(a, b, 0.5)
    hardest = [np.log(np.exp(p) + len(n) * np.exp(n.max())) - p for p, n in scores]
    assert float(losses.hard_negative(a, b, 0.5, 0.0, 1e4)) == pytest.approx(np.mean(hardest), rel=1e-3)


@pytest.mark.parametrize("tau_plus", [-0.1, 1.0, 2])
def test_a_class_prior_out_of_range_is_refused(tau_plus):
    with pytest.raises(ValueError, match=r"in \[0, 1\). Received: "):
        losses.debiased(*pair(), tau_plus=tau_plus)
    with pytest.raises(ValueError, match=r"in \[0, 1\). Received: "):
        losses.hard_negative(*pair(), tau_plus=tau_plus)


# InvaSpread


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_a_detached_view_gets_a_gradient_as_an_anchor_only(weight):
    a, b = pair()
    value, slopes = value_and_gradient(lambda *x: losses.invariant_spread(*x, 0.3, weight), a, b)
    loop = lambda x, y: reference.invariant_spread(x, y, 0.3, weight, seen=(a, b)).mean()
    assert value == pytest.approx(loop(a, b), rel=1e-9)
    np.testing.assert_allclose(slopes[0], gradient(lambda x: loop(x, b), a), atol=1e-7)
    np.testing.assert_allclose(slopes[1], gradient(lambda x: loop(a, x), b), atol=1e-7)
    whole = value_and_gradient(lambda *x: losses.invariant_spread(*x, 0.3, weight, detach_others=False), a, b)
    assert whole[0] == pytest.approx(value) and np.abs(np.array(whole[1]) - slopes).max() > 0.01


def test_the_spread_alone_drives_the_views_apart():
    crowded = 1 + 0.2 * vectors(8, 3)

    def distance(x):
        x = reference.unit(np.concatenate(x))
        return np.linalg.norm(x[:, None] - x[None], axis=-1).mean()

    views = [crowded, crowded + 0.05 * vectors(8, 3, seed=1)]
    spread = lambda *x: losses.invariant_spread(*x, 0.3, detach_others=False) - losses.nt_xent(*x, 0.3)
    _, slopes = value_and_gradient(spread, *views)
    assert distance([x - slope for x, slope in zip(views, slopes)]) > distance(views) + 1e-3


def test_a_negative_that_is_all_but_certain_is_exact():
    """P of the wrong one is 1 - 1e-9: 1 in float32."""
    a = np.array([[1.0, 0.0], [1.0, 1e-3]])
    b = -a
    expected = reference.invariant_spread(a, b, 0.096).mean()
    value, slopes = value_and_gradient(lambda *x: losses.invariant_spread(*x, 0.096), a, b, dtype="float32")
    assert value == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="negative_weight must be"):
        losses.invariant_spread(a, b, negative_weight=0.5)


# Alignment and uniformity


def test_alignment_and_uniformity_at_their_ends():
    a = vectors(6, 5)
    assert float(losses.alignment(a, 3 * a)) == pytest.approx(0, abs=1e-6)
    assert float(losses.alignment(a, -a)) == pytest.approx(4)
    assert float(losses.alignment(a, -a, power=1.0)) == pytest.approx(2)
    value, (slope, _) = value_and_gradient(lambda *x: losses.alignment(*x, power=1.0), a, a)
    assert value == pytest.approx(0, abs=1e-5) and np.isfinite(slope).all()
    assert float(losses.uniformity(np.ones((6, 5)))) == pytest.approx(0, abs=1e-5)
    everywhere = vectors(200, 4096)
    for scale in (0.5, 2.0):
        assert float(losses.uniformity(everywhere, scale)) == pytest.approx(-2 * scale, rel=0.01)
    two = np.array([[1.0, 0.0], [0.6, 0.8]])
    assert float(losses.uniformity(two, 1.5)) == pytest.approx(-1.5 * 0.8)


def test_a_rotation_changes_neither():
    a, b = pair()
    rotation, _ = np.linalg.qr(vectors(4, 4, seed=9))
    assert float(losses.alignment(a @ rotation, b @ rotation)) == pytest.approx(float(losses.alignment(a, b)), rel=1e-5)
    assert float(losses.uniformity(a @ rotation)) == pytest.approx(float(losses.uniformity(a)), rel=1e-5)


def test_images_without_a_label_are_no_class():
    """As if each had a class of its own."""
    first, second = np.random.default_rng(0).normal(size=(2, 6, 4))
    unlabeled = losses.sup_con([first, second], np.array([0, 1, 0, -1, -1, -1]))
    alone = losses.sup_con([first, second], np.array([0, 1, 0, 7, 8, 9]))
    np.testing.assert_allclose(unlabeled, alone, rtol=1e-6)
    assert abs(float(alone - losses.sup_con([first, second], np.array([0, 1, 0, 7, 7, 7])))) > 0.01
