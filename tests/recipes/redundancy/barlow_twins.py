"""BarlowTwins: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=1000, optimizer="LARS", rate=1.6, decay=1e-6, warmup=10,
        plain={"final": 1.6e-3, "excluded_rate": 0.024}, settings={"dim": 8192, "redundancy_weight": 0.0051},
    ),
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=0.3, decay=1e-4, warmup=10, settings={"dim": 2048},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 8192, "dim": 8192, "depth": 3, "redundancy_weight": 0.0051}
