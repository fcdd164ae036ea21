"""CPCAudio: arXiv 1807.03748."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl import augment, encoders, inputs, losses
from tests import cases
from tests.kinds import smooth
from tests.reference.losses import gradient

SIZES = {"filters": (6, 6), "kernels": (4, 3), "strides": 2, "context": 5, "norm": "layer"}


def encoder(**options):
    return encoders.cpc_audio(**{**SIZES, **options})


def samples(count):
    return {"audio": smooth(np.random.default_rng(0), count, 48)}


CASE = cases.Case(
    {"steps": 2, "negatives": 5}, encoder, lambda: augment.AudioCrop(40), kind=inputs.AUDIO, samples=samples
)


def small(**options):
    return keras_ssl.CPCAudio(encoder(), **{"steps": 2, "negatives": 4} | options)


def drawn(model, ends, places, groups=None):
    """The negatives of the next step, which are then drawn once more."""
    state = model.draws.state.numpy()
    found = [np.asarray(x) for x in model.drawn(np.int32(ends), places, places - model.steps, groups)]
    model.draws.state.assign(state)
    return found


def info_nce(latent, context, kernel, rows, places, steps, ends):
    """One place, one step ahead and one negative at a time."""
    size = latent.shape[2]
    losses = []
    for b in range(len(latent)):
        own = []
        for t in range(ends[b] - steps):
            for k in range(1, steps + 1):
                said = context[b, t] @ kernel[:, (k - 1) * size : k * size]
                right = np.exp(said @ latent[b, t + k] / size)
                wrong = sum(
                    np.exp(said @ latent[row, place] / size) for row, place in zip(rows[b, t], places[b, t])
                )
                own.append(-np.log(right / (right + wrong)))
        losses.append(np.mean(own) if own else 0.0)
    return np.mean(losses)


@pytest.mark.parametrize("among", ["batch", "sound", "group"])
def test_the_loss_is_the_papers(among):
    model, x = small(among=among), samples(4)["audio"]
    groups = np.array([0, 1, 0, 1]) if among == "group" else None
    latent, context = (np.float64(y) for y in model.maps(x))
    rows, places = drawn(model, [latent.shape[1]] * 4, latent.shape[1], groups)
    kernel = np.float64(model.predictor.get_weights()[0])
    outputs = model({"views": (x,)} | ({"group": groups} if among == "group" else {}), training=True)
    expected = info_nce(latent, context, kernel, rows, places, 2, [latent.shape[1]] * 4)
    assert float(outputs["loss"]) == pytest.approx(expected, rel=1e-4)


def test_the_gradient_is_that_of_the_loop():
    """Through contexts, latents ahead and negatives."""
    z, c = (np.random.default_rng(i).normal(size=(2, 6, size)) for i, size in ((0, 3), (1, 4)))
    waves = keras.Input((6, 7))
    latent = keras.layers.Identity(name="latent")(waves[:, :, :3])
    context = keras.layers.Identity(name="context")(waves[:, :, 3:])
    model = keras_ssl.CPCAudio(
        keras.Model(waves, keras.layers.GlobalAveragePooling1D()(latent + context[:, :, :3])), steps=2, negatives=3
    )
    rows, places = drawn(model, [6, 6], 6)
    kernel = np.float64(model.predictor.get_weights()[0])
    x = np.concatenate([z, c], axis=2)
    given = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = model({"views": (given,)}, training=True)["loss"]
    loop = lambda x: info_nce(x[:, :, :3], x[:, :, 3:], kernel, rows, places, 2, [6, 6])  # noqa: E731
    assert float(loss) == pytest.approx(loop(x), rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, given), gradient(loop, x), atol=1e-5)


def test_negatives_come_from_where_they_should():
    places, ends = 12, np.array([12, 12, 9, 5])
    groups = np.array([7, 3, 7, 3])
    for among in ("batch", "sound", "group"):
        model = small(among=among, negatives=1500)
        rows, found = drawn(model, ends, places, groups)
        assert rows.shape == (4, 10, 1500) and (found < ends[rows]).all() and found.min() >= 0
        for b in range(4):
            expected = {"batch": {0, 1, 2, 3}, "sound": {b}, "group": set(np.flatnonzero(groups == groups[b]))}[among]
            assert set(rows[b].reshape(-1)) == expected
            for t in range(ends[b] - 2):
                own = set(found[b, t][rows[b, t] == b])
                assert not own & {t + 1, t + 2}  # the places that are told
                assert own == set(range(ends[b])) - {t + 1, t + 2}
        others = found[0][rows[0] == 1]
        assert among == "sound" or among == "group" or set(others) == set(range(12))


def test_only_real_places_count():
    """Padded sounds have the loss of the sounds alone, each of which counts alike."""
    model = keras_ssl.CPCAudio(encoder(masked=True), steps=2, negatives=4, among="sound")
    x = samples(2)["audio"]
    padded = np.pad(x, [(0, 0), (0, 20)], constant_values=3).astype("float32")
    real = np.arange(68)[None] < np.array([[48], [30]])
    latent, context, mask = (np.asarray(y) for y in model.maps({"audio": padded, "audio_mask": real}))
    ends = mask.sum(axis=1)
    np.testing.assert_allclose(
        context[1, : ends[1]], np.asarray(model.maps({"audio": x[1:, :30], "audio_mask": real[1:, :30]})[1])[0],
        atol=1e-5,
    )  # fmt: skip
    rows, places = drawn(model, ends, latent.shape[1])
    kernel = np.float64(model.predictor.get_weights()[0])
    loss = model({"views": ({"audio": padded, "audio_mask": real},)}, training=True)["loss"]
    assert float(loss) == pytest.approx(info_nce(latent, context, kernel, rows, places, 2, ends), rel=1e-4)


def test_the_loss_starts_at_that_of_chance():
    model = keras_ssl.CPCAudio(encoder(filters=(32, 32), context=16), steps=3, negatives=31)
    loss = model({"views": (samples(16)["audio"],)}, training=True)["loss"]
    assert float(loss) == pytest.approx(np.log(32), abs=0.1)


def test_matrices_start_large_where_the_latent_is_wider_than_the_context():
    wide = keras_ssl.CPCAudio(encoder(filters=(8, 96), context=64), steps=3).predictor.get_weights()[0]
    for step in np.split(wide, 3, axis=1):
        assert step[:, :64].std() == pytest.approx(1, rel=0.1) and step[:, 64:].std() == pytest.approx(0.01, rel=0.1)
    narrow = keras_ssl.CPCAudio(encoder(filters=(8, 32), context=64), steps=3).predictor.get_weights()[0]
    assert np.abs(narrow).max() == pytest.approx(0.25, rel=0.02)  # Glorot's limit of one matrix, 64 x 32


def test_the_context_does_not_hear_the_future():
    """A place of the context sees the samples up to the end of its latent's kernel, and all before."""
    model, x = small(), tf.constant(samples(1)["audio"])
    for t in (0, 3, 7):
        with tf.GradientTape() as tape:
            tape.watch(x)
            c = tf.reduce_sum(model.maps(x, training=True)[1][0, t])
        slope = np.abs(np.asarray(tape.gradient(c, x)))[0]
        last = 4 * t + 8  # strides 2 and 2, kernels 4 and 3: 8 samples a place
        assert slope[last - 1] > 0 and not slope[last:].any() and slope[0] > 0


def test_the_encoder_is_the_papers():
    encoder = encoders.cpc_audio((20_480,))
    convolutions = [x for x in encoder.layers if isinstance(x, keras.layers.Conv1D)]
    assert [x.kernel_size[0] for x in convolutions] == [10, 8, 4, 4, 4]
    assert [x.strides[0] for x in convolutions] == [5, 4, 2, 2, 2] and {x.filters for x in convolutions} == {512}
    assert np.prod([x.strides[0] for x in convolutions]) == 160
    assert encoder.get_layer("latent").output.shape == (None, 126, 512)
    assert encoder.get_layer("context").output.shape == (None, 126, 256) and encoder.output_shape == (None, 256)
    of_frames = encoders.cpc_audio(
        (8000,), filters=(8,), kernels=(3,), strides=(1,), front=encoders.LogMel(8000), masked=True
    )
    assert of_frames.get_layer("latent").output.shape == (None, 96, 8)


def test_what_comes_next_is_told_more_easily_than_what_comes_late():
    """Of tones whose pitch wanders: a place tells of the next one, and less of the twelfth."""
    draw, time = np.random.default_rng(0), 12 * 64
    pitch = np.clip(np.cumsum(draw.normal(0, 0.05, (64, 64)), axis=1), -1, 1).repeat(12, axis=1)
    waves = np.sin(np.cumsum(0.8 + 0.5 * pitch, axis=1) + draw.uniform(0, 6, (64, 1))).astype("float32")
    keras.utils.set_random_seed(0)
    network = encoders.cpc_audio(
        (time,), filters=(16, 16), kernels=(8, 3), strides=(4, 3), context=16, norm="layer"
    )
    model = keras_ssl.CPCAudio(network, steps=12, negatives=16)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    model.fit(tf.data.Dataset.from_tensors({"views": (waves,)}).repeat(40), verbose=0)
    latent, context = model.maps(waves)
    anchors = latent.shape[1] - 12
    said = np.reshape(model.predictor(np.reshape(context[:, :anchors], (-1, 16))), (64, anchors, 12, 16))
    others = model.others(latent, np.full(64, latent.shape[1], "int32"), anchors, None)
    accuracy = [
        float(losses.info_nce_drawn(said[:, :, k - 1 : k], latent[:, k : k + anchors, None], others)[1])
        for k in (1, 12)
    ]
    assert accuracy[0] > accuracy[1] + 0.05 and accuracy[0] > 2 / 17, accuracy


def test_features_of_a_sound_alone_and_padded_are_the_same():
    model, x = encoder(masked=True), samples(1)["audio"]
    alone = model({"audio": x, "audio_mask": np.ones(x.shape, bool)})
    padded = {"audio": np.pad(x, [(0, 0), (0, 37)], constant_values=3), "audio_mask": np.arange(85)[None] < 48}
    np.testing.assert_allclose(model(padded), alone, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="norm must be"):
        encoder(norm="batch")
    real = np.ones((2, 48), bool)
    with pytest.raises(ValueError, match="CPCAudio needs an encoder that takes 'audio_mask', as the data has it"):
        small()({"views": ({"audio": samples(2)["audio"], "audio_mask": real},)}, training=True)
    for options in ({"front": 0}, {"front": keras.layers.ReLU(), "masked": True}):
        with pytest.raises(ValueError, match="front must be a keras.layers.Layer.*Received: front="):
            encoder(**options)
    with pytest.raises(ValueError, match="with more places than steps. Received: steps=12, and 11 places"):
        small(steps=12)({"views": (samples(2)["audio"],)}, training=True)
    waves = keras.Input((None,))
    plain = keras.Model(waves, keras.ops.stack([keras.ops.mean(waves, axis=1)], axis=1))
    with pytest.raises(ValueError, match="needs an encoder with a layer 'latent'"):
        keras_ssl.CPCAudio(plain)
    model = small(among="group")
    assert model.needs == ("group",)
    with pytest.raises(ValueError, match="CPCAudio needs the column 'group'"):
        model({"views": (samples(2)["audio"],)}, training=True)
    with pytest.raises(ValueError, match="column 'group' must be ints of shape"):
        model({"views": (samples(2)["audio"],), "group": np.zeros((2, 1), "int32")}, training=True)
