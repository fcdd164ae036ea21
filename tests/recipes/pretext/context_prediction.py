"""ContextPrediction: sizes of the paper's code; rates of "Revisiting" (arXiv 1901.09005)."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=35, optimizer="SGD", rate=0.8, decay=1e-4, warmup=5,
        settings={"dim": 4096, "hidden": 4096, "pairs": "neighbors"}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"grid": 3, "dim": 4096, "hidden": 4096, "pairs": "neighbors"}
