"""Numbers of TemporalGap."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"length": 15_600, "hidden": 64}
NUMBERS = [
    Row(((160_000,), 100_000), 256, 10, "Adam", 1e-3, 0.0, None, {"length": 15_600}, encoder="audio2vec"),
]
RUN = {"rate": 16_000}


def SAMPLES(count):
    return {"audio": np.random.default_rng(0).normal(size=(count, 4_000)).astype("float32")}
