"""LocalMIM: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=1600, encoder="vit_base", optimizer="AdamW", rate=1.6e-3, decay=0.05, warmup=40,
        plain={"beta_2": 0.95}, settings={"taps": (2, 4, 10, 12)},
    ),
]  # fmt: skip
