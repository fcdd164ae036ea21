"""Instance discrimination: arXiv 1805.01978."""

import numpy as np
import pytest

import keras_ssl
from tests import cases
from tests.reference import nce as reference
from tests.test_bank_methods import BATCH, INDEX, SAMPLES, make, next_noise, step, unit, view


def one_view():
    return keras_ssl.augment.moco_v1(cases.SIZE, count=1)


CASE = cases.Case(
    {"samples": 32, "dim": 8, "negatives": 5, "temperature": 0.5, "proximal": 0.1},
    views=one_view, base=True,
)


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
