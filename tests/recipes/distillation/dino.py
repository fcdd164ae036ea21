"""DINO: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Epochs, Row

NUMBERS = [
    Row(
        IMAGENET, batch=1024, epochs=800, encoder="vit_small", optimizer="AdamW", rate=2e-3, decay=(0.04, 0.4, 800),
        warmup=10, plain={"final": 1e-6, "clipnorm": 3.0},
        settings={"dim": 65536, "momentum": 0.996, "teacher_temperature": 0.07, "warmup": Epochs(30),
                  "freeze_steps": Epochs(1), "steps": Epochs(800)},
    ),
    Row(
        IMAGENET, batch=1024, epochs=800, optimizer="SGD", rate=0.12, decay=1e-4, warmup=10,
        plain={"exclude_vectors": True}, settings={"center_momentum": 0.9},
    ),
    Row(
        CIFAR, batch=256, epochs=800, optimizer="SGD", rate=0.03, decay=1e-4, warmup=10,
        settings={"dim": 4096, "momentum": 0.9995},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "bottleneck": 256, "dim": 65536, "batch_norm": False, "temperature": 0.1,
    "warmup_temperature": 0.04, "center_momentum": 0.9, "momentum": 0.996, "global_views": 2,
}  # fmt: skip
