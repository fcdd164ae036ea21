"""Numbers of CVRL."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"hidden": 2048, "hidden_layers": 3, "dim": 128, "temperature": 0.1}
NUMBERS = [
    # 71,488 steps, 1,787 of them to warm up
    Row(((64, 224, 224, 3), 366_019), 1024, 200, "SGD", 0.32, 1e-6, 5, {"hidden": 2048}, encoder="r3d18", views=2),
]  # the configuration of the authors' code for Kinetics-600


def SAMPLES(count):
    still = np.random.default_rng(0).integers(0, 256, (count, 1, 16, 16, 3), "uint8")
    return {"video": np.repeat(still, 8, axis=1)}
