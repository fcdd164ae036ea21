"""FrameOrder: the contrastive form of arXiv 1603.08561."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl import inputs
from tests import cases, kinds
from tests.methods.video.test_cvrl import views
from tests.reference import losses as reference

CASE = cases.Case(
    {"hidden": 16, "dim": 8, "temperature": 0.5}, kinds.video_encoder, views, kind=inputs.VIDEO, samples=kinds.videos
)


def clips(seed, batch=5):
    return np.random.default_rng(seed).uniform(0, 255, (batch, 4, 6, 6, 3)).astype("float32")


def parts(model, *given):
    """The unit embeddings of each part: float64."""
    features = model.encoder(np.concatenate(given), training=True)
    z = np.float64(model.projector(features, training=True))
    return np.split(z / np.linalg.norm(z, axis=1, keepdims=True), len(given))


@pytest.fixture
def model(monkeypatch):
    made = keras_ssl.FrameOrder(kinds.video_encoder(), hidden=16, dim=8, temperature=0.3)
    monkeypatch.setattr(made, "mixed", lambda x: x[:, ::-1])
    return made


def test_a_clip_in_another_order_is_a_negative(model):
    first, second = clips(0), clips(1)
    one, other, mixed = parts(model, first, second, first[:, ::-1])
    scores = one @ other.T / 0.3
    wrong = np.exp(scores).sum(axis=1) + np.exp((one * mixed).sum(axis=1) / 0.3)
    expected = np.mean(np.log(wrong) - np.diag(scores))
    assert float(model({"views": (first, second)}, training=True)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_a_clip_in_another_order_is_a_positive(monkeypatch):
    model = keras_ssl.FrameOrder(kinds.video_encoder(), hidden=16, dim=8, temperature=0.3, shuffled="positive")
    monkeypatch.setattr(model, "mixed", lambda x: x[:, ::-1])
    one, mixed = parts(model, clips(0), clips(0)[:, ::-1])
    found = float(model({"views": [clips(0)]}, training=True)["loss"])
    assert found == pytest.approx(reference.nt_xent(one, mixed, 0.3), rel=1e-4)
    with pytest.raises(ValueError, match="takes 1 view of each sample. Received: 2"):
        model({"views": (clips(0), clips(1))}, training=True)


def test_no_frame_is_lost_and_no_order_is_kept():
    model = keras_ssl.FrameOrder(kinds.video_encoder(), hidden=4, dim=4)
    numbered = np.broadcast_to(np.arange(4.0)[None, :, None, None, None], (300, 4, 1, 1, 1)).astype("float32")
    found = np.asarray(model.mixed(numbered))[..., 0, 0, 0]
    np.testing.assert_array_equal(np.sort(found, axis=1), numbered[..., 0, 0, 0])
    assert (found != np.arange(4)).any(axis=1).all() and len(np.unique(found, axis=0)) == 23
    assert (found != np.asarray(model.mixed(numbered))[..., 0, 0, 0]).any()
