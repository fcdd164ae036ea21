"""Numbers of CPCAudio."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {"steps": 12, "negatives": 128, "among": "batch"}
NUMBERS = [
    Row(((20_480,), 28_539), 64, 100, "Adam", 2e-4, 0.0, None, {"steps": 12}, encoder="cpc_audio"),
]
RUN = {"rate": 16_000}


def SAMPLES(count):
    return {"audio": np.random.default_rng(0).normal(size=(count, 4_000)).astype("float32")}
