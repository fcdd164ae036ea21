"""Alignment and uniformity: arXiv 2005.10242."""

import numpy as np
import pytest

from tests import cases
from tests.reference import negatives as reference
from tests.test_contrastive_family import loss_of, make, outputs, together

CASE = cases.Case({"dim": 8})


def test_every_option_of_align_uniform_is_used():
    options = {"align_weight": 3.0, "uniform_weight": 0.7, "power": 1.5, "scale": 3.0}
    model = make("AlignUniform", **options)
    a, b = together(model)
    align = np.mean(reference.alignment(a, b, 1.5))
    uniform = (reference.uniformity(a, 3.0) + reference.uniformity(b, 3.0)) / 2
    found = outputs(model)
    assert float(found["alignment"]) == pytest.approx(align, rel=1e-4)
    assert float(found["uniformity"]) == pytest.approx(uniform, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(3.0 * align + 0.7 * uniform, rel=1e-4)
    for name, default in {"align_weight": 1.0, "uniform_weight": 1.0, "power": 2.0, "scale": 2.0}.items():
        assert loss_of(make("AlignUniform", **options | {name: default})) != pytest.approx(loss_of(model), rel=1e-3)
