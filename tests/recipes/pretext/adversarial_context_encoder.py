"""Context encoder with an adversary: numbers of the authors' code. Its rates are tested with the method."""

NUMBERS = []
DEFAULTS = {"error_weight": 0.999, "discriminator_width": 64}
