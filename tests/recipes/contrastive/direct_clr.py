"""DirectCLR: numbers of the paper, of its authors' code."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=100, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10, plain={"final": 4.8e-3},
        settings={"dim": 360, "temperature": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 360, "temperature": 0.1}
