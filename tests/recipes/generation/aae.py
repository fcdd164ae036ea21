"""AAE: numbers of the paper. Its rates are ours."""

NUMBERS = []
DEFAULTS = {"hidden": 1000}
