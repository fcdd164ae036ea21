"""Numbers of Audio2VecSkipGram."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"frames": 96, "neighbors": 2, "gap": 2, "widths": (8, 16, 32, 64, 64, 128)}
NUMBERS = [
    Row(((160_000,), 100_000), 256, 10, "Adam", 1e-3, 0.0, None, {"frames": 96}, encoder="audio2vec"),
]
RUN = {"rate": 16_000}


def SAMPLES(count):
    return {"audio": np.random.default_rng(0).normal(size=(count, 8_000)).astype("float32")}
