"""SimCLR: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=1000, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10,
        settings={"temperature": 0.1, "dim": 128},
    ),
    Row(
        CIFAR, batch=512, epochs=1000, optimizer="LARS", rate=2.0, decay=1e-4, warmup=10, plain={"trust": 1e-3},
        settings={"temperature": 0.5},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "temperature": 0.1}
