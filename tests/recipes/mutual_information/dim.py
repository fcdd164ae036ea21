"""DIM: numbers of the paper and of its authors' code."""

from tests.recipes.row import CIFAR, Row

SETTINGS = {"summary": 64, "units": 2048, "penalty": 1.0}
SETTINGS |= {"global_weight": 0.0, "local_weight": 1.0, "prior_weight": 0.1}
NUMBERS = [
    Row(
        CIFAR, batch=64, epochs=1000, encoder="resnet18", optimizer="Adam", rate=1e-4, decay=0, warmup=None,
        settings=SETTINGS | {"estimator": "nce"},
    ),
]  # fmt: skip
DEFAULTS = SETTINGS | {"hidden": 512, "estimator": "jsd"}
