"""AMDIM: numbers of its authors' code."""

from tests.recipes.row import CIFAR, IMAGENET, Row

ADAM = {"beta_1": 0.8, "beta_2": 0.999, "epsilon": 1e-8}
NUMBERS = [
    Row(
        CIFAR, batch=200, epochs=300, encoder="resnet18", optimizer="Adam", rate=2e-4, decay=1e-5, warmup=2,
        plain=ADAM, settings={"clip": 20.0, "penalty": 0.05},
    ),
    Row(
        IMAGENET, batch=480, epochs=150, optimizer="Adam", rate=2e-4, decay=1e-5, warmup=500 / 2668,
        plain=ADAM, settings={"clip": 20.0, "penalty": 0.05},
    ),
]  # fmt: skip
DEFAULTS = {"small": "local5", "large": "local7", "clip": 20.0, "penalty": 0.05}
