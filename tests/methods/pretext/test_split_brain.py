"""Split-brain autoencoder: arXiv 1611.09842."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl.augment.image.gamut import rgb_of_lab
from tests import cases
from tests.methods.pretext.test_cross_channel_encoder import images, plain_planes, planes
from tests.methods.pretext.test_cross_channel_encoder import small as one


def halves():
    return [cases.small_encoder(channels=1), cases.small_encoder(channels=2)]


CASE = cases.Case({"width": 4}, encoder=halves, views=cases.one_crop)


def small(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.SplitBrain(halves(), **{"width": 4} | options)


@pytest.mark.parametrize("target", ["bins", "values"])
def test_it_is_two_cross_channel_encoders(target):
    model, x = small(target=target), images()
    found = {key: float(value) for key, value in model({"views": (x,)}, training=True).items()}
    for number, term in enumerate(("color", "lightness")):
        twin = one(number + 1, target=target)
        twin.network.set_weights(model.encoders[number].get_weights())
        twin.told.layers[-1].set_weights(model.told[number].layers[-1].get_weights())
        assert found[term] == pytest.approx(float(twin({"views": (x,)}, training=True)["loss"]), rel=1e-4)
    assert found["loss"] == pytest.approx(found["color"] + found["lightness"], rel=1e-6)


def test_no_half_sees_what_it_tells():
    """Of images with other colors the first half makes the same, of images with another lightness the second half."""
    model, (lightness, colors) = small(), plain_planes()

    def features(*parts):
        return model.predict(np.asarray(rgb_of_lab(np.concatenate(parts, axis=-1))), verbose=0)

    whole = features(lightness, colors)
    for same, other, changed in (
        (slice(0, 16), slice(16, 32), features(lightness, colors[::-1])),
        (slice(16, 32), slice(0, 16), features(lightness[::-1], colors)),
    ):
        np.testing.assert_allclose(changed[:, same], whole[:, same], atol=1e-3)
        assert np.abs(changed[:, other] - whole[:, other]).max() > 0.02


def test_the_halves_share_no_weight():
    model = small()
    weights = [{id(w) for w in told.weights} for told in model.told]
    assert not weights[0] & weights[1]
    trained = {id(w) for told in model.told for w in told.trainable_variables}
    assert {id(w) for w in model.trainable_variables} == trained


def test_half_the_width_of_both_gives_the_features_of_the_whole():
    from keras_ssl.recipes import Run
    from keras_ssl.recipes.pretext.split_brain import halves

    run = Run((32, 32, 3), 100, 10, 10, 1, "resnet18", width=16, quick=True)
    pair = halves(run)
    assert [encoder.input_shape[-1] for encoder in pair] == [1, 2]
    assert sum(encoder.output_shape[-1] for encoder in pair) == run.encoder().output_shape[-1]
    assert sum(encoder.count_params() for encoder in pair) < 0.52 * run.encoder().count_params()


def test_the_features_are_those_of_both_halves():
    model, x = small(), images()
    lightness, colors = planes(x)
    expected = np.concatenate([model.encoders[0](2.55 * lightness), model.encoders[1](colors + 128)], axis=1)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-3)


def test_other_encoders_are_refused():
    for encoders in (halves()[::-1], halves()[:1], halves()[0], [cases.small_encoder(channels=1)] * 2):
        with pytest.raises(ValueError, match="encoders must be two"):
            keras_ssl.SplitBrain(encoders)
