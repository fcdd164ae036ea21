"""FixMatch: numbers of the paper."""

DEFAULTS = {"threshold": 0.95, "weight": 1.0, "momentum": 0.999}
