"""WMSE: numbers of the paper."""

from tests.recipes.row import CIFAR, Row, STL, TINY

NUMBERS = [
    Row(
        CIFAR, batch=512, epochs=1000, optimizer="Adam", rate=3e-3, decay=1e-6, warmup=500 / 97,
        settings={"hidden": 1024, "dim": 64, "sub_batch": 128},
    ),
    Row(
        TINY, batch=512, epochs=1000, optimizer="Adam", rate=2e-3, decay=1e-6, warmup=500 / 195,
        settings={"dim": 128, "sub_batch": 256, "repeats": 4},
    ),
    Row(
        STL, batch=512, epochs=2000, optimizer="Adam", rate=2e-3, decay=1e-6, warmup=500 / 205,
        settings={"dim": 128, "sub_batch": 256, "repeats": 4},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 1024, "dim": 64, "sub_batch": 128, "repeats": 1, "shuffle": True, "epsilon": 0.0}
