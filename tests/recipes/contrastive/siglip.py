"""SigLIP: numbers of the paper."""

DEFAULTS = {"dim": 512, "temperature": 0.1, "bias": -10.0, "max_scale": None}
