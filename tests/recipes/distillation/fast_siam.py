"""FastSiam: the numbers of SimSiam."""

from tests.recipes.distillation.simsiam import NUMBERS  # noqa: F401
