"""BiGAN: numbers of the authors' code. Its rates are tested with the method."""

NUMBERS = []
DEFAULTS = {"dim": 200}
