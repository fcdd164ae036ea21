"""DebiasedContrastive: numbers of the paper."""

from tests.recipes.row import Row, STL

NUMBERS = [
    Row(
        STL, batch=256, epochs=400, optimizer="Adam", rate=1e-3, decay=1e-6, warmup=None,
        settings={"tau_plus": 0.1, "hidden": 512},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 512, "dim": 128, "temperature": 0.5, "tau_plus": 0.1}
