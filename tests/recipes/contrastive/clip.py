"""CLIP: numbers of the paper."""

DEFAULTS = {"dim": 512, "temperature": 0.07, "max_scale": 100.0}
