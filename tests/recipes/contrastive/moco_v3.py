"""MoCoV3: numbers of the paper."""

from tests.recipes.row import IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=4096, epochs=100, optimizer="LARS", rate=9.6, decay=1e-6, warmup=10,
        settings={"momentum": 0.99, "temperature": 1.0, "depth": 2},
    ),
    Row(
        IMAGENET, batch=4096, epochs=300, optimizer="LARS", rate=4.8, decay=1e-6, warmup=10,
        settings={"momentum": 0.99, "predictor_norm": False},
    ),
    Row(
        IMAGENET, batch=4096, epochs=1000, optimizer="LARS", rate=4.8, decay=1.5e-6, warmup=10,
        settings={"momentum": 0.996, "steps": Epochs(1000)},
    ),
    Row(
        IMAGENET, batch=4096, epochs=300, encoder="vit_small", optimizer="AdamW", rate=2.4e-3, decay=0.1, warmup=40,
        plain={"exclude_vectors": False},
        settings={"momentum": 0.99, "temperature": 0.2, "depth": 3, "predictor_norm": True, "freeze_patches": True},
    ),
]  # fmt: skip
DEFAULTS = {"hidden": 4096, "dim": 256, "depth": 3, "temperature": 0.2, "momentum": 0.99, "freeze_patches": True}
