"""Cross-channel encoder: the numbers of Colorization, by the same authors."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=80, epochs=28, optimizer="Adam", rate=3e-5, decay=1e-3, warmup=0,
        plain={"beta_2": 0.999, "exclude_vectors": True}, settings={"target": "bins", "stride": 16}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"target": "bins", "stride": 4}
