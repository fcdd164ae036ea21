"""ExemplarCNN: numbers of the paper for small images, of "Revisiting" (arXiv 1901.09005) for ImageNet."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        CIFAR, batch=128, epochs=200, optimizer="SGD", rate=0.01, decay=5e-4, warmup=0,
        settings={"samples": 50_000, "form": "softmax"}, views=1,
    ),
    Row(
        IMAGENET, batch=2048, epochs=35, optimizer="SGD", rate=0.8, decay=1e-4, warmup=5,
        settings={"samples": None, "form": "triplet", "dim": 1000, "margin": 0.5}, views=8,
    ),
]  # fmt: skip
DEFAULTS = {"samples": None, "form": "softmax", "dim": 1000, "margin": 0.5}
