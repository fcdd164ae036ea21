"""Numbers of ShuffleAndLearn."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"longest": 60, "apart": 15, "positives": 0.25, "reverse": 0.5, "hidden": 0}
NUMBERS = [
    Row(
        ((96, 227, 227, 3), 900_000), 128, 14, "SGD", 1e-3, 5e-4, 0, {"apart": 15}, encoder="caffenet",
        plain={"exclude_vectors": True}, views=1,
    ),
]


def SAMPLES(count):
    return {"video": np.random.default_rng(0).integers(0, 256, (count, 12, 64, 64, 3), "uint8")}
