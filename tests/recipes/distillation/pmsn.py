"""PMSN: numbers of the paper, and of MSN, whose recipe it has."""

from tests.recipes.distillation.msn import DEFAULTS as MSN
from tests.recipes.distillation.msn import NUMBERS as ROWS

NUMBERS = [row._replace(settings=row.settings | {"exponent": 0.25, "iterations": 0}) for row in ROWS]
DEFAULTS = MSN | {"exponent": 0.25, "iterations": 0}
