"""RotNet: numbers of the paper's code for CIFAR-10, and of "Revisiting" (arXiv 1901.09005) for ImageNet."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        CIFAR, batch=128, epochs=200, optimizer="SGD", rate=0.1, decay=5e-4, warmup=0, plain={"nesterov": True},
        settings={"degrees": (0, 90, 180, 270)},
    ),
    Row(
        IMAGENET, batch=2048, epochs=35, optimizer="SGD", rate=0.8, decay=1e-4, warmup=5,
        settings={"degrees": (0, 90, 180, 270)},
    ),
]  # fmt: skip
DEFAULTS = {"degrees": (0, 90, 180, 270)}
