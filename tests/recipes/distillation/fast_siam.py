"""FastSiam: the numbers of SimSiam, and of a run of others on CIFAR-10, whose rate is 0.06 for a batch of 128."""

from tests.recipes.distillation import simsiam
from tests.recipes.row import CIFAR, Row

NUMBERS = [
    simsiam.NUMBERS[0]._replace(views=4),
    Row(
        CIFAR, batch=128, epochs=200, optimizer="SGD", rate=0.06, decay=5e-4, warmup=0,
        plain={"constant_rates": {"predictor": 0.06}}, settings={"depth": 2}, views=4,
    ),
]  # fmt: skip
