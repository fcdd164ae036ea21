"""IMixMoCo: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=512, epochs=800, optimizer="SGD", rate=0.03, decay=1e-4, warmup=10,
        settings={"cutmix": True, "queue_size": 65536},
    ),
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="SGD", rate=0.125, decay=1e-4, warmup=10,
        settings={"cutmix": False, "queue_size": 4096},
    ),
]  # fmt: skip
DEFAULTS = {"temperature": 0.2, "alpha": 1.0, "queue_size": 65536, "momentum": 0.999}
