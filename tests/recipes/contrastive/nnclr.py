"""NNCLR: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=1000, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10,
        settings={"queue_size": 98304, "temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 2048, "predictor_hidden": 4096, "dim": 256, "queue_size": 98304, "temperature": 0.1}
