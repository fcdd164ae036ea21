"""Audio2VecSkipGram: arXiv 1905.11796. What it shares with the other form is tested there."""

import numpy as np
import pytest

from keras_ssl import inputs
from tests import cases
from tests.methods.audio.test_audio2vec_cbow import ARGUMENTS, drawn, encoder, features_of, samples, small, views

CASE = cases.Case(ARGUMENTS, encoder, views, kind=inputs.AUDIO, samples=samples)


def test_the_loss_is_the_papers():
    model = small("Audio2VecSkipGram", decoder_inputs=2, slices=4)
    x = samples(3)["audio"] * np.linspace(0.5, 2, 136, dtype="float32")
    x = np.concatenate([x, x[:, ::-1]], axis=1)
    starts, length = drawn(model, x), model.length
    kernel, bias = (np.float64(w) for w in model.decoder.get_weights())
    losses = []
    for wave, places in zip(x, starts):
        slices = [wave[place : place + length] for place in places]
        said = (features_of(np.float64(slices[2])) @ kernel + bias).reshape(3, 4, 4)
        for number, neighbor in enumerate((0, 1, 3, 4)):
            target = np.float64(model.spectrogram(slices[neighbor][None]))[0]
            losses.append(np.mean((target - said[:, :, number]) ** 2))
    assert float(model({"views": (x,)}, training=True)["loss"]) == pytest.approx(np.mean(losses), rel=1e-4)
