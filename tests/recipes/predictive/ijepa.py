"""I-JEPA: numbers of the paper and of its authors' code."""

from tests.recipes.row import CIFAR, IMAGENET, Epochs, Row

# Contexts are as long as those of the authors' sampler, over batches of 128 images on 14 x 14 patches.
NETWORK = {"pooling": "mean", "initializer": 0.02, "class_token": False}
PLAIN = {"final": 1e-6, "beta_2": 0.999, "exclude_vectors": True}
NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=300, encoder="vit_base", optimizer="AdamW", rate=1e-3, decay=(0.04, 0.4, 300),
        warmup=40, plain=PLAIN | {"start": 2e-4}, network=NETWORK,
        settings={"steps": Epochs(300), "momentum": 0.996, "targets": 4, "width": 384, "depth": 6, "keep": 51},
    ),
    Row(
        CIFAR, batch=512, epochs=300, encoder="vit_tiny", optimizer="AdamW", rate=2.5e-4, decay=(0.04, 0.4, 300),
        warmup=40, plain=PLAIN | {"start": 5e-5}, network=NETWORK,
        settings={"steps": Epochs(300), "momentum": 0.996, "targets": 4, "width": 192, "depth": 4},
    ),
]  # fmt: skip
DEFAULTS = {
    "targets": 4, "scale": (0.15, 0.2), "aspect": (0.75, 1.5), "context": (0.85, 1.0), "width": 384, "depth": 6,
    "heads": None, "momentum": 0.996,
}  # fmt: skip
