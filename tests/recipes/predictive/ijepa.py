"""I-JEPA: numbers of the paper and of its authors' code."""

from tests.recipes.row import IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=300, encoder="vit_base", optimizer="AdamW", rate=1e-3, decay=(0.04, 0.4, 300),
        warmup=40, plain={"start": 2e-4, "final": 1e-6, "beta_2": 0.999, "exclude_vectors": True},
        settings={"steps": Epochs(300), "momentum": 0.996, "targets": 4},
        network={"pooling": "mean", "initializer": "truncated_normal", "class_token": False},
    ),
]  # fmt: skip
DEFAULTS = {
    "targets": 4, "scale": (0.15, 0.2), "aspect": (0.75, 1.5), "context": (0.85, 1.0), "width": 384, "depth": 6,
    "heads": None, "momentum": 0.996,
}  # fmt: skip
