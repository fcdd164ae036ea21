"""ReSSL: numbers of its authors' code, and of solo-learn for small images."""

from tests.recipes.row import CIFAR, IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.05, decay=1e-4, warmup=5,
        plain={"exclude_vectors": True},
        settings={"hidden": 4096, "dim": 512, "queue_size": 131072, "momentum": 0.999, "key_temperature": 0.04},
    ),
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="SGD", rate=0.05, decay=1e-4, warmup=10,
        plain={"exclude_vectors": False},
        settings={"hidden": 4096, "dim": 256, "queue_size": 65536, "momentum": 0.99, "steps": Epochs(1000)},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 4096, "dim": 512, "queue_size": 131072, "temperature": 0.1, "key_temperature": 0.04, "shuffle": True,
    "symmetric": False, "head_norm": False,
}  # fmt: skip
