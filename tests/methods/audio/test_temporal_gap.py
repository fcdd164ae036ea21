"""TemporalGap: arXiv 1905.11796."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import augment, inputs
from tests import cases, kinds
from tests.reference.losses import gradient

CASE = cases.Case(
    {"length": 12, "hidden": 8}, kinds.audio_encoder, lambda: augment.AudioCrop(kinds.WAVE), kind=inputs.AUDIO,
    samples=kinds.sounds,
)  # fmt: skip


def moments():
    """An encoder without weights: mean and mean square."""
    waves = keras.Input((None,))
    return keras.Model(waves, ops.stack([ops.mean(waves, axis=1), ops.mean(waves**2, axis=1)], axis=1))


def waves(batch=4, samples=30):
    return np.random.default_rng(0).normal(size=(batch, samples)).astype("float32")


def drawn(model, view):
    """The slices of the next step, which are then drawn once more."""
    state = model.draws.state.numpy()
    starts, share = (np.asarray(x) for x in model.slices(view))
    model.draws.state.assign(state)
    return starts, share


def test_the_loss_is_the_papers_in_value_and_gradient():
    model = keras_ssl.TemporalGap(moments(), length=10, hidden=5)
    x = waves()
    starts, share = drawn(model, x)
    np.testing.assert_allclose(share, np.abs(starts[:, 0] - starts[:, 1]) / 20)
    kernel, bias, last, offset = (np.float64(w) for w in model.head.get_weights())

    def reference(x):
        losses = []
        for wave, pair, target in zip(x, starts, share):
            slices = [wave[start : start + 10] for start in pair]
            features = np.concatenate([[piece.mean(), (piece**2).mean()] for piece in slices])
            said = 1 / (1 + np.exp(-(np.maximum(features @ kernel + bias, 0) @ last + offset)[0]))
            losses.append(-target * np.log(said) - (1 - target) * np.log(1 - said))
        return np.mean(losses)

    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        outputs = model({"views": (given,)}, training=True)
    assert float(outputs["loss"]) == pytest.approx(reference(np.float64(x)), rel=1e-5)
    np.testing.assert_allclose(tape.gradient(outputs["loss"], given), gradient(reference, np.float64(x)), atol=1e-5)


def test_slices_are_anywhere_and_independent():
    model = keras_ssl.TemporalGap(moments(), length=10)
    starts, share = drawn(model, waves(4000, 30))
    assert starts.min() == 0 and starts.max() == 20
    counts = np.bincount(starts.reshape(-1), minlength=21)
    assert np.abs(counts - 8000 / 21).max() < 90
    assert abs(np.corrcoef(starts.T)[0, 1]) < 0.05
    pairs = np.abs(np.arange(21)[:, None] - np.arange(21)) / 20
    assert share.mean() == pytest.approx(pairs.mean(), abs=0.015) and share.max() <= 1
    again, _ = (np.asarray(x) for x in model.slices(waves(4000, 30)))
    other, _ = (np.asarray(x) for x in model.slices(waves(4000, 30)))
    assert not np.array_equal(again, other)


def test_slices_lie_in_what_is_real():
    """Also where the encoder takes no mask: the padding here would be seen in the loss."""
    real = np.arange(30) < np.array([30, 18, 10, 12])[:, None]
    padded = {"audio": np.where(real, waves(4), np.nan).astype("float32"), "audio_mask": real}
    crop = keras_ssl.augment.AudioCrop(30)
    for model in (keras_ssl.TemporalGap(moments(), length=10), keras_ssl.TemporalGap(moments(), crop, length=10)):
        data = padded if model.augment else {"views": (padded,)}
        for _ in range(20):
            assert np.isfinite(float(model(data, training=True)["loss"]))
            starts = np.asarray(model.slices(model.views(data)[0])[0])
            assert (starts <= np.array([20, 8, 0, 2])[:, None]).all()


def test_the_distance_of_one_slice_to_itself_is_zero_and_a_constant_has_its_error():
    """A head of zeros but for its bias says 1/3 of every pair."""
    model = keras_ssl.TemporalGap(moments(), length=10, hidden=2)
    weights = [0 * w for w in model.head.get_weights()]
    weights[-1] += np.log(0.5)
    model.head.set_weights(weights)
    error = np.abs(np.abs(np.arange(21)[:, None] - np.arange(21)) / 20 - 1 / 3).mean()
    assert 0.19 < error < 0.21
    assert float(model({"views": (waves(8000),)}, training=True)["error"]) == pytest.approx(error, abs=0.01)


def test_sounds_must_be_longer_than_a_slice():
    model = keras_ssl.TemporalGap(moments(), length=30)
    with pytest.raises(ValueError, match="TemporalGap needs sounds of at least 31 samples. Received: 30"):
        model({"views": (waves(),)}, training=True)


def test_the_distance_of_slices_of_chirps_is_heard():
    """Tones that rise at one rate from a pitch of their own: the gap is the difference of the pitches."""
    draws, time = np.random.default_rng(0), np.arange(400) / 400
    start = draws.uniform(20, 40, (256, 1))
    chirps = np.sin(2 * np.pi * (start * time + 40 * time**2) + draws.uniform(0, 6, (256, 1))).astype("float32")
    keras.utils.set_random_seed(0)
    front = keras_ssl.encoders.LogMel(400, mels=16, window=0.16, hop=0.04, low=0.0)
    waves_in = keras.Input((None,))
    x = keras.layers.GlobalAveragePooling1D()(front(waves_in))
    encoder = keras.Model(waves_in, keras.layers.Dense(32, activation="relu")(x))
    model = keras_ssl.TemporalGap(encoder, length=80, hidden=32)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    data = tf.data.Dataset.from_tensors({"views": (chirps,)}).repeat(250)
    model.fit(data, verbose=0)
    starts, share = drawn(model, chirps)
    pairs = [np.stack([wave[i : i + 80] for wave, i in zip(chirps, starts[:, side])]) for side in (0, 1)]
    first, second = (np.asarray(encoder(pair)) for pair in pairs)
    said, swapped = (
        np.asarray(ops.sigmoid(model.head(np.concatenate(x, axis=1))))[:, 0]
        for x in ((first, second), (second, first))
    )
    assert np.corrcoef(said, share)[0, 1] > 0.8
    assert np.corrcoef(said, swapped)[0, 1] > 0.8
