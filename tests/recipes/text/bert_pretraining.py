"""BERTPretraining: numbers of the paper."""

from tests.recipes.row import Row
from tests.recipes.text.next_sentence import NUMBERS as PAIRS
from tests.recipes.text.next_sentence import RUN, SAMPLES

__all__ = ["DEFAULTS", "NUMBERS", "RUN", "SAMPLES"]
NUMBERS = [Row(**row._asdict() | {"settings": {"ratio": 0.15, "mask_id": 4}}) for row in PAIRS]
DEFAULTS = {"ratio": 0.15}
