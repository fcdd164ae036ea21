"""PCL: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0,
        settings={"queue_size": 16384, "negatives": 16384, "momentum": 0.999},
    ),
]  # fmt: skip
DEFAULTS = {
    "clusters": (25000, 50000, 100000), "negatives": 16384, "queue_size": 16384, "hidden": 2048, "temperature": 0.2,
    "momentum": 0.999,
}  # fmt: skip
