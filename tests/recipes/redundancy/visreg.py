"""VISReg: numbers of the authors' code. Small images have those for Imagenette."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NETWORK = {"positions": "learned", "initializer": "truncated_normal", "drop_path": 0.1}
NUMBERS = [
    Row(
        IMAGENET, batch=128, epochs=400, encoder="vit_base", optimizer="AdamW", rate=9e-4, decay=5e-2, warmup=5,
        plain={"start": 9e-7, "final": 9e-7, "global_clipnorm": 1.0},
        settings={"dim": 256, "regularizer_weight": 0.9, "activation": "gelu", "slices": 4096}, network=NETWORK,
    ),
    Row(
        CIFAR, batch=64, epochs=800, encoder="vit_small", optimizer="AdamW", rate=1e-3, decay=5e-2, warmup=1,
        plain={"start": 1e-6, "final": 1e-6, "global_clipnorm": 1.0},
        settings={"dim": 128, "regularizer_weight": 0.6, "activation": "relu", "slices": 4096}, network=NETWORK,
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "depth": 3, "regularizer_weight": 0.9, "slices": 4096, "scale_weight": 1.0, "shape_weight": 1.0,
    "center_weight": 1.0,
}  # fmt: skip
