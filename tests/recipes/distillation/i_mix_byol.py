"""IMixBYOL: numbers of the paper."""

from tests.recipes.row import CIFAR, Row

NUMBERS = [
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=1.0, decay=1e-5, warmup=10,
        settings={"alpha": 1.0, "cutmix": False},
    ),
]  # fmt: skip
DEFAULTS = {"alpha": 1.0, "hidden": 4096, "dim": 256}
