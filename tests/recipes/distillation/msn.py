"""MSN: numbers of the paper."""

from tests.recipes.row import IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=1024, epochs=800, encoder="vit_small", optimizer="AdamW", rate=1e-3, decay=(0.04, 0.4, 1000),
        warmup=15,
        plain={"start": 2e-4, "final": 1e-6, "epochs": 1000, "global_clipnorm": 3.0, "unclipped": "prototypes",
               "exclude": "prototypes", "exclude_vectors": True},
        settings={"steps": Epochs(1000), "momentum": 0.996, "drop": 0.15, "prototype_count": 1024},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "dim": 256, "prototype_count": 1024, "temperature": 0.1, "sharpening": 0.25, "drop": 0.15,
    "entropy_weight": 1.0, "iterations": 3, "momentum": 0.996,
}  # fmt: skip
