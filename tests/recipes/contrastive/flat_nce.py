"""FlatNCE: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=512, epochs=100, optimizer="LARS", rate=0.6, decay=1e-6, warmup=10,
        settings={"temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "temperature": 0.1}
