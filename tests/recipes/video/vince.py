"""Numbers of VINCE."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"hidden": None, "dim": 64, "queue_size": 65536, "temperature": 0.07, "momentum": 0.999, "shuffle": True}
NUMBERS = [
    Row(  # 256 frames are 64 videos; an epoch has 5,000 steps, 500 of them to warm up
        ((30, 224, 224, 3), 320_000), 64, 200, "SGD", 0.03, 1e-4, 0.1, {"queue_size": 65536}, encoder="resnet18",
        views=2,
    ),
]


def SAMPLES(count):
    return {"video": np.random.default_rng(0).integers(0, 256, (count, 5, 16, 16, 3), "uint8")}
