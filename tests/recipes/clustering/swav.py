"""SwAV: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=800, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10,
        plain={"start": 0.3, "final": 0.0048},
        settings={"queue_size": 0, "freeze_steps": Epochs(1), "prototype_count": 3000},
    ),
    Row(
        IMAGENET, batch=256, epochs=400, optimizer="LARS", rate=0.6, decay=1e-6, warmup=0, plain={"final": 0.0006},
        settings={"queue_size": 3840, "queue_start": Epochs(15), "freeze_steps": Epochs(1)},
    ),
    Row(
        CIFAR, batch=256, epochs=1000, optimizer="LARS", rate=0.6, decay=1e-6, warmup=0, plain={"final": 0.0006},
        settings={"queue_size": 3840, "queue_start": Epochs(50), "freeze_steps": Epochs(2), "prototype_count": 3000},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "dim": 128, "prototype_count": 3000, "temperature": 0.1, "epsilon": 0.05, "iterations": 3,
    "assigned_views": 2,
}  # fmt: skip
