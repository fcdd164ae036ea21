"""VIbCReg: numbers of others who trained it on images."""

from tests.recipes.row import CIFAR, Row

NUMBERS = [
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=0.3, decay=1e-4, warmup=10,
        plain={"trust": 0.02, "clipped": False},
        settings={
            "hidden": 2048, "dim": 2048, "groups": 64, "iterations": 5, "variance_weight": 50.0,
            "covariance_weight": 200.0,
        },
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "dim": 2048, "depth": 3, "invariance_weight": 25.0, "variance_weight": 50.0,
    "covariance_weight": 200.0, "groups": 64, "iterations": 5,
}  # fmt: skip
