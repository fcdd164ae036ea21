"""BYOL: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=1000, optimizer="LARS", rate=3.2, decay=1.5e-6, warmup=10,
        settings={"momentum": 0.996, "steps": Epochs(1000)},
    ),
    Row(
        IMAGENET, batch=4096, epochs=300, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10,
        settings={"momentum": 0.99, "hidden": 4096, "dim": 256},
    ),
    Row(
        IMAGENET, batch=4096, epochs=100, optimizer="LARS", rate=7.2, decay=1e-6, warmup=10, plain={"trust": 1e-3},
        settings={"momentum": 0.99},
    ),
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=1.0, decay=1e-5, warmup=10,
        settings={"hidden": 4096, "dim": 256},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 4096, "dim": 256, "momentum": 0.996}
