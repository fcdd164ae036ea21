"""Denoising autoencoder: 10.1145/1390156.1390294."""

import numpy as np
import pytest

from tests import cases
from tests.methods.generation.test_autoencoder import images, small
from tests.reference import generation as reference

CASE = cases.Case({"width": 4, "level": 0.3}, views=cases.one_crop)
SEEDS = np.stack([np.arange(64), np.zeros(64)], axis=1).astype("int32")


def noisy(x, noise, level):
    return np.asarray(small("DenoisingAutoencoder", noise=noise, level=level).with_noise(x, SEEDS[: len(x)]))


def test_masking_makes_numbers_black_each_by_itself():
    x = images(64) + 1
    hidden = noisy(x, "masking", 0.25) == 0
    assert hidden.mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_array_equal(noisy(x, "masking", 0.25)[~hidden], x[~hidden])
    assert abs(np.corrcoef(hidden[..., 0].ravel(), hidden[..., 1].ravel())[0, 1]) < 0.05


def test_channels_are_lost_as_a_whole():
    x = images(64) + 1
    hidden = (noisy(x, "channels", 0.5) == 0).reshape(64, -1, 3)
    assert set(hidden.mean(axis=1).ravel()) == {0.0, 1.0}
    assert hidden[:, 0].mean() == pytest.approx(0.5, abs=0.12)


def test_gaussian_noise_has_its_deviation():
    x = images(64)
    added = noisy(x, "gaussian", 0.1) - x
    assert added.std() == pytest.approx(25.5, rel=0.02) and added.mean() == pytest.approx(0, abs=0.5)


def test_the_target_is_clean_and_the_noise_is_new_at_each_step():
    model, x = small("DenoisingAutoencoder", level=0.5), images()
    seen = []
    whole = model.encoder
    model.encoder = lambda images, training: seen.append(np.asarray(images)) or whole(images, training=training)
    first, second = (float(model({"views": (x,)}, training=True)["loss"]) for _ in range(2))
    assert not np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[0], x)
    prediction = np.asarray(model.decoder(whole(seen[0], training=True), training=True))
    assert first == pytest.approx(reference.squared_error(prediction, x), rel=1e-3) and first != second


def test_features_are_of_clean_images():
    model, x = small("DenoisingAutoencoder"), images()
    np.testing.assert_allclose(model.predict(x, verbose=0), model.encoder(x, training=False), atol=1e-5)


def test_pictures_show_the_noise():
    columns = small("DenoisingAutoencoder", level=0.5).pictures(images())
    assert list(columns) == ["image", "with noise", "reconstruction"]
    assert (columns["with noise"] == 0).mean() > 0.4
