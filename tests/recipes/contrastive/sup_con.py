"""SupCon: numbers of the paper."""

from tests.recipes.row import CIFAR, Row

NUMBERS = [
    Row(
        CIFAR, batch=1024, epochs=1000, optimizer="SGD", rate=0.5, decay=1e-4, warmup=10,
        settings={"temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "temperature": 0.1, "base_temperature": 0.07, "inside": False, "weight": 1.0}
