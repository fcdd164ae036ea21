"""ConvMAE: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=3072, epochs=1600, encoder="conv_vit", optimizer="AdamW", rate=1.8e-3, decay=0.05, warmup=40,
        plain={"beta_2": 0.95}, settings={"ratio": 0.75},
    ),
]  # fmt: skip
