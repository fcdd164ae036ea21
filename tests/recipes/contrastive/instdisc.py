"""InstDisc: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0,
        settings={"negatives": 4096, "temperature": 0.07},
    ),
    Row(
        CIFAR, batch=128, epochs=200, optimizer="SGD", rate=0.03, decay=5e-4, warmup=0,
        settings={"negatives": 0, "temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "negatives": 4096, "temperature": 0.07, "momentum": 0.5, "proximal": 0.0, "softmax": False}
