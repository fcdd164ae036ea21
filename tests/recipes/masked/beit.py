"""BEiT: numbers of the paper."""

DEFAULTS = {"ratio": 75 / 196}
