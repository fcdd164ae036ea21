"""DetCon: numbers of the authors' code for DetCon-B."""

DEFAULTS = {
    "target": "ema", "regions": 16, "hidden": 4096, "dim": 256, "temperature": 0.1, "momentum": 0.996,
}  # fmt: skip
