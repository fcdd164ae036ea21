"""Hard negatives: arXiv 2010.04592."""

import pytest

from tests import cases
from tests.reference import negatives as reference
from tests.test_contrastive_family import VIEWS, apart, loss_of, make

CASE = cases.Case({"hidden": 16, "dim": 8, "tau_plus": 0.1, "beta": 1.0, "steps": 6})


def test_beta_stays_or_falls_to_zero():
    still, falling = (make("HardNegativeContrastive", beta=2.0, steps=steps) for steps in (None, 4))
    for step in range(6):
        assert float(still.current_beta()) == 2.0
        assert float(falling.current_beta()) == pytest.approx(2.0 * max(1 - step / 4, 0))
        a, b = apart(falling)
        expected = reference.debiased(a, b, 0.5, 0.1, float(falling.current_beta())).mean()
        assert loss_of(falling) == pytest.approx(expected, rel=1e-4)
        for model in (still, falling):
            model.train_on_batch({"views": VIEWS})
