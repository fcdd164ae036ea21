"""Debiased contrastive learning: arXiv 2007.00224."""

import pytest

from tests import cases
from tests.reference import negatives as reference
from tests.test_contrastive_family import VIEWS, apart, loss_of, make, view

CASE = cases.Case({"hidden": 16, "dim": 8, "tau_plus": 0.1})


def test_a_third_view_is_a_positive_and_no_negative():
    model = make("DebiasedContrastive", tau_plus=0.3)
    a, b, c = apart(model, [*VIEWS, view(2)])
    expected = reference.debiased(a, b, 0.5, 0.3, extra=[c]).mean()
    assert loss_of(model, *VIEWS, view(2)) == pytest.approx(expected, rel=1e-4)
    assert loss_of(model) != pytest.approx(expected, rel=1e-4)
