"""All4One: numbers of the paper, of its authors' code."""

from tests.recipes.row import CIFAR, Epochs, Row

NUMBERS = [
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=1.0, decay=1e-5, warmup=10,
        plain={"trust": 0.02, "clipped": True},
        settings={"temperature": 0.2, "queue_size": 98304, "momentum": 0.99, "steps": Epochs(1000)},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "predictor_hidden": 4096, "dim": 256, "queue_size": 98304, "temperature": 0.2,
    "centroid_temperature": 0.1, "neighbor_weight": 0.5, "centroid_weight": 0.5, "feature_weight": 0.5, "neighbors": 5,
    "depth": 3, "heads": 8, "dropout": 0.1,
}  # fmt: skip
