"""TiCo: numbers of others who trained it: the authors' code could not be found."""

from tests.recipes.row import CIFAR, IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=100, optimizer="LARS", rate=0.3, decay=1e-6, warmup=10,
        settings={"hidden": 4096, "dim": 256, "momentum": 0.99, "steps": Epochs(100)},
    ),
    Row(
        CIFAR, batch=128, epochs=200, optimizer="SGD", rate=0.06, decay=5e-4, warmup=0,
        settings={"covariance_weight": 8.0, "decay": 0.9},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 4096, "dim": 256, "covariance_weight": 8.0, "decay": 0.9, "momentum": 0.99}
