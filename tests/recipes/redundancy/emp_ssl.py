"""EMPSSL: numbers of the paper, of its authors' code."""

from tests.recipes.row import CIFAR, Row

NUMBERS = [
    Row(
        CIFAR, batch=100, epochs=30, optimizer="LARS", rate=0.3, decay=1e-4, warmup=0,
        plain={"trust": 5e-3, "nesterov": True, "clipped": True}, views=20,
        settings={"hidden": 4096, "dim": 1024, "similarity_weight": 200.0, "epsilon": 0.2},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 4096, "dim": 1024, "similarity_weight": 200.0, "epsilon": 0.2}
