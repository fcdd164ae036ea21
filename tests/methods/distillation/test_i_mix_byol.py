"""i-Mix on BYOL: arXiv 2010.08887."""

import numpy as np
import pytest

from tests import cases
from tests.test_instances import make, train, view

CASE = cases.Case({"hidden": 16, "dim": 8, "momentum": 0.9, "steps": 20})


@pytest.mark.parametrize("cutmix", [False, True])
def test_i_mix_that_mixes_nothing_is_byol(cutmix):
    first, second = make("IMixBYOL", alpha=0, cutmix=cutmix), make("BYOL")
    for seed in range(2):
        views = view(seed), view(seed + 9)
        assert train(first, *views) == train(second, *views)
    for a, b in zip(first.online.get_weights() + first.target.get_weights(), second.online.get_weights()
                    + second.target.get_weights()):
        np.testing.assert_array_equal(a, b)
