"""Numbers of TemporalContrastive."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"length": 8, "past": 5, "steps": 3, "context": 256}
NUMBERS = [
    Row(((64, 112, 112, 3), 9_537), 32, 100, "Adam", 1e-3, 0.0, None, {"length": 8}, encoder="r3d18", views=1),
]


def SAMPLES(count):
    return {"video": np.random.default_rng(0).integers(0, 256, (count, 8, 8, 8, 3), "uint8")}
