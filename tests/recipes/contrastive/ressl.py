"""ReSSL: numbers of the paper, of its authors' code."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.05, decay=1e-4, warmup=5,
        settings={"hidden": 4096, "dim": 512, "queue_size": 131072, "momentum": 0.999, "key_temperature": 0.04},
    ),
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="SGD", rate=0.05, decay=1e-4, warmup=5,
        settings={"hidden": 4096, "dim": 256, "queue_size": 4096, "momentum": 0.99},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 4096, "dim": 512, "queue_size": 131072, "temperature": 0.1, "key_temperature": 0.04, "shuffle": True,
    "symmetric": False, "head_norm": False,
}  # fmt: skip
