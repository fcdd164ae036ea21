"""LearningToCount: the sizes of the paper; rate, decay, warm-up and batch are those that the recipe calls its own."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=100, optimizer="SGD", rate=1e-3, decay=5e-4, warmup=10,
        settings={"hidden": 4096, "dim": 1000, "margin": 10.0},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 4096, "dim": 1000, "margin": 10.0}
