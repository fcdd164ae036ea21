"""DINOv3: numbers of the stage of Gram anchoring in its code."""

DEFAULTS = {"gram_weight": 2.0, "gram_warmup": 1000, "gram_every": 10000, "gram_copies": 3, "koleo_weight": 0.1}
