"""Numbers of TimeContrastive."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"cameras": 1, "near": 6, "far": 12, "margin": 0.2}
NUMBERS = [
    Row(((36, 299, 299, 3), 1_000), 1, 100, "Adam", 1e-3, 1e-6, None, {"near": 6, "far": 12}, views=1),
]


def SAMPLES(count):
    return {"video": np.random.default_rng(0).integers(0, 256, (count, 8, 16, 16, 3), "uint8")}
