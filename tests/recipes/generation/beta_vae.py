"""Beta-VAE: numbers of the recipe, where the paper trains other networks on other data."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=128, epochs=100, optimizer="Adam", rate=1e-4, decay=0.0, warmup=None,
        settings={}, views=1,
    ),
]  # fmt: skip
DEFAULTS = {"beta": 4.0}
