"""SimCLRv2: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=800, optimizer="LARS", rate=6.4, decay=1e-4, warmup=40,
        settings={"temperature": 0.1, "depth": 3},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "depth": 3, "temperature": 0.1, "queue_size": 0, "momentum": 0.999}
