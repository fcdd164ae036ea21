"""SimSiam: numbers of the paper."""

from tests.recipes.row import CIFAR, IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=512, epochs=100, optimizer="SGD", rate=0.1, decay=1e-4, warmup=0,
        plain={"constant_rates": {"predictor": 0.1}}, settings={"depth": 3},
    ),
    Row(
        CIFAR, batch=512, epochs=800, optimizer="SGD", rate=0.06, decay=5e-4, warmup=0,
        plain={"constant_rates": {"predictor": 0.06}}, settings={"depth": 2},
    ),
]  # fmt: skip
DEFAULTS = {
    "hidden": 2048, "dim": 2048, "depth": 3, "predictor_hidden": 512, "stop_gradient": True, "symmetric": True,
    "similarity": "cosine", "hidden_norm": True, "projection_norm": True, "prediction_norm": False,
}  # fmt: skip
