"""Numbers of TrackingByColorizing."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"dim": 64, "depth": 5, "width": 256, "temperature": 1.0, "position": True}
NUMBERS = [
    Row(((13, 256, 256, 3), 300_000), 32, 43, "Adam", 1e-3, 0.0, 0, {"dim": 64}, encoder="resnet18", views=1),
]


def SAMPLES(count):
    return {"video": np.random.default_rng(0).integers(0, 256, (count, 5, 16, 16, 3), "uint8")}
