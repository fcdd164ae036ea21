"""Split-brain autoencoder: the numbers of Colorization, by the same authors."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=40, epochs=16, optimizer="Adam", rate=3e-5, decay=1e-3, warmup=0,
        plain={"beta_1": 0.9, "beta_2": 0.99}, settings={"target": "bins", "stride": 4}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"target": "bins", "stride": 4}
