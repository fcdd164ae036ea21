"""PixPro: numbers of the authors' scripts, 100 and 400 epochs of ImageNet."""

from tests.recipes.row import IMAGENET, Row

DEFAULTS = {
    "hidden": 4096, "dim": 256, "threshold": 0.7, "gamma": 2.0, "transform": 1, "instance_weight": 0.0,
    "momentum": 0.99,
}  # fmt: skip
NUMBERS = [
    Row(
        IMAGENET, batch=1024, epochs=epochs, optimizer="LARS", rate=4.0, decay=1e-5, warmup=5, settings=DEFAULTS,
        views=2,
    )
    for epochs in (100, 400)
]  # fmt: skip
