"""AlignUniform: numbers of the paper."""

from tests.recipes.row import Row, TINY

NUMBERS = [
    Row(
        TINY, batch=768, epochs=200, optimizer="SGD", rate=0.36, decay=1e-4, warmup=0,
        settings={"power": 2.0, "scale": 2.0},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 128, "align_weight": 1.0, "uniform_weight": 1.0, "power": 2.0, "scale": 2.0}
