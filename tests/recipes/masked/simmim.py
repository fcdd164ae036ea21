"""SimMIM: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=800, encoder="vit_base", optimizer="AdamW", rate=4e-4, decay=0.05, warmup=10,
        plain={"global_clipnorm": 5.0}, settings={"unit": 32},
        network={"drop_path": 0.1, "initializer": "truncated_normal", "pooling": "mean"},
    ),
]  # fmt: skip
DEFAULTS = {"ratio": 0.6, "unit": 32}
