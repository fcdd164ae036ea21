"""IBOT: numbers of the paper."""

from tests.recipes.row import IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=1024, epochs=800, encoder="vit_small", optimizer="AdamW", rate=2e-3, decay=(0.04, 0.4, 800),
        warmup=10, plain={"final": 1e-6, "clipnorm": 3.0},
        settings={"dim": 8192, "teacher_temperature": 0.07, "warmup": Epochs(30), "freeze_steps": Epochs(1)},
    ),
]  # fmt: skip
DEFAULTS = {"dim": 8192, "ratio": (0.1, 0.5), "masked_views": 0.5, "blocks": True}
