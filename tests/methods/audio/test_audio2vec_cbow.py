"""Audio2VecCBoW, and what it shares with the skip-gram: arXiv 1905.11796."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl import augment, distribute, encoders, inputs
from tests import cases
from tests.kinds import smooth

FRAME, STEP = 16, 8
SPAN = 120  # samples of three slices of four frames, with gaps of one


def front():
    return encoders.LogMel(1000, mels=4, window=0.016, hop=0.008, low=0.0, epsilon=1e-2)


def samples(count):
    return {"audio": smooth(np.random.default_rng(0), count, SPAN + 16) / 3}


def encoder():
    return encoders.audio2vec(front=front(), widths=(4, 8), synchronized=distribute.replicas() > 1)


def views():
    return augment.AudioCrop(SPAN + 8)


ARGUMENTS = {"spectrogram": front, "frames": 4, "neighbors": 1, "gap": 1, "widths": (4, 8)}
CASE = cases.Case(ARGUMENTS, encoder, views, kind=inputs.AUDIO, samples=samples)
both = pytest.mark.parametrize("name", ["Audio2VecCBoW", "Audio2VecSkipGram"])


def moments():
    """An encoder without weights: mean and mean square."""
    waves = keras.Input((None,))
    return keras.Model(waves, ops.stack([ops.mean(waves, axis=1), ops.mean(waves**2, axis=1)], axis=1))


def small(name, decoder_inputs, slices, neighbors=2):
    """A method whose decoder is one matrix."""
    model = getattr(keras_ssl, name)(
        moments(), spectrogram=front(), frames=3, neighbors=neighbors, gap=2, widths=(4,)
    )
    features = keras.Input((decoder_inputs,))
    x = keras.layers.Dense(3 * 4 * slices)(features)
    model.decoder = keras.Model(features, keras.layers.Reshape((3, 4, slices))(x))
    return model


def drawn(model, view):
    state = model.draws.state.numpy()
    starts = np.asarray(model.starts(view))
    model.draws.state.assign(state)
    return starts


def features_of(wave):
    return np.array([wave.mean(), (wave**2).mean()])


def test_the_loss_is_the_papers_in_value_and_gradient():
    model = small("Audio2VecCBoW", decoder_inputs=8, slices=1)
    x = samples(3)["audio"] * np.linspace(0.5, 2, 136, dtype="float32")
    x = np.concatenate([x, x[:, ::-1]], axis=1)
    starts, length = drawn(model, x), model.length
    kernel, bias = (np.float64(w) for w in model.decoder.get_weights())

    def reference(waves):
        losses = []
        for wave, places, true in zip(waves, starts, x):
            slices = [wave[place : place + length] for place in places]
            said = np.concatenate([features_of(slices[i]) for i in (0, 1, 3, 4)]) @ kernel + bias
            target = np.float64(model.spectrogram(true[None, places[2] : places[2] + length]))[0]
            losses.append(np.mean((target - said.reshape(3, 4)) ** 2))
        return np.mean(losses)

    given = tf.constant(x)
    with tf.GradientTape() as tape:
        loss = model({"views": (given,)}, training=True)["loss"]
    assert float(loss) == pytest.approx(reference(np.float64(x)), rel=1e-4)
    slope = tape.gradient(loss, model.decoder.trainable_variables[0])
    step = np.zeros_like(kernel)
    step[3, 5] = 1e-4
    kernel += step
    up = reference(np.float64(x))
    kernel -= 2 * step
    assert float(slope[3, 5]) == pytest.approx((up - reference(np.float64(x))) / 2e-4, rel=1e-3)


@both
def test_slices_follow_each_other_with_a_gap(name):
    model = small(name, decoder_inputs={"Audio2VecCBoW": 8}.get(name, 2), slices=4)
    x = np.zeros((500, model.span + 3 * STEP + 5), "float32")
    starts = drawn(model, x)
    assert (np.diff(starts, axis=1) == (3 + 2) * STEP).all() and model.length == 2 * STEP + FRAME
    assert (np.diff(starts, axis=1) >= model.length).all()  # no sample is in two slices
    assert set(starts[:, 0]) == {0, STEP, 2 * STEP, 3 * STEP}
    assert starts.max() + model.length <= x.shape[1]
    real = np.arange(x.shape[1])[None] < np.array([[model.span + STEP], [model.span - 9]])
    for _ in range(10):
        starts = np.asarray(model.starts({"audio": x[:2], "audio_mask": real}))[:, 0]
        assert starts[0] in (0, STEP) and starts[1] == 0


@both
def test_frames_of_padding_have_no_part_in_the_error(name):
    """Each sound counts alike, by its real frames, and one without any as 0; also where the encoder takes no mask."""
    skip = name == "Audio2VecSkipGram"
    model = small(name, decoder_inputs=2 if skip else 8, slices=4 if skip else 1)
    model.decoder = zeros(model.decoder)
    x = np.random.default_rng(0).normal(size=(4, model.span + 8)).astype("float32")
    ends = np.array([model.span + 8, 2 * model.stride + 25, 30, 3])
    real = np.arange(x.shape[1]) < ends[:, None]
    view = {"audio": np.where(real, x, 7).astype("float32"), "audio_mask": real}
    starts, losses = drawn(model, view), []
    for wave, places, end in zip(x, starts, ends):
        targets = [places[i] for i in ((0, 1, 3, 4) if skip else (2,))]
        frames = [place + i * STEP for place in targets for i in range(3) if place + i * STEP + FRAME <= end]
        powers = [np.mean(np.square(model.spectrogram(wave[None, frame : frame + FRAME]))) for frame in frames]
        losses.append(np.mean(powers) if frames else 0.0)
    assert [bool(loss) for loss in losses] == ([True, True, True, False] if skip else [True, True, False, False])
    assert float(model({"views": (view,)}, training=True)["loss"]) == pytest.approx(np.mean(losses), rel=1e-4)


def zeros(decoder):
    """A decoder that paints zeros."""
    decoder.set_weights([0 * w for w in decoder.get_weights()])
    return decoder


def test_the_order_of_the_context_counts():
    """The slices around the middle change their places: another loss."""
    model = small("Audio2VecCBoW", decoder_inputs=8, slices=1)
    x = np.random.default_rng(0).normal(size=(1, model.span)).astype("float32") * np.linspace(0.1, 2, model.span)
    swapped, places = x.copy(), drawn(model, x)[0]
    for one, other in ((0, 4), (1, 3)):
        cut = slice(places[one], places[one] + model.length)
        swapped[:, cut] = x[:, places[other] : places[other] + model.length]
        swapped[:, places[other] : places[other] + model.length] = x[:, cut]
    losses = [float(model({"views": (np.float32(y),)}, training=True)["loss"]) for y in (x, swapped)]
    assert abs(losses[0] - losses[1]) > 1e-3


def test_the_slice_in_the_middle_is_not_in_its_context():
    """Its samples change the target only, and those of the others the features only."""
    model = small("Audio2VecCBoW", decoder_inputs=4, slices=1, neighbors=1)
    x = np.random.default_rng(0).normal(size=(1, model.span)).astype("float32")
    seen = []
    decoder = model.decoder
    model.decoder = lambda features, training: seen.append(np.asarray(features)) or decoder(features)
    middle = slice(*(np.array([0, model.length]) + drawn(model, x)[0, 1]))
    state = model.draws.state.numpy()
    for change in (0, 1):
        model.draws.state.assign(state)
        y = x.copy()
        y[:, middle] += change
        model.objective([y])
    np.testing.assert_array_equal(seen[0], seen[1])


@both
def test_sounds_must_hold_all_slices(name):
    model = cases.new(name)
    with pytest.raises(ValueError, match=f"{name} needs sounds of at least {SPAN} samples. Received: 64"):
        model({"views": (np.zeros((2, 64), "float32"),)}, training=True)
    with pytest.raises(ValueError, match="spectrogram must be a keras_ssl.encoders.LogMel"):
        cases.new(name, spectrogram=None)


# The networks


def test_the_encoder_has_the_weights_of_the_paper():
    encoder = encoders.audio2vec()
    convolutions = [x for x in encoder.layers if isinstance(x, keras.layers.Conv2D)]
    assert sum(x.count_params() for x in convolutions) == 122_712
    assert [x.kernel_size for x in convolutions] == [(3, 1), (1, 3)] * 6 and encoder.output_shape == (None, 128)
    narrow = encoders.audio2vec(widths=(8, 16, 32, 32, 64, 64))
    assert sum(x.count_params() for x in narrow.layers if isinstance(x, keras.layers.Conv2D)) == 55_128


def test_the_decoder_mirrors_it():
    decoder = encoders.spectrogram_decoder(128, 96, 64, slices=4)
    assert decoder.output_shape == (None, 96, 64, 4)
    convolutions = [x for x in decoder.layers if isinstance(x, keras.layers.Conv2D)]
    assert [x.filters for x in convolutions] == [width for width in (128, 64, 64, 32, 16, 8) for _ in "ab"] + [4]
    assert encoders.spectrogram_decoder(8, 5, 3, widths=(4, 2)).output_shape == (None, 5, 3, 1)
    for bad in ((), (0,), "x"):
        with pytest.raises(ValueError, match="widths must be positive ints"):
            encoders.spectrogram_decoder(8, 5, 3, widths=bad)


@pytest.mark.parametrize("training", [False, True])
def test_a_sound_alone_padded_and_beside_longer_ones_is_the_same(training):
    model = encoders.audio2vec(front=front(), widths=(4, 8, 8), masked=True)
    for layer in model.layers:  # other statistics than those that a network starts with
        if isinstance(layer, keras.layers.BatchNormalization):
            draws = np.random.default_rng(0)
            layer.set_weights([draws.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    x = np.random.default_rng(1).normal(size=(1, 76)).astype("float32")
    alone = model({"audio": x, "audio_mask": np.ones((1, 76), bool)}, training=training)
    padded = np.concatenate([x, np.full((1, 61), 3, "float32")], axis=1)
    found = model({"audio": padded, "audio_mask": np.arange(137)[None] < 76}, training=training)
    np.testing.assert_allclose(found, alone, atol=1e-5)
    plain = encoders.audio2vec(front=front(), widths=(4, 8, 8))
    plain.set_weights(model.get_weights())
    if not training:
        np.testing.assert_allclose(plain(x), alone, atol=1e-5)


def test_spectrograms_are_standardized_by_those_of_the_training_part():
    draws = np.random.default_rng(0)
    waves = draws.normal(size=(5, 200)) * draws.uniform(0.1, 3, (5, 1))
    layer = front().fitted(waves.astype("float32"))
    frames = np.asarray(layer(waves.astype("float32"))).reshape(-1, 4)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(axis=0), 1, rtol=1e-3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(again(waves), layer(waves))
    real = np.arange(200) < np.array([200, 150, 100, 16, 10])[:, None]
    batches = [{"audio": waves[rows], "audio_mask": real[rows]} for rows in (slice(0, 2), slice(2, 5))]
    lengths = [200, 150, 100, 16]  # the last sound has no whole frame
    parts = [np.asarray(front()(wave[None, :length]))[0] for wave, length in zip(waves, lengths)]
    np.testing.assert_allclose(front().fitted(batches).mean, np.concatenate(parts).mean(axis=0), rtol=1e-4)
    with pytest.raises(ValueError, match="fitted needs sounds of at least 16 samples"):
        front().fitted([])
    for options in ({"deviation": 0.0}, {"mean": [1.0, 2.0]}, {"mean": "x"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            encoders.LogMel(1000, mels=4, **options)
