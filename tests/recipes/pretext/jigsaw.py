"""Jigsaw: the recipe is that of "Revisiting" (arXiv 1901.09005), the defaults are the paper's."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=35, optimizer="SGD", rate=0.8, decay=1e-4, warmup=5,
        settings={
            "orders": 100, "puzzles": 8, "dim": 1000, "hidden": 4096, "dropout": 0.5, "batch_norm": True,
            "linear": True,
        },
        views=1,
    ),
]  # fmt: skip
DEFAULTS = {
    "orders": 1000, "tiles": 9, "puzzles": 1, "dim": 1024, "hidden": 4096, "dropout": 0.5, "batch_norm": False,
    "linear": False,
}  # fmt: skip
