"""Decoupled contrastive learning: arXiv 2110.06848."""

import pytest

from tests import cases
from tests.reference import negatives as reference
from tests.test_contrastive_family import loss_of, make, together

CASE = cases.Case({"hidden": 16, "dim": 8, "temperature": 0.5, "weighted": True})


def test_the_weight_of_decoupled_is_an_option():
    plain, weighted = make("DecoupledContrastive"), make("DecoupledContrastive", weighted=True)
    a, b = together(plain)
    assert loss_of(plain) == pytest.approx(reference.decoupled(a, b, 0.1).mean(), rel=1e-4)
    assert loss_of(plain) != pytest.approx(loss_of(weighted), rel=1e-4)
