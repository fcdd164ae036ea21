"""PseudoLabel: numbers of FixMatch's code; those of its recipe are in `tests/test_recipes_semi.py`."""

DEFAULTS = {"threshold": 0.95, "weight": 1.0, "momentum": 0.999}
