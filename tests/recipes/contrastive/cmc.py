"""CMC: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row, TINY

NUMBERS = [
    Row(
        IMAGENET, batch=128, epochs=240, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0,
        settings={"negatives": 16384, "temperature": 0.07},
    ),
    Row(
        TINY, batch=128, epochs=240, optimizer="SGD", rate=0.03, decay=1e-4, warmup=0, settings={"temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"core": False, "dim": 128, "negatives": 16384, "temperature": 0.07, "momentum": 0.5, "softmax": False}
