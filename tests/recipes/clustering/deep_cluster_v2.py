"""DeepClusterV2: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=800, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10,
        plain={"start": 0.3, "final": 0.0048}, settings={"clusters": (3000, 3000, 3000)},
    ),
]  # fmt: skip
DEFAULTS = {
    "clusters": (3000, 3000, 3000), "hidden": 2048, "dim": 128, "temperature": 0.1, "assigned_views": 2,
    "iterations": 10,
}  # fmt: skip
