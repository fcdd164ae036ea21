"""IMix: numbers of the paper."""

from tests.recipes.row import CIFAR, Row

NUMBERS = [
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="SGD", rate=0.125, decay=1e-4, warmup=10,
        settings={"temperature": 0.2, "alpha": 1.0, "cutmix": False},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "temperature": 0.2, "alpha": 1.0}
