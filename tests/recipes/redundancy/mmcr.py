"""MMCR: numbers of the paper, of its authors' code."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=100, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10, plain={"final": 4.8e-3},
        settings={"hidden": 8192, "dim": 512, "depth": 3, "momentum": 0.99, "manifold_weight": 0.0}, views=2,
    ),
    Row(
        CIFAR, batch=32, epochs=500, optimizer="Adam", rate=1e-3, decay=1e-6, warmup=None,
        settings={"hidden": 512, "dim": 128, "depth": 2, "momentum": None, "manifold_weight": 0.0}, views=40,
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 8192, "dim": 512, "depth": 3, "momentum": 0.99, "manifold_weight": 0.0}
