"""Colorization: numbers of the paper and of its authors' code: 500,000 steps of 40 images."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=40, epochs=16, optimizer="Adam", rate=3e-5, decay=1e-3, warmup=0,
        plain={"beta_1": 0.9, "beta_2": 0.99}, settings={"width": 256}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"uniform": 0.5, "neighbors": 10, "deviation": 5.0, "stride": 4, "width": 256}
