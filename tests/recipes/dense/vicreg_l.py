"""VICRegL: numbers of the authors' commands for ResNet-50. Small images have the sizes of VICReg."""

from tests.recipes.row import CIFAR, IMAGENET, Row

DEFAULTS = {
    "hidden": 8192, "dim": 8192, "local_hidden": 512, "local_dim": 512, "alpha": 0.75, "matches": 20,
    "small_matches": 4, "feature_matches": None, "invariance_weight": 25.0, "variance_weight": 25.0,
    "covariance_weight": 1.0,
}  # fmt: skip
NUMBERS = [
    Row(
        IMAGENET, batch=512, epochs=100, optimizer="LARS", rate=0.6, decay=1e-6, warmup=10, plain={"final": 6e-4},
        settings=DEFAULTS, views=2,
    ),
    Row(
        IMAGENET, batch=2048, epochs=300, optimizer="LARS", rate=1.6, decay=1e-6, warmup=10, plain={"final": 1.6e-3},
        settings=DEFAULTS, views=2,
    ),
    Row(
        CIFAR, batch=256, epochs=300, optimizer="LARS", rate=0.2, decay=1e-6, warmup=10, plain={"final": 2e-4},
        settings=DEFAULTS | {"hidden": 2048, "dim": 2048}, views=2,
    ),
]  # fmt: skip
