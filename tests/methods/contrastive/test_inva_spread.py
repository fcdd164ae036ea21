"""Invariant and spreading features: arXiv 1904.03436."""

from tests import cases

CASE = cases.Case({"dim": 8, "temperature": 0.5})
