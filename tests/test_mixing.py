"""Mixing: shares against SciPy's beta distribution, mixtures against loops, on one and on two replicas."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import ops

from keras_ssl import distribute
from keras_ssl.augment import RandomResizedCrop, View, Views, fold
from keras_ssl.augment.image import mixing
from keras_ssl.augment.rows import row_seeds
from tests.reference import augment as reference_augment
from tests.reference import mixing as reference


def images(batch=8, height=10, width=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, height, width, 3)).astype("uint8")


def seeds(batch=8, seed=0):
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (batch, 2)).astype("int32")


def numpy(x):
    return ops.convert_to_numpy(x)


def mixed(layer, x, s):
    return tuple(numpy(part) for part in layer(x, seeds=s))


# Shares


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 1.5, 8.0, 100.0])
def test_shares_are_the_quantiles_of_the_beta_distribution(alpha):
    draws = np.concatenate([np.arange(0, 2**24, 1013), [1, 2, 3, 2**23, 2**24 - 1]]).astype("float32") / 2**24
    found = numpy(mixing.beta(draws, alpha)).astype("float64")
    distribution = scipy.stats.beta(alpha, alpha)
    common = (draws > 1e-3) & (draws < 0.999)
    np.testing.assert_allclose(found[common], distribution.ppf(draws[common]), atol=1e-5)
    tails = distribution.ppf(np.clip(draws.astype("float64"), 2.0**-26, 1 - 2.0**-26))
    np.testing.assert_allclose(found, tails, atol=0.01)  # 0.01 in a few of 2^24 draws, where alpha is large
    assert (np.diff(found[np.argsort(draws)]) >= 0).all() and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_shares_of_a_layer_have_the_moments_of_the_distribution(alpha):
    n = 5000
    _, _, share = mixed(mixing.MixUp(alpha), np.zeros((n, 1, 1, 3)), seeds(n))
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(share.mean() - 0.5) < 5 * np.sqrt(variance / n)
    assert abs(share.var() - variance) < 5 * np.sqrt(0.0625 / n)
    assert scipy.stats.kstest(share, scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    _, _, larger = mixed(mixing.MixUp(alpha, dominant=True), np.zeros((n, 1, 1, 3)), seeds(n))
    np.testing.assert_allclose(larger, np.maximum(share, 1 - share))


# Partners


def test_partners_form_a_circle():
    draws = np.random.default_rng(0).random(9).astype("float32")
    partner = numpy(mixing.partners(draws))
    np.testing.assert_array_equal(partner, reference.circle(draws))
    row, visited = 0, []
    for _ in range(9):
        visited.append(row)
        row = partner[row]
    assert row == 0 and sorted(visited) == list(range(9))
    np.testing.assert_array_equal(numpy(mixing.partners(draws[:1])), [0])


def test_all_others_are_equally_likely_partners():
    n, batch = 2000, 5
    layer, x = mixing.MixUp(), np.zeros((batch, 1, 1, 1))
    run = tf.function(lambda s: layer(x, seeds=s)[1])
    found = np.stack([run(s).numpy() for s in seeds(n * batch).reshape(n, batch, 2)])
    for row in range(batch):
        parts = np.bincount(found[:, row], minlength=batch) / n
        assert parts[row] == 0  # never itself
        assert np.abs(np.delete(parts, row) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / n)


# Mixtures


@pytest.mark.parametrize("per_batch", [False, True])
@pytest.mark.parametrize("dominant", [False, True])
def test_mixup_is_that_of_the_reference(per_batch, dominant):
    x, s = images(), seeds()
    found, partner, share = mixed(mixing.MixUp(0.7, per_batch, dominant), x, s)
    np.testing.assert_array_equal(partner, reference.circle([reference_augment.uniform(row, 1)[0] for row in s]))
    expected = [reference.mixup(x[i], x[partner[i]], float(share[i])) for i in range(8)]
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert len(np.unique(share)) == (1 if per_batch else 8)
    own = [reference_augment.fold(row, 0) for row in s]
    if per_batch:
        own = [np.sum(own, axis=0, dtype="int64").astype("int32")] * 8
    drawn = scipy.stats.beta(0.7, 0.7).ppf([reference_augment.uniform(row, 3)[0] for row in own])
    np.testing.assert_allclose(share, np.maximum(drawn, 1 - drawn) if dominant else drawn, atol=1e-5)


@pytest.mark.parametrize("per_batch", [False, True])
def test_cutmix_is_that_of_the_reference(per_batch):
    x, s = images(40), seeds(40)
    found, partner, share = mixed(mixing.CutMix(per_batch=per_batch), x, s)
    for row in range(40):
        own = reference_augment.fold(s[row], 0)
        if per_batch:
            own = np.sum([reference_augment.fold(seed, 0) for seed in s], axis=0, dtype="int64").astype("int32")
        draws = reference_augment.uniform(own, 3)  # of beta(1, 1) a share is the draw itself
        expected, part = reference.cutmix(x[row], x[partner[row]], draws[0], draws[1:])
        np.testing.assert_array_equal(found[row], expected)
        np.testing.assert_allclose(share[row], part, atol=1e-6)
        np.testing.assert_allclose((found[row] == x[row]).all(axis=-1).mean(), share[row], atol=0.02)


def test_the_share_is_that_of_the_pixels():
    x = np.zeros((200, 16, 16, 1)) + np.arange(200)[:, None, None, None]
    for dominant in (False, True):
        found, _, share = mixed(mixing.CutMix(0.5, per_batch=False, dominant=dominant), x, seeds(200))
        np.testing.assert_array_equal((found == x).mean(axis=(1, 2, 3)), share)  # a multiple of 1/256: exact
        assert share.min() >= (0.5 if dominant else 0)
        assert len(np.unique(share)) > 20


@pytest.mark.parametrize("layer", [mixing.MixUp(0), mixing.CutMix(0)], ids=lambda x: x.name)
def test_without_alpha_nothing_is_mixed(layer):
    x = images()
    found, _, share = mixed(layer, x, seeds())
    np.testing.assert_array_equal(found, x)  # bit for bit
    np.testing.assert_array_equal(share, 1)


def test_an_image_alone_stays_as_it_is():
    x = images(1)
    for layer in (mixing.MixUp(), mixing.CutMix()):
        found, partner, _ = mixed(layer, x, seeds(1))
        np.testing.assert_allclose(found, x, atol=1e-3)
        assert partner == [0]


def test_two_views_of_an_image_are_mixed():
    first, second, share = images(), images(seed=1), np.linspace(0, 1, 8).astype("float32")
    expected = [reference.mixup(*row) for row in zip(first, second, share)]
    np.testing.assert_allclose(numpy(mixing.mixup(first, second, share)), expected, atol=1e-3)


# InputMix


def input_mix(x, s, count, own):
    """In loops: an image and those that follow it in the circle."""
    after = reference.circle([reference_augment.uniform(row, 1)[0] for row in s])
    found = []
    for i, row in enumerate(s):
        parts = [-np.log(1 - draw) for draw in reference_augment.uniform(reference_augment.fold(row, 0), count + 1)]
        weights = (1 - own) * np.array(parts) / sum(parts)
        image, other = (own + weights[0]) * x[i].astype("float64"), i
        for weight in weights[1:]:
            other = after[other]
            image = image + weight * x[other]
        found.append(image)
    return found


@pytest.mark.parametrize("count, own", [(1, 0.5), (2, 0.5), (3, 0.2), (2, 0.0)])
def test_input_mix_is_that_of_the_reference(count, own):
    x, s = images(), seeds()
    found = mixing.InputMix(count, own)(x, seeds=s)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, input_mix(x, s, count, own), atol=1e-2)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_weights_of_input_mix_sum_to_one_and_the_own_is_the_principal(count):
    n = 2000
    x = np.eye(n, dtype="float32")[:, None, None, :]  # every image has a channel of its own, so a mixture shows weights
    weights = numpy(mixing.InputMix(count)(x, seeds=seeds(n)))[:, 0, 0, :]
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    own = np.diag(weights)
    assert own.min() >= 0.5 and len(np.unique(own)) > 0.99 * n  # of each image another one
    assert (np.count_nonzero(weights, axis=1) == count + 1).all()  # so many others, each once, and never itself
    assert (np.count_nonzero(weights, axis=0) == count + 1).all()  # each image is in as many others
    # the moments and the marginal of the Dirichlet distribution (1, ..., 1)
    assert scipy.stats.kstest(2 * own - 1, scipy.stats.beta(1, count).cdf).pvalue > 1e-3
    rest = 2 * np.sort(weights - np.diag(own), axis=1)[:, -count:]
    assert rest.mean() == pytest.approx(1 / (count + 1), rel=0.05)
    assert (rest**2).mean() == pytest.approx(2 / ((count + 1) * (count + 2)), rel=0.1)


def test_input_mix_that_keeps_all_and_of_an_image_alone():
    np.testing.assert_array_equal(mixing.InputMix(2, own=1)(images(), seeds=seeds()), images())  # bit for bit
    np.testing.assert_allclose(mixing.InputMix(2)(images(1), seeds=seeds(1)), images(1), atol=1e-3)


def test_the_same_seeds_give_the_same_input_mix():
    x, s, layer = images(), seeds(), mixing.InputMix(2)
    expected = numpy(layer(x, seeds=s))
    data = tf.data.Dataset.from_tensors({"image": x, "seed": s}).map(layer, num_parallel_calls=2)
    order = np.random.default_rng(0).permutation(8)
    moved = tf.gather(layer(x[order], seeds=s[order]), np.argsort(order))
    for found in (tf.function(layer)(x, s), tf.function(layer, jit_compile=True)(x, s), next(iter(data)), moved):
        np.testing.assert_allclose(found, expected, atol=1e-3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(mixing.InputMix(3, 0.7, False)))
    assert (again.count, again.own, again.across) == (3, 0.7, False)
    np.testing.assert_array_equal(again(x, seeds=s), mixing.InputMix(3, 0.7)(x, seeds=s))
    keras.config.set_dtype_policy("mixed_bfloat16")
    np.testing.assert_array_equal(mixing.InputMix(2)(x, seeds=s), expected)


def test_input_mix_mixes_all_views():
    views, s = [np.full((4, 2, 2, 1), 100.0), np.zeros((4, 2, 2, 1))], seeds(4)
    first, second = mixing.mix_views(mixing.InputMix(2), views, s)
    assert first.shape == second.shape == (4, 2, 2, 1)
    found = np.concatenate([first, second])
    both = np.concatenate([fold(s, 0), fold(s, 1)])
    np.testing.assert_allclose(found, input_mix(np.concatenate(views), both, 2, 0.5), atol=1e-3)
    assert (found[:4] >= 50).all() and (found[4:] <= 50).all()  # its own view is the principal part
    assert found[:4].min() < 99 and found[4:].max() > 1  # and of the other view something is in it


def test_input_mix_of_two_replicas_is_that_of_one(two_replicas):
    x, second, s = images(), images(seed=1), seeds()
    whole = numpy(mixing.InputMix(2)(x, seeds=s))
    generator = keras.random.SeedGenerator(3)
    views = [numpy(view) for view in mixing.mix_views(mixing.InputMix(2), [x, second], row_seeds(generator, 8))]
    with two_replicas.scope():
        layer, own, generator = mixing.InputMix(2), mixing.InputMix(2, across=False), keras.random.SeedGenerator(3)

    def local():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        cut = lambda x: tf.slice(x, [4 * number] + [0] * (x.ndim - 1), [4, *x.shape[1:]])
        rows = row_seeds(generator, 4, distribute.first_row(4))
        mixed = mixing.mix_views(layer, [cut(x), cut(second)], rows)
        return layer(cut(x), seeds=cut(s)), *mixed, own(cut(x), seeds=cut(s))

    parts = two_replicas.run(tf.function(local))
    found = [np.concatenate([x.numpy() for x in two_replicas.experimental_local_results(part)]) for part in parts]
    for part, expected in zip(found, [whole, *views]):
        np.testing.assert_allclose(part, expected, atol=1e-3)
    halves = [input_mix(x[half], s[half], 2, 0.5) for half in (slice(0, 4), slice(4, 8))]
    np.testing.assert_allclose(found[3], np.concatenate(halves), atol=1e-2)


@pytest.mark.parametrize("options, match", [
    ({"count": 0}, "count must be a positive int. Received: count=0"),
    ({"own": 1.5}, "own must be a finite number from 0 to 1. Received: own=1.5"),
    ({"across": 1}, "across must be True or False"),
])  # fmt: skip
def test_input_mix_says_what_is_wrong(options, match):
    with pytest.raises(ValueError, match=match):
        mixing.InputMix(**options)


# The same mixtures everywhere

LAYERS = [
    mixing.MixUp(0.4, dominant=True, seed=3, name="own"),
    mixing.MixUp(per_batch=True, across=False),
    mixing.CutMix(),
    mixing.CutMix(2.0, per_batch=False, dominant=True),
]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)


@every_layer
def test_the_same_seeds_give_the_same_mixtures(layer):
    x, s = images(), seeds()
    expected = mixed(layer, x, s)
    data = tf.data.Dataset.from_tensors({"image": x, "seed": s}).map(layer, num_parallel_calls=2)
    runs = [tf.function(layer)(x, seeds=s), tf.function(layer, jit_compile=True)(x, seeds=s), next(iter(data))]
    order = np.random.default_rng(0).permutation(8)
    runs.append([tf.gather(part, np.argsort(order)) for part in layer(x[order], seeds=s[order])])
    runs[-1][1] = tf.gather(order, runs[-1][1])  # the rows in another order: the same pairs
    for found in runs:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other, atol=1e-3)


@pytest.mark.parametrize("per_batch", [False, True])
@pytest.mark.parametrize("kind", [mixing.MixUp, mixing.CutMix])
def test_two_replicas_mix_as_one(two_replicas, kind, per_batch):
    x, s = images(), seeds()
    with two_replicas.scope():
        layer = kind(per_batch=per_batch)
        own = kind(per_batch=per_batch, across=False)

    def local():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        half = tf.slice(x, [4 * number, 0, 0, 0], [4, *x.shape[1:]]), tf.slice(s, [4 * number, 0], [4, 2])
        of_all = distribute.gather(tf.cast(half[0], tf.float32), gradient=False)
        return layer(half[0], seeds=half[1]), own(half[0], seeds=half[1]), of_all

    across, within, of_all = two_replicas.run(tf.function(local))
    joined = lambda part: np.concatenate([x.numpy() for x in two_replicas.experimental_local_results(part)])
    for part, value in zip(across, mixed(layer, x, s), strict=True):
        np.testing.assert_allclose(joined(part), value, atol=1e-3)
    np.testing.assert_array_equal(joined(of_all)[:8], x)
    found, partner, share = map(joined, within)
    assert (partner // 4 == np.arange(8) // 4).all()  # of the own replica, as rows of the whole batch
    if kind is mixing.MixUp:
        np.testing.assert_allclose(found, [reference.mixup(*row) for row in zip(x, x[partner], share)], atol=1e-2)


def test_own_seeds():
    x = images()
    layer, again = mixing.MixUp(seed=1), mixing.MixUp(seed=1)
    calls = [numpy(layer(x)[2]) for _ in range(3)]
    assert len(np.unique(np.concatenate(calls))) == 24
    for share in calls:
        np.testing.assert_array_equal(numpy(again(x)[2]), share)


def test_mixtures_in_a_view():
    views = Views([View([RandomResizedCrop(8), mixing.MixUp(dominant=True)]), RandomResizedCrop(8)])
    (query, partner, share), key = views({"image": images(), "seed": seeds()})  # as in i-Mix: one view is mixed
    assert query.shape == key.shape == (8, 8, 8, 3) and partner.shape == share.shape == (8,)


@every_layer
def test_configurations(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.name == layer.name
    for one, other in zip(mixed(again, images(), seeds()), mixed(layer, images(), seeds()), strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixed_precision_leaves_the_shares_exact():
    expected = mixed(mixing.MixUp(), images(), seeds())
    keras.config.set_dtype_policy("mixed_bfloat16")
    for one, other in zip(mixed(mixing.MixUp(), images(), seeds()), expected, strict=True):
        assert one.dtype == other.dtype and one.dtype in ("float32", "int32")
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [mixing.MixUp, mixing.CutMix])
def test_errors(kind):
    with pytest.raises(ValueError, match="alpha must not be negative. Received: alpha=-1"):
        kind(-1)
    with pytest.raises(ValueError, match="expects a batch of images"):
        kind()(images()[0])
