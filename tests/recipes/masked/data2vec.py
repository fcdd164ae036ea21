"""data2vec, version 1 for images: numbers of the paper and of its authors' code."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=800, encoder="vit_base", optimizer="AdamW", rate=2e-3, decay=0.05, warmup=10,
        plain={"start": 1e-6, "final": 1e-5, "beta_2": 0.999, "global_clipnorm": 3.0},
        settings={"beta": 2.0, "momentum": 0.9998, "ramp_steps": 0},
        network={"pooling": "mean", "initializer": "truncated_normal", "drop_path": 0.25},
    ),
]  # fmt: skip
DEFAULTS = {
    "target_blocks": None, "ratio": 120 / 196, "beta": 2.0, "momentum": 0.9998, "start_momentum": 0.999,
    "ramp_steps": 0,
}  # fmt: skip
