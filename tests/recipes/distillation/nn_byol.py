"""NNBYOL: numbers of others who trained it."""

from tests.recipes.row import CIFAR, Epochs, Row

NUMBERS = [
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=1.0, decay=1e-5, warmup=10,
        plain={"trust": 0.02, "clipped": True},
        settings={"hidden": 4096, "dim": 256, "momentum": 0.99, "queue_size": 65536, "steps": Epochs(1000)},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 4096, "dim": 256, "queue_size": 65536}
