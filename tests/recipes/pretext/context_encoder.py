"""Context encoder: numbers of the authors' code of its inpainting."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=64, epochs=5, optimizer="Adam", rate=2e-3, decay=0.0, warmup=None, plain={"beta_1": 0.5},
        settings={"region": "random", "area": (0.2, 0.3)}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"region": "center", "band_weight": 10.0, "area": (0.2, 0.3), "width": 64}
