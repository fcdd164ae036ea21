"""DenseCL: numbers of the authors' code for ImageNet; small images have those of MoCo's demo for CIFAR-10."""

from tests.recipes.row import CIFAR, IMAGENET, Row

LARGE = {"hidden": 2048, "dim": 128, "queue_size": 65536, "temperature": 0.2, "momentum": 0.999, "dense_weight": 0.5}
SMALL = LARGE | {"queue_size": 4096, "temperature": 0.1, "momentum": 0.99}
NUMBERS = [
    Row(
        IMAGENET, batch=256, epochs=200, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0, settings=LARGE, views=2,
    ),
    Row(
        CIFAR, batch=512, epochs=200, encoder="resnet18", optimizer="SGD", rate=0.06, decay=5e-4, warmup=0,
        settings=SMALL, views=2,
    ),
]  # fmt: skip
DEFAULTS = LARGE | {"shuffle": True}
