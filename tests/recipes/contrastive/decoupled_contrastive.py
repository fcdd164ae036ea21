"""DecoupledContrastive: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.03, decay=1e-4, warmup=10,
        settings={"temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"temperature": 0.1, "weighted": False, "sigma": 0.5}
