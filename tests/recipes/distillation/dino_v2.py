"""DINOv2: numbers of the paper and of its code."""

from tests.recipes.row import CIFAR, IMAGENET, Epochs, Row

# The layer decay of 0.9 stands for the rates of all weights, which are not made here.
PLAIN = {"final": 1e-6, "global_clipnorm": 3.0, "beta_2": 0.999}
SETTINGS = {
    "teacher_temperature": 0.07, "warmup": Epochs(60), "freeze_steps": Epochs(2), "momentum": 0.992,
    "separate_heads": False, "sinkhorn_iterations": 0, "steps": Epochs(200),
}  # fmt: skip
NETWORK = {"positions": "learned", "initializer": "truncated_normal", "layer_scale": 1e-5}
NUMBERS = [
    # 100 epochs of 1,250 steps, which are 200 of ImageNet. The rate is 4e-3 for a batch of 1,024, by the root of it.
    Row(
        IMAGENET, batch=2048, epochs=200, encoder="vit_base", optimizer="AdamW", rate=4e-3 * 2**0.5,
        decay=(0.04, 0.4, 200), warmup=20, plain=PLAIN | {"rates": [0.9]}, settings=SETTINGS | {"dim": 65536},
        network=NETWORK | {"drop_path": (0.3, 0.3)},
    ),
    Row(
        CIFAR, batch=1024, epochs=200, encoder="vit_tiny", optimizer="AdamW", rate=4e-3, decay=(0.04, 0.4, 200),
        warmup=20, plain=PLAIN | {"rates": None}, settings=SETTINGS | {"dim": 4096},
        network=NETWORK | {"drop_path": (0.1, 0.1)},
    ),
]  # fmt: skip
DEFAULTS = {
    "dim": 65536, "hidden": 2048, "bottleneck": 256, "temperature": 0.1, "teacher_temperature": 0.07,
    "warmup_temperature": 0.04, "momentum": 0.994, "center_momentum": 0.9, "ratio": (0.1, 0.5), "masked_views": 0.5,
    "separate_heads": True, "sinkhorn_iterations": 3, "koleo_weight": 0.1, "patch_weight": 1.0,
}  # fmt: skip
