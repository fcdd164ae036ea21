"""SeLa: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=400, optimizer="SGD", rate=0.05, decay=1e-5, warmup=0,
        settings={"clusters": 3000, "head_count": 10, "power": 25.0, "one_head": False},
    ),
    Row(
        CIFAR, batch=128, epochs=400, optimizer="SGD", rate=0.03, decay=5e-4, warmup=0,
        settings={"clusters": 128, "head_count": 10, "power": 10.0, "one_head": True},
    ),
]  # fmt: skip
DEFAULTS = {"clusters": 3000, "head_count": 10, "power": 25.0, "tolerance": 0.1}
