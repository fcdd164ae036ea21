"""Samples of unequal sizes: what is padded and masked has no part in the features."""

import keras
import numpy as np
import pytest

import keras_ssl
from tests import kinds


def padded(columns, more):
    """Each column with more places, of another content, that no mask calls real."""
    def pad(name, x):
        width = [(0, 0), (0, more)] + [(0, 0)] * (x.ndim - 2)
        return np.pad(x, width, constant_values=0 if "mask" in name or name == "edges" else 3)

    return {name: pad(name, x) for name, x in columns.items()}


def cut(columns):
    """The first sample alone, without its padding."""
    masks = {name: x for name, x in columns.items() if "mask" in name}
    sizes = {name: int(mask[0].sum()) for name, mask in masks.items()}
    of = {"token_ids": "padding_mask", "nodes": "nodes_mask", "edges": "edges_mask"}
    return {name: x[:1, : sizes[of.get(name, name)]] for name, x in columns.items()}


@pytest.mark.parametrize("name", ["SimCLR of tokens", "SimCLR of graphs"])
def test_a_sample_alone_padded_and_beside_longer_ones_is_the_same(name):
    case = kinds.CASES[name]
    keras.utils.set_random_seed(0)
    model = keras_ssl.SimCLR(case.encoder(), **case.arguments)
    columns = case.samples(6)
    together = model.predict(columns, verbose=0)
    alone = cut(columns)
    assert alone.keys() == columns.keys() and any(alone[key].shape[1] < x.shape[1] for key, x in columns.items())
    for one in (alone, padded(alone, 3), {key: x[:1] for key, x in columns.items()}):
        np.testing.assert_allclose(model.predict(one, verbose=0), together[:1], atol=1e-5)
    np.testing.assert_allclose(model.predict(padded(columns, 4), verbose=0), together, atol=1e-5)
    unmasked = {key: np.ones_like(x) if "mask" in key else x for key, x in padded(columns, 4).items()}
    assert np.abs(model.predict(unmasked, verbose=0) - together).max() > 1e-2
