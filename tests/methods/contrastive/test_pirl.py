"""PIRL: arXiv 1912.01991."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl.augment.image.patches import PatchGrid, ShufflePatches
from tests import cases
from tests.reference import nce as reference
from tests.test_bank_methods import BATCH, INDEX, SAMPLES, encoder, make, next_noise, pixels, step, unit, view


def image_and_patches():
    jigsaw = keras_ssl.augment.View([PatchGrid(3, cases.SIZE // 3), ShufflePatches()])
    return keras_ssl.augment.Views([keras_ssl.augment.RandomResizedCrop(cases.SIZE), jigsaw])


CASE = cases.Case(
    {"samples": 32, "dim": 8, "negatives": 5, "temperature": 0.5},
    encoder=cases.padded_encoder, views=image_and_patches,
)


def patches(seed=0):
    return pixels(BATCH, 9, 4, 4, 3, seed=seed)


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
