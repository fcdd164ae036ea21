"""MoCoV1: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0,
        settings={"queue_size": 65536, "momentum": 0.999, "hidden": 0},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 0, "dim": 128, "queue_size": 65536, "temperature": 0.07, "momentum": 0.999, "shuffle": True,
    "symmetric": False,
}  # fmt: skip
