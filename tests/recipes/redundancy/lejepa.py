"""LeJEPA: numbers of the paper. Small images have those of its authors' example for Imagenette."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NETWORK = {"positions": "learned", "initializer": "truncated_normal", "drop_path": 0.1}
LARGE = {"hidden": 2048, "dim": 128, "regularizer_weight": 0.05, "slices": 1024, "activation": "relu"}
SMALL = {"hidden": 2048, "dim": 16, "regularizer_weight": 0.02, "slices": 256, "activation": "relu"}
NUMBERS = [
    Row(
        IMAGENET, batch=512, epochs=100, encoder="vit_small", optimizer="AdamW", rate=5e-4, decay=5e-2, warmup=1,
        plain={"start": 5e-6, "final": 5e-7}, settings=LARGE, network=NETWORK, views=8,
    ),
    Row(
        IMAGENET, batch=512, epochs=100, optimizer="AdamW", rate=5e-4, decay=5e-4, warmup=1,
        plain={"start": 5e-6, "final": 5e-7}, settings=LARGE, views=8,
    ),
    Row(
        CIFAR, batch=256, epochs=800, encoder="vit_small", optimizer="AdamW", rate=2e-3, decay=5e-2, warmup=1,
        plain={"start": 2e-5, "final": 1e-3}, settings=SMALL, network=NETWORK, views=4,
    ),
    Row(
        CIFAR, batch=256, epochs=800, optimizer="AdamW", rate=2e-3, decay=5e-4, warmup=1,
        plain={"start": 2e-5, "final": 1e-3}, settings=SMALL, views=4,
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 2048, "depth": 3, "regularizer_weight": 0.05, "slices": 1024, "activation": "relu"}
