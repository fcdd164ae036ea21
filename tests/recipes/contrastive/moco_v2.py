"""MoCoV2: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0,
        plain={"exclude_vectors": False}, settings={"hidden": 2048, "temperature": 0.2},
    ),
    Row(
        CIFAR, batch=512, epochs=800, optimizer="SGD", rate=0.06, decay=5e-4, warmup=0,
        settings={"hidden": 0, "dim": 128, "queue_size": 4096, "momentum": 0.99, "temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 2048, "dim": 128, "queue_size": 65536, "temperature": 0.2, "momentum": 0.999}
