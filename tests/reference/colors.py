"""Colorization's loss as its paper writes it, one pixel at a time, and Lab by the formulas of CIE."""

import math

import numpy as np


def soft(color, bins, neighbors, deviation):
    """The weights of all bins: those of the nearest ones are a Gaussian of the distance."""
    far = [math.dist(color, point) for point in bins]
    nearest = sorted(range(len(bins)), key=far.__getitem__)[:neighbors]
    z = np.zeros(len(bins))
    for q in nearest:
        z[q] = math.exp(-far[q] ** 2 / (2 * deviation**2))
    return z / z.sum()


def cross_entropy(logits, colors, bins, weights, neighbors, deviation):
    """`logits` (batch, rows, columns, bins), `colors` (batch, rows, columns, 2)."""
    found = []
    for image, truth in zip(np.float64(logits), np.float64(colors)):
        colored = (np.abs(truth) > 5).any()
        for place in np.ndindex(truth.shape[:2]):
            z = soft(truth[place], bins, neighbors, deviation)
            log_p = image[place] - np.log(np.exp(image[place]).sum())
            found.append(colored * weights[z.argmax()] * -np.sum(z * log_p))
    return np.mean(found)


def lab(color):
    """Of a color of sRGB from 0 to 255."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.float64(color) / 255]
    matrix = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    x, y, z = (np.dot(row, linear) / white for row, white in zip(matrix, (0.95047, 1.0, 1.08883)))
    f = lambda t: t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29  # noqa: E731
    return np.array([116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))])
