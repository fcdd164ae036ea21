"""MaskFeat: numbers of the paper."""

from tests.recipes.row import IMAGENET, Row

NUMBERS = [
    Row(
        IMAGENET, batch=2048, epochs=300, encoder="vit_base", optimizer="AdamW", rate=1.6e-3, decay=0.05, warmup=30,
        plain={"global_clipnorm": 0.02}, settings={"bins": 9},
        network={"initializer": "truncated_normal", "pooling": "mean", "positions": "learned"},
    ),
]  # fmt: skip
DEFAULTS = {"ratio": 78 / 196, "bins": 9, "cells": 2}
