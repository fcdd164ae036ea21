"""PIRL: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=1024, epochs=800, optimizer="SGD", rate=0.12, decay=1e-4, warmup=0, plain={"final": 1.2e-4},
        settings={"negatives": 32000, "weight": 0.5},
    ),
]  # fmt: skip
DEFAULTS = {
    "patches": 9, "dim": 128, "negatives": 32000, "temperature": 0.07, "momentum": 0.5, "weight": 0.5,
    "softmax": False,
}  # fmt: skip
