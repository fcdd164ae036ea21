"""DeepMIM: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=1600, encoder="vit_base", optimizer="AdamW", rate=2.4e-3, decay=0.05, warmup=40,
        plain={"beta_2": 0.95}, settings={"ratio": 0.75},
    ),
]  # fmt: skip
