"""VISReg: numbers of the authors' code. Small images have those for Imagenette, ResNets the decay of LeJEPA."""

from tests.recipes.redundancy.lejepa import NETWORK
from tests.recipes.row import CIFAR, IMAGENET, Row

LARGE = {"hidden": 2048, "dim": 256, "regularizer_weight": 0.9, "activation": "gelu", "slices": 4096}
SMALL = {"hidden": 2048, "dim": 128, "regularizer_weight": 0.6, "activation": "relu", "slices": 4096}
OF_LARGE = {"start": 9e-7, "final": 9e-7, "global_clipnorm": 1.0}
OF_SMALL = {"start": 1e-6, "final": 1e-6, "global_clipnorm": 1.0}
NUMBERS = [
    Row(
        IMAGENET, batch=128, epochs=400, encoder="vit_base", optimizer="AdamW", rate=9e-4, decay=5e-2, warmup=5,
        plain=OF_LARGE, settings=LARGE, network=NETWORK, views=10,
    ),
    Row(
        IMAGENET, batch=128, epochs=400, optimizer="AdamW", rate=9e-4, decay=5e-4, warmup=5, plain=OF_LARGE,
        settings=LARGE, views=10,
    ),
    Row(
        CIFAR, batch=64, epochs=800, encoder="vit_small", optimizer="AdamW", rate=1e-3, decay=5e-2, warmup=1,
        plain=OF_SMALL, settings=SMALL, network=NETWORK, views=4,
    ),
    Row(
        CIFAR, batch=64, epochs=800, optimizer="AdamW", rate=1e-3, decay=5e-4, warmup=1, plain=OF_SMALL,
        settings=SMALL, views=4,
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "depth": 3, "regularizer_weight": 0.9, "slices": 4096, "scale_weight": 1.0, "shape_weight": 1.0,
    "center_weight": 1.0,
}  # fmt: skip
