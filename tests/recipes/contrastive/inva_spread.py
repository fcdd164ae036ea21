"""InvaSpread: numbers of the paper."""

from tests.recipes.row import CIFAR, Row

NUMBERS = [
    Row(
        CIFAR, batch=128, epochs=300, optimizer="SGD", rate=0.03, decay=5e-4, warmup=0,
        settings={"temperature": 0.1, "negative_weight": 1.0},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "temperature": 0.1, "negative_weight": 1.0, "detach_others": True}
