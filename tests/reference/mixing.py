"""Mixing in plain Python loops, for a given share and given draws."""

import math

import numpy as np


def mixup(image, other, share):
    return share * image.astype("float64") + (1 - share) * other.astype("float64")


def cutmix(image, other, share, draws):
    """CutMix's rand_bbox: the mixed image and the share of its pixels."""
    height, width = image.shape[:2]
    side = math.sqrt(1 - share)
    high, wide = int(height * side), int(width * side)
    y, x = int(draws[0] * height), int(draws[1] * width)
    top, bottom = max(y - high // 2, 0), min(y + high // 2, height)
    left, right = max(x - wide // 2, 0), min(x + wide // 2, width)
    mixed = image.astype("float64")
    mixed[top:bottom, left:right] = other[top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def circle(draws):
    """The image with the next larger draw, for the largest that with the smallest."""
    order = sorted(range(len(draws)), key=lambda i: draws[i])
    return np.array([order[(order.index(i) + 1) % len(order)] for i in range(len(order))])
