"""PixContrast: the numbers of its paper, with the optimizer of PixPro."""

from tests.recipes.row import IMAGENET, Row

DEFAULTS = {"hidden": 4096, "dim": 256, "threshold": 0.7, "temperature": 0.3, "momentum": 0.99}
NUMBERS = [
    Row(
        IMAGENET, batch=1024, epochs=100, optimizer="LARS", rate=4.0, decay=1e-5, warmup=5, settings=DEFAULTS, views=2,
    ),
]  # fmt: skip
