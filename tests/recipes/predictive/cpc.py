"""CPC: numbers of the paper, which gives the images, its rate and its geometry, and no epochs."""

from tests.recipes.row import IMAGENET, Row

SETTINGS = {"hidden": 256, "depth": 5, "dim": 64, "steps": None, "directions": 1, "grid": 7, "patch": 56, "stride": 28}
NUMBERS = [
    Row(IMAGENET, batch=512, epochs=200, optimizer="Adam", rate=2e-4, decay=0, warmup=None, settings=SETTINGS),
]
DEFAULTS = SETTINGS | {"patch": 64, "stride": 32}
