"""Colorization: numbers of the authors' code for an AlexNet; its rate falls three times within 450,000 steps of 80."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=80, epochs=28, optimizer="Adam", rate=3e-5, decay=1e-3, warmup=0,
        plain={"beta_1": 0.9, "beta_2": 0.999, "exclude_vectors": True}, settings={"width": 256, "stride": 8}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"uniform": 0.5, "neighbors": 10, "deviation": 5.0, "stride": 4, "width": 256}
