"""IIC: numbers of its authors' commands for STL-10 and CIFAR-10."""

from tests.recipes.row import CIFAR, STL, Epochs, Row

SETTINGS = {"clusters": 10, "aux_clusters": 70, "sub_heads": 5, "weight": 1.0, "phase": Epochs(1)}
NUMBERS = [
    Row(
        STL, batch=140, epochs=4000, encoder="resnet34", optimizer="Adam", rate=1e-4, decay=0, warmup=None,
        settings=SETTINGS | {"passes": (1, 1)}, views=6,
    ),
    Row(
        CIFAR, batch=220, epochs=6000, encoder="resnet34", optimizer="Adam", rate=1e-4, decay=0, warmup=None,
        settings=SETTINGS | {"passes": (1, 2)}, views=4,
    ),
]  # fmt: skip
DEFAULTS = {"clusters": 10, "aux_clusters": 70, "sub_heads": 5, "weight": 1.0, "phase": None, "passes": (1, 1)}
