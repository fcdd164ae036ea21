"""InfoGraph: numbers of the paper."""

from tests import kinds
from tests.recipes.row import Row

SAMPLES = kinds.graphs
RUN = {}
NUMBERS = [
    Row(
        ((28, 7), 188), batch=128, epochs=20, encoder="gin", optimizer="Adam", rate=0.001, decay=0, warmup=None,
        settings={}, views=1,
    ),
]  # fmt: skip
