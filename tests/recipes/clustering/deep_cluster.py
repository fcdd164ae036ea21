"""DeepCluster: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.05, decay=1e-5, warmup=None,
        settings={"clusters": 10000, "balanced": True, "components": 256, "iterations": 20},
    ),
]  # fmt: skip
DEFAULTS = {"clusters": 10000, "hidden": 4096, "dropout": 0.5, "components": 256, "iterations": 20, "balanced": True}
