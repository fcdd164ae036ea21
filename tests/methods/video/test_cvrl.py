"""CVRL: arXiv 2008.03800."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import inputs
from keras_ssl.recipes.video import cvrl as recipe
from tests import cases, kinds
from tests.reference import losses as reference


def views():
    return keras_ssl.augment.cvrl(kinds.SIDE, kinds.FRAMES, 1, blur_p=(0.0, 0.0), solarize_p=(0.0, 0.0))


CASE = cases.Case(
    {"hidden": 16, "hidden_layers": 1, "dim": 8, "temperature": 0.5},
    kinds.video_encoder, views, kind=inputs.VIDEO, samples=kinds.videos,
)  # fmt: skip


def clips(seed, batch=5):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 3, 6, 6, 3)).astype("float32")


def test_the_loss_is_the_sum_over_both_clips():
    model = keras_ssl.CVRL(kinds.video_encoder(), hidden=16, dim=8, temperature=0.2)
    first, second = clips(0), clips(1)
    features = model.projector(model.encoder(np.concatenate([first, second]), training=True), training=True)
    one, other = np.split(np.float64(features), 2)
    found = float(model({"views": (first, second)}, training=True)["loss"])
    assert found == pytest.approx(2 * reference.nt_xent(one, other, 0.2), rel=1e-4)


def still_encoder():
    frames = keras.Input((1, 6, 6, 3))
    x = keras.layers.Conv3D(4, (1, 3, 3))(keras.layers.Rescaling(1 / 255)(frames))
    return keras.Model(frames, keras.layers.GlobalAveragePooling3D()(x))


def test_with_one_frame_it_is_simclr_with_these_views():
    keras.utils.set_random_seed(0)
    model = keras_ssl.CVRL(still_encoder(), hidden=8, dim=4, temperature=0.5)
    simclr = keras_ssl.SimCLR(model.encoder, hidden=8, dim=4, temperature=0.5)
    simclr.projector = model.projector
    still = [x[:, :1] for x in (clips(0), clips(1))]
    loss = [float(one({"views": still}, training=True)["loss"]) for one in (model, simclr)]
    assert loss[0] == pytest.approx(2 * loss[1], rel=1e-5)
    pair = keras_ssl.augment.cvrl(6, frames=1)({"video": clips(2)[:, :1]})
    assert pair[0].shape == (5, 1, 6, 6, 3)


def test_the_projector_is_that_of_the_authors():
    projector = keras_ssl.CVRL(kinds.video_encoder()).projector
    dense = [layer for layer in projector.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [2048, 2048, 2048, 128] and all(layer.use_bias for layer in dense)
    norms = [layer for layer in projector.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 3 and projector.layers[-1] is dense[-1]


def test_all_frames_of_a_clip_that_stands_still_stay_equal():
    still = clips(0)[:, :1].repeat(9, axis=1)
    for clip in keras_ssl.augment.cvrl(6, frames=4)({"video": still}):
        assert np.ptp(np.asarray(clip), axis=1).max() == 0


def test_two_clips_of_the_recipe_fit_one_after_the_other():
    """The method is the distance of the two clips: where a clip has few places, both are nearly the same."""
    for there in range(2, 251):
        length, stride = recipe.frames(SimpleNamespace(shape=(there, 64, 64, 3)))
        span = (length - 1) * stride + 1
        assert 2 * span <= max(there, 4) and length >= 2, there
    given = lambda there: recipe.frames(SimpleNamespace(shape=(there, 64, 64, 3)))  # noqa: E731
    assert [given(there) for there in (1, 8, 32, 61, 62, 250)] == [(1, 1), (4, 1), (16, 1), (16, 1), (16, 2), (16, 2)]
