"""LeJEPA: numbers of the paper. Small images have those of its authors' example for Imagenette."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=512, epochs=100, encoder="vit_small", optimizer="AdamW", rate=5e-4, decay=5e-2, warmup=10,
        plain={"final": 5e-7}, settings={"hidden": 2048, "regularizer_weight": 0.05, "slices": 1024},
    ),
    Row(
        IMAGENET, batch=512, epochs=100, optimizer="AdamW", rate=5e-4, decay=5e-4, warmup=10, plain={"final": 5e-7},
        settings={},
    ),
    Row(
        CIFAR, batch=256, epochs=800, encoder="vit_small", optimizer="AdamW", rate=2e-3, decay=5e-2, warmup=1,
        plain={"start": 2e-5, "final": 1e-3},
        settings={"hidden": 2048, "dim": 16, "regularizer_weight": 0.02, "slices": 256},
        network={"positions": "learned", "initializer": "truncated_normal", "drop_path": 0.1},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 2048, "depth": 3, "regularizer_weight": 0.05, "slices": 1024, "activation": "relu"}
