"""UDA: numbers of the authors' code for CIFAR-10."""

DEFAULTS = {"threshold": 0.8, "temperature": 0.4, "weight": 1.0, "annealing": None, "momentum": 0.9999}
