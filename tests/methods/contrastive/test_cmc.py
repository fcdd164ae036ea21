"""CMC: arXiv 1906.05849."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl.augment.image.channels import ToLab, ToYCbCr
from tests import cases
from tests.reference import nce as reference
from tests.test_bank_methods import INDEX, SAMPLES, encoder, make, next_noise, step, unit, view


def two_encoders():
    return [cases.small_encoder(channels=1), cases.small_encoder(channels=2)]


def lightness_and_color():
    return keras_ssl.augment.cmc(cases.SIZE)


CASE = cases.Case(
    {"samples": 32, "dim": 8, "negatives": 5, "temperature": 0.5},
    encoder=two_encoders, views=lightness_and_color,
)


def cmc(*channels, **options):
    return make("CMC", lambda: [encoder(c) for c in channels or (1, 2)], **options)


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
    lightness, color = (np.abs(slope).max() for slope in tape.gradient(loss, [kernel.value for kernel in kernels]))
    assert lightness < 1e-6 < 1e-3 < color


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
