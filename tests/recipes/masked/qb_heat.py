"""QBHeat: the paper does not say with which numbers it trains."""

NUMBERS = []
