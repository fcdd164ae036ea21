"""i-Mix on N-pair: arXiv 2010.08887."""

import keras
import numpy as np
import pytest

import keras_ssl
from tests import cases
from tests.reference import instances as reference
from tests.test_instances import encoder, make, train, view

CASE = cases.Case({"hidden": 16, "dim": 8, "input_mix": 2})


def test_i_mix_that_mixes_nothing_is_n_pairs():
    model, views = make("IMix", alpha=0), (view(0), view(1))
    queries, keys = np.split(model.projector(model.encoder(np.concatenate(views), training=True), training=True), 2)
    assert train(model, *views) == pytest.approx(reference.n_pair(queries, keys, 0.2), rel=1e-4)


def test_the_head_of_i_mix_is_the_authors():
    model = keras_ssl.IMix(encoder())
    of_moco = keras_ssl.IMixMoCo(encoder(), hidden=9, head_norm=True, queue_size=8)
    for head, hidden in ((model.projector, 54), (of_moco.query_encoder.layers[-1], 9)):
        first, norm, relu, last = head.layers
        assert isinstance(norm, keras.layers.BatchNormalization) and isinstance(relu, keras.layers.ReLU)
        assert (first.units, last.units) == (hidden, 128) and first.use_bias and last.use_bias
