"""VAT: numbers of S4L's code for ImageNet."""

DEFAULTS = {"epsilon": 40.0, "weight": 0.5, "entropy_weight": 0.0, "iterations": 1}
