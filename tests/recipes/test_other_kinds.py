"""Recipes for samples that are no images: each builds its method, which trains a step."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl import inputs, recipes
from tests.recipes.test_numbers import written

COUNT = 16
NAMES = [name for name in recipes.names(kind=None) if recipes.kind_of(name) is not inputs.IMAGE]


def a_run(name, columns, quick):
    kind = recipes.kind_of(name)
    shape = columns[kind.column].shape[1:]
    more = {"kind": kind, "in_order": lambda: columns, **getattr(written(name), "RUN", {})}
    return recipes.Run(shape, COUNT, COUNT, 1, 10, recipes.encoders_of(name)[0], quick=quick, **more)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quick", [True, False])
def test_every_recipe_of_another_kind_trains_its_method(name, quick, released):
    columns = written(name).SAMPLES(COUNT)
    model, optimizer, *_ = recipes.make(name, a_run(name, columns, quick))
    assert type(model) is getattr(keras_ssl, name)
    model.compile(optimizer=optimizer, run_eagerly=True)
    columns |= {"index": np.arange(COUNT), "label": np.arange(COUNT) % 2}
    batch = keras.tree.map_structure(keras.ops.convert_to_tensor, columns)
    found = model.train_on_batch(batch, return_dict=True)
    assert np.isfinite(list(found.values())).all()


def test_recipes_of_images_are_listed_apart():
    assert "SimCLR" in recipes.names() and not set(NAMES) & set(recipes.names())
    assert recipes.names(kind=None) == [name for name in keras_ssl.METHODS if name in {*recipes.names(), *NAMES}]


def test_a_run_on_samples_of_another_kind_is_refused():
    run = recipes.Run((24, 3), 16, 8, 2, 1, "resnet18", kind=inputs.SERIES)
    with pytest.raises(ValueError, match="The recipe of SimCLR is for images. Received: a run on series"):
        recipes.make("SimCLR", run)


@pytest.mark.parametrize("name", ["TemporalGap", "Audio2VecCBoW", "Audio2VecSkipGram", "CPCAudio"])
def test_recipes_of_sounds_take_the_mask_that_the_data_has(name, released):
    waves = written(name).SAMPLES(COUNT)["audio"]
    ends = waves.shape[1] * (np.arange(COUNT) + 1) // COUNT
    samples = {"audio": waves, "audio_mask": np.arange(waves.shape[1]) < ends[:, None]}
    for given in (samples, samples["audio"]):
        run = a_run(name, samples, quick=True)
        run.in_order = lambda given=given: given
        model, optimizer, *_ = recipes.make(name, run)
        masked = isinstance(given, dict)
        assert (inputs.input_names(model.encoder) == ["audio", "audio_mask"]) is masked
        if hasattr(model, "spectrogram"):  # standardized by what is real
            expected = keras_ssl.encoders.LogMel(run.rate).fitted([given])
            np.testing.assert_allclose(model.spectrogram.mean, expected.mean, rtol=1e-4)
    model.compile(optimizer=optimizer, run_eagerly=True)
    assert np.isfinite(model.train_on_batch({"audio": given}, return_dict=True)["loss"])
