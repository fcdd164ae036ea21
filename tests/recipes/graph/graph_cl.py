"""GraphCL: numbers of its authors' code for small graphs; the views' ratio is the paper's."""

from tests import kinds
from tests.recipes.row import Row

SAMPLES = kinds.graphs
RUN = {}
NUMBERS = [
    Row(
        ((28, 7), 188), batch=128, epochs=20, encoder="gin", optimizer="Adam", rate=0.01, decay=0, warmup=None,
        settings={"temperature": 0.2, "hidden": None, "dim": None, "symmetric": False}, views=2,
    ),
]  # fmt: skip
DEFAULTS = {"temperature": 0.2, "hidden": None, "dim": None, "symmetric": False}
