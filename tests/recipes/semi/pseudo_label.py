"""PseudoLabel: numbers of FixMatch's code."""

DEFAULTS = {"threshold": 0.95, "weight": 1.0, "momentum": 0.999}
