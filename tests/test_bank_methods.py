"""NCE, and the methods with a memory bank: InstDisc 1805.01978, PIRL 1912.01991, CMC 1906.05849."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import losses
from keras_ssl.augment.image.channels import ToLab, ToYCbCr
from keras_ssl.losses.contrastive import cross_entropy
from keras_ssl.methods.contrastive.instdisc import candidates
from tests.reference import losses as loops
from tests.reference import nce as reference
from tests.test_distribute import on_replicas
from tests.test_losses import value_and_gradient, vectors

SAMPLES, BATCH, SIZE = 20, 6, 8


def encoder(channels=3, units=5, size=SIZE):
    images = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(units, 3, strides=2, padding="same")(keras.layers.Rescaling(1 / 127.5, -1)(images))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))


def make(method, encoders=encoder, seed=0, learning_rate=0.1, **options):
    keras.utils.set_random_seed(seed)
    options = {"samples": SAMPLES, "dim": 4, "negatives": 3, "temperature": 0.5} | options
    model = getattr(keras_ssl, method)(encoders(), **options)
    model.compile(optimizer=keras.optimizers.SGD(learning_rate), run_eagerly=True)
    return model


def cmc(*channels, **options):
    return make("CMC", lambda: [encoder(c) for c in channels or (1, 2)], **options)


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


def view(channels=3, seed=0):
    return pixels(BATCH, SIZE, SIZE, channels, seed=seed)


def patches(seed=0):
    return pixels(BATCH, 9, 4, 4, 3, seed=seed)


INDEX = np.array([3, 0, 19, 7, 4, 11], "int32")


def step(model, *views, index=INDEX):
    return float(model.train_on_batch({"views": views, "index": index}))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# The losses


@pytest.mark.parametrize("batch, count, size, log_z", [(1, 1, 1, 0.0), (4, 3, 10, 2.0), (3, 8, 5, -1.0)])
def test_nce(batch, count, size, log_z):
    logits = vectors(batch, 1 + count) * 2
    value, (slope,) = value_and_gradient(lambda x: losses.nce(x, log_z, size), logits)
    assert value == pytest.approx(reference.nce(logits, np.exp(log_z), size), rel=1e-5)
    expected = loops.gradient(lambda x: reference.nce(x, np.exp(log_z), size), logits)
    np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_z_gets_no_gradient_and_a_constant_on_all_logits_changes_nce_alone():
    logits = ops.cast(vectors(4, 6), "float32")
    _, (slope,) = value_and_gradient(lambda z: losses.nce(logits, z, 10) + 0 * z, np.array(1.0))
    assert slope == 0
    nce, softmax = (lambda x: losses.nce(x, 2.0, 10)), (lambda x: cross_entropy(x, ops.zeros((4,), "int32")))
    (a, slope_a), (b, slope_b) = (value_and_gradient(softmax, x) for x in (logits, logits + 1))
    assert a == pytest.approx(b, rel=1e-6) and np.allclose(slope_a, slope_b, atol=1e-6)
    (a, slope_a), (b, slope_b) = (value_and_gradient(nce, x) for x in (logits, logits + 1))
    assert abs(a - b) > 0.1 and not np.allclose(slope_a, slope_b, atol=1e-3)


def test_at_high_temperatures_every_candidate_is_as_likely_true_as_one_of_all():
    logits = losses.similarities(vectors(4, 5), unit(vectors(4, 8, 5, seed=1)), temperature=1e6)
    log_z = losses.log_normalizer(logits, 30)
    assert float(log_z) == pytest.approx(np.log(30), abs=1e-4)
    assert float(losses.nce(logits, log_z, 30)) == pytest.approx(np.log(8) + 7 * np.log(8 / 7), rel=1e-4)


def test_nce_survives_extreme_temperatures():
    a = vectors(3, 4)
    bank = unit(np.stack([a, -a, a], axis=1))

    def loss(x):
        logits = losses.similarities(x, bank, temperature=0.01)
        return losses.nce(logits, losses.log_normalizer(logits, 1000), 1000)

    value, (slope,) = value_and_gradient(loss, a)
    assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.parametrize("shared", [False, True])
def test_similarities(shared):
    queries, entries = vectors(4, 5), unit(vectors(*([7, 5] if shared else [4, 7, 5]), seed=1))
    weights = vectors(4, 7, seed=2)

    def scalar(function):
        return lambda q, c: ops.sum(ops.cast(weights, "float32") * function(q, c, 0.3))

    value, (slope, stopped) = value_and_gradient(scalar(losses.similarities), queries, entries)

    def expected(q):
        return np.sum(weights * reference.similarities(q, entries, 0.3))

    assert value == pytest.approx(expected(queries), rel=1e-5)
    np.testing.assert_allclose(slope, loops.gradient(expected, queries), atol=1e-4)
    assert stopped is None


@pytest.mark.parametrize("shared", [False, True])
def test_similarities_of_several_queries_are_those_of_each(shared):
    queries, entries = vectors(4, 2, 5), unit(vectors(*([7, 5] if shared else [4, 7, 5]), seed=1))
    both = losses.similarities(queries, entries, 0.3)
    assert both.shape == (4, 2, 7)
    for number in range(2):
        np.testing.assert_allclose(both[:, number], reference.similarities(queries[:, number], entries, 0.3), atol=1e-6)


def test_z_is_that_of_all_replicas(two_replicas):
    logits = vectors(6, 4).astype("float32")
    expected = np.log(reference.normalizer(logits, 50))
    assert float(losses.log_normalizer(logits, 50)) == pytest.approx(expected, rel=1e-5)
    for found in on_replicas(two_replicas, lambda x: losses.log_normalizer(x, 50), logits):
        assert float(found) == pytest.approx(expected, rel=1e-5)


# The noise


def draw(generator, index, count=4000, size=SAMPLES):
    return np.asarray(candidates(ops.convert_to_tensor(index), generator, count, size))


def next_noise(model):
    """What the next step will draw, without drawing it."""
    generator = keras.random.SeedGenerator(0)
    generator.state.assign(model.noise.state)
    return draw(generator, INDEX, model.negatives)


def test_noise_is_uniform_and_behind_the_image_itself():
    rows = draw(keras.random.SeedGenerator(1), INDEX)
    np.testing.assert_array_equal(rows[:, 0], INDEX)
    counts = np.bincount(rows[:, 1:].ravel(), minlength=SAMPLES)
    assert len(counts) == SAMPLES
    mean = counts.sum() / SAMPLES
    assert ((counts - mean) ** 2 / mean).sum() < 44  # chi-square of 19 degrees of freedom: 1 in 1,000 above
    same = np.mean(rows[0, 1:] == rows[1, 1:])
    assert same == pytest.approx(1 / SAMPLES, abs=0.02)  # the images' draws are independent


def test_noise_depends_on_run_step_and_image_and_on_nothing_else(two_replicas):
    generator = keras.random.SeedGenerator(1)
    first, second = draw(generator, INDEX, 400), draw(generator, INDEX, 400)
    assert np.mean(first[:, 1:] == second[:, 1:]) < 0.1
    assert np.mean(first[:, 1:] == draw(keras.random.SeedGenerator(2), INDEX, 400)[:, 1:]) < 0.1
    again = keras.random.SeedGenerator(1)
    np.testing.assert_array_equal(draw(again, INDEX[::-1].copy(), 400)[::-1], first)
    np.testing.assert_array_equal(draw(again, INDEX[2:4], 400), second[2:4])

    with two_replicas.scope():
        shared = keras.random.SeedGenerator(1)
    for expected in (first, second):
        found = on_replicas(two_replicas, lambda index: candidates(index, shared, 400, SAMPLES), INDEX)
        np.testing.assert_array_equal(np.concatenate(found), expected)


# InstDisc


def instdisc_parts(model, images):
    """The embedding, the bank and what the next step will draw, in NumPy."""
    embedding = unit(np.asarray(model.head(model.encoder(images, training=True))))
    return embedding, model.bank.entries.numpy(), next_noise(model)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("proximal", [0.0, 2.0])
def test_instdisc_equals_its_paper(softmax, proximal):
    model = make("InstDisc", softmax=softmax, proximal=proximal)
    z = None
    for seed in range(3):
        images = view(seed=seed)
        embedding, bank, rows = instdisc_parts(model, images)
        logits = reference.similarities(embedding, bank[rows], 0.5)
        z = z or reference.normalizer(logits, SAMPLES)  # the first batch's, for ever
        expected = reference.softmax(logits, [0] * BATCH) if softmax else reference.nce(logits, z, SAMPLES)
        expected += proximal * np.mean(np.sum((embedding - bank[INDEX]) ** 2, axis=1))
        assert step(model, images) == pytest.approx(expected, rel=1e-5)
        if not softmax:
            assert float(model.log_z[0]) == pytest.approx(np.log(z), rel=1e-5)

        moved = bank.copy()
        moved[INDEX] = unit(0.5 * bank[INDEX] + 0.5 * embedding)
        np.testing.assert_allclose(model.bank.entries, moved, atol=1e-5)


def test_without_negatives_the_bank_is_a_classifier():
    model = make("InstDisc", negatives=0)
    embedding, bank, _ = instdisc_parts(model, view())
    expected = reference.softmax(reference.similarities(embedding, bank, 0.5), INDEX)
    assert step(model, view()) == pytest.approx(expected, rel=1e-5)
    assert model.log_z == []


def test_an_image_is_learned():
    model = make("InstDisc", negatives=0, temperature=0.2, learning_rate=1.0)
    found = [step(model, view()) for _ in range(20)]
    assert found[-1] < 0.5 * found[0]


@pytest.mark.parametrize("bad", [{"samples": None}, {"samples": 0}, {"negatives": -1}, {"negatives": 2.5}])
@pytest.mark.parametrize("method", ["InstDisc", "PIRL", "CMC"])
def test_wrong_arguments_are_refused(method, bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
        make(method, (lambda: [encoder(1), encoder(2)]) if method == "CMC" else encoder, **bad)


# PIRL


def pirl(**options):
    return make("PIRL", lambda: encoder(size=None), **options)


@pytest.mark.parametrize("softmax", [False, True])
def test_pirl_equals_its_paper(softmax):
    model = pirl(weight=0.3, softmax=softmax)
    z = [None, None]
    for seed in range(3):
        images, pieces = view(seed=seed), patches(seed)
        image = unit(np.asarray(model.image_head(model.encoder(images))))
        each = [np.asarray(model.patch_head(model.encoder(pieces[:, i]))) for i in range(9)]
        shuffled = unit(np.asarray(model.order_head(np.concatenate(each, axis=1))))
        bank, rows = model.bank.entries.numpy(), next_noise(model)
        expected = 0
        for i, (weight, embedding) in enumerate(((0.7, image), (0.3, shuffled))):
            logits = reference.similarities(embedding, bank[rows], 0.5)
            z[i] = z[i] or reference.normalizer(logits, SAMPLES)  # the first batch's, for ever
            one = reference.softmax(logits, [0] * BATCH) if softmax else reference.nce(logits, z[i], SAMPLES)
            expected += weight * one
        assert step(model, images, pieces) == pytest.approx(expected, rel=1e-5)
        if not softmax:
            np.testing.assert_allclose([float(x) for x in model.log_z], np.log(z), rtol=1e-5)
        bank[INDEX] = unit(0.5 * bank[INDEX] + 0.5 * image)
        np.testing.assert_allclose(model.bank.entries, bank, atol=1e-5)


def test_pirl_of_weight_0_is_instdisc():
    one = make("InstDisc", lambda: encoder(size=None))
    other = pirl(weight=0.0)
    for mine, theirs in ((other.encoder, one.encoder), (other.image_head, one.head)):
        mine.set_weights(theirs.get_weights())
    other.bank.entries.assign(one.bank.entries)
    other.noise.state.assign(one.noise.state)
    for seed in range(3):
        assert step(other, view(seed=seed), patches(seed)) == pytest.approx(step(one, view(seed=seed)), rel=1e-5)
    np.testing.assert_allclose(other.image_head.get_weights()[0], one.head.get_weights()[0], atol=1e-6)
    np.testing.assert_allclose(other.bank.entries, one.bank.entries, atol=1e-6)


def test_only_the_image_moves_pirls_bank():
    banks = []
    for seed in (0, 1):
        model = pirl()
        step(model, view(), patches(seed))
        banks.append(model.bank.entries.numpy())
    np.testing.assert_array_equal(*banks)


def test_a_patch_is_embedded_by_itself_and_its_place_counts(monkeypatch):
    model, order, pieces = pirl(), np.random.default_rng(0).permutation(9), patches()
    seen = []
    head = model.patch_head
    monkeypatch.setattr(model, "patch_head", lambda x, training: seen.append(head(x)) or seen[-1])
    together, shuffled = model.embed(pieces), model.embed(pieces[:, order])
    first, second = (np.asarray(x).reshape(BATCH, 9, -1) for x in seen)
    np.testing.assert_allclose(first[:, order], second, atol=1e-5)
    assert np.abs(together - shuffled).max() > 1e-2


def test_the_order_that_comes_with_the_patches_is_left_aside():
    order = np.tile(np.arange(9, dtype="int32"), (BATCH, 1))
    assert step(pirl(), view(), (patches(), order)) == step(pirl(), view(), patches())


# CMC


def test_cmc_equals_its_paper_and_each_bank_follows_its_own_view():
    model = cmc()
    z = [None, None]
    for seed in range(3):
        views = view(1, seed), view(2, seed + 3)
        embeddings = [unit(np.asarray(h(e(v)))) for h, e, v in zip(model.heads, model.encoders, views)]
        banks, rows = [bank.entries.numpy() for bank in model.banks], next_noise(model)
        expected = 0
        for i, (anchor, other) in enumerate(((0, 1), (1, 0))):
            logits = reference.similarities(embeddings[anchor], banks[other][rows], 0.5)
            z[i] = z[i] or reference.normalizer(logits, SAMPLES)  # the first batch's, for ever
            expected += reference.nce(logits, z[i], SAMPLES)
        assert step(model, *views) == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose([float(x) for x in model.log_z], np.log(z), rtol=1e-5)
        for bank, before, embedding in zip(model.banks, banks, embeddings):
            before[INDEX] = unit(0.5 * before[INDEX] + 0.5 * embedding)
            np.testing.assert_allclose(bank.entries, before, atol=1e-5)


def test_a_view_is_compared_with_the_other_views_bank_only():
    model = cmc(softmax=True)
    model.banks[1].entries.assign(ops.tile(model.banks[1].entries[:1], (SAMPLES, 1)))
    with tf.GradientTape() as tape:
        loss = model({"views": (view(1), view(2)), "index": INDEX}, training=True)["loss"]
    kernels = [model.encoders[i].trainable_variables[0] for i in (0, 1)]
    lightness, colour = (np.abs(slope).max() for slope in tape.gradient(loss, [kernel.value for kernel in kernels]))
    assert lightness < 1e-6 < 1e-3 < colour


def test_three_views_are_compared_in_three_pairs_or_with_the_first():
    views = [view(c, seed=c) for c in (1, 2, 3)]
    full = cmc(1, 2, 3, softmax=True)
    total = step(full, *views)
    found = {}
    for i, j in ((0, 1), (0, 2), (1, 2)):
        model, twin = cmc(i + 1, j + 1, softmax=True), cmc(1, 2, 3, softmax=True)
        for here, there in enumerate((i, j)):
            model.encoders[here].set_weights(twin.encoders[there].get_weights())
            model.heads[here].set_weights(twin.heads[there].get_weights())
            model.banks[here].entries.assign(twin.banks[there].entries)
        model.noise.state.assign(twin.noise.state)
        found[i, j] = step(model, views[i], views[j])
    assert total == pytest.approx(sum(found.values()), rel=1e-5)
    core = cmc(1, 2, 3, softmax=True, core=True)
    assert core.directions == [(0, 1), (0, 2), (1, 0), (2, 0)]
    assert step(core, *views) == pytest.approx(found[0, 1] + found[0, 2], rel=1e-5)


@pytest.mark.parametrize("convert", [None, ToYCbCr()])
def test_cmc_predicts_all_encoders_features_of_whole_images(convert, tmp_path):
    model = cmc(convert=convert)
    images = view().astype("uint8")
    converted = np.asarray((convert or ToLab(pixels=True))(images))
    expected = np.concatenate([model.encoders[0](converted[..., :1]), model.encoders[1](converted[..., 1:])], axis=1)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-5)
    keras_ssl.export(model, tmp_path / "encoder.keras")
    alone = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(alone.predict(images, verbose=0), expected, atol=1e-5)


def test_groups_of_channels_stay_as_they_are():
    model = cmc(3, 1)
    images = view(4)
    expected = np.concatenate([model.encoders[0](images[..., :3]), model.encoders[1](images[..., 3:])], axis=1)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-5)


def test_cmc_needs_an_encoder_for_each_view():
    def named():
        return keras.Model(*(lambda one: (one.input, one.output))(encoder(1)), name="same")

    keras_ssl.CMC([named(), named()], samples=SAMPLES)
    for encoders in (encoder(), [encoder()]):
        with pytest.raises(ValueError, match="at least two"):
            keras_ssl.CMC(encoders, samples=SAMPLES)
