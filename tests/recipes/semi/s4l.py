"""S4L: numbers of the authors' code."""

DEFAULTS = {"task": "rotation", "copies": 8, "dim": 1000, "weight": 1.0, "class_weight": 1.0, "epsilon": 32.0}
