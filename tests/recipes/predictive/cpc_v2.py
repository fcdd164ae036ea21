"""CPCv2: numbers of the paper, and of a port to CIFAR-10."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=512, epochs=200, optimizer="Adam", rate=4e-4, decay=0, warmup=None,
        plain={"beta_1": 0.8, "beta_2": 0.999, "epsilon": 1e-8},
        settings={"grid": 6, "patch": 69, "stride": 31, "directions": 4},
    ),
    Row(
        CIFAR, batch=128, epochs=200, optimizer="Adam", rate=4e-4, decay=0, warmup=None,
        settings={"grid": 5, "patch": 10, "stride": 5, "directions": 4},
    ),
]  # fmt: skip
DEFAULTS = {"grid": 6, "patch": 80, "stride": 36, "directions": 4}
