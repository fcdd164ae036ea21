"""FroSSL: numbers of the paper, of its authors' code."""

from tests.recipes.row import CIFAR, IMAGENET, Row

SIZES = {"hidden": 2048, "dim": 1024, "depth": 3}
NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=100, optimizer="LARS", rate=0.3, decay=1e-4, warmup=10,
        plain={"trust": 0.02, "clipped": True},
        settings=SIZES | {"invariance_weight": 2.0}, views=2,
    ),
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=0.3, decay=1e-4, warmup=10,
        plain={"trust": 0.02, "clipped": True},
        settings=SIZES | {"invariance_weight": 1.0}, views=2,
    ),
]  # fmt: skip
DEFAULTS = SIZES | {"invariance_weight": 1.0, "centered": True}
