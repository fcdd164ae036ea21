"""Numbers of TPN."""

import numpy as np

from tests.recipes.row import Row

DEFAULTS = {
    "tasks": ("noise", "scale", "rotation", "negation", "reversal", "permutation", "warp", "channels"),
    "hidden": 256,
}
NUMBERS = [Row(((400, 6), 10_000), 300, 30, "Adam", 3e-4, 0.0, None, {}, encoder="sensor_cnn", views=9)]


def SAMPLES(count):
    return {"series": np.random.default_rng(0).normal(size=(count, 64, 6)).astype("float32")}
