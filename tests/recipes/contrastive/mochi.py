"""MoCHi: numbers of the paper."""

from tests.recipes.row import IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0,
        settings={"hardest": 1024, "mixtures": 1024, "query_mixtures": 128, "warmup": Epochs(10), "queue_size": 65536},
    ),
]  # fmt: skip
DEFAULTS = {
    "hardest": 1024, "mixtures": 1024, "query_mixtures": 128, "temperature": 0.2, "queue_size": 65536,
    "momentum": 0.999, "hidden": 2048,
}  # fmt: skip
