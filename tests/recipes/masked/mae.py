"""MAE: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=1600, encoder="vit_base", optimizer="AdamW", rate=2.4e-3, decay=0.05, warmup=40,
        plain={"beta_2": 0.95}, settings={"ratio": 0.75},
    ),
]  # fmt: skip
DEFAULTS = {"ratio": 0.75, "width": 512, "depth": 8, "heads": 16, "normalize": True}
