"""QuickThoughts: numbers of the paper."""

from tests import kinds
from tests.methods.text.test_quick_thoughts import pairs
from tests.recipes.row import Row

SAMPLES = pairs
RUN = {"vocabulary": kinds.VOCABULARY, "width": 48}
NUMBERS = [
    Row(
        ((10,), 6400), batch=400, epochs=1, encoder="text_transformer", optimizer="Adam", rate=5e-4, decay=0,
        warmup=None, settings={}, views=1,
    ),
]  # fmt: skip
