"""NNSiam: numbers of others who trained it."""

from tests.recipes.row import CIFAR, Row

NUMBERS = [
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="SGD", rate=0.5, decay=1e-5, warmup=10,
        plain={"constant_rates": {"predictor": 0.5}},
        settings={"hidden": 2048, "dim": 2048, "depth": 3, "predictor_hidden": 4096, "queue_size": 65536},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 2048, "dim": 2048, "depth": 3, "predictor_hidden": 4096, "queue_size": 65536}
