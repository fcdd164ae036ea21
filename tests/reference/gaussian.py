"""LeJEPA's and VISReg's statistics as their papers write them, one direction at a time."""

import math

import numpy as np


def invariance(views, count):
    """`views`: (views, batch, dim), the first `count` of them global."""
    apart = []
    for image in range(views.shape[1]):
        mean = sum(views[v, image] for v in range(count)) / count
        apart += [np.mean((view[image] - mean) ** 2) for view in views]
    return np.mean(apart)


def epps_pulley(u, points=17, limit=3.0):
    """The test of N numbers, by the trapezoid rule over both halves of the line."""
    t = np.linspace(-limit, limit, 2 * points - 1)
    gap = [abs(np.mean(np.exp(1j * s * u)) - np.exp(-s * s / 2)) ** 2 * np.exp(-s * s / 2) for s in t]
    return len(u) * sum((a + b) / 2 * (t[1] - t[0]) for a, b in zip(gap, gap[1:]))


def sig_reg(views, directions, points=17, limit=3.0):
    return np.mean([epps_pulley(view @ a, points, limit) for view in views for a in directions])


def quantiles(count):
    """Of the standard Gaussian, by bisection of its distribution function."""
    found = []
    for share in np.arange(1, count + 1) / (count + 1):
        low, high = -10.0, 10.0
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if (1 + math.erf(middle / math.sqrt(2))) / 2 < share else (low, middle)
        found.append(low)
    return np.array(found)


def center_scale_shape(views, directions, deviations=None):
    """`deviations`: (views, dim), what the embeddings are divided by, where it is not their own."""
    target, terms = quantiles(views.shape[1]), []
    for number, view in enumerate(views):
        mean, spread = view.mean(axis=0), np.sqrt(np.mean((view - view.mean(axis=0)) ** 2, axis=0)) + 1e-6
        white = (view - mean) / (spread if deviations is None else deviations[number])
        shape = np.mean([np.mean((np.sort(white @ a) - target) ** 2) for a in directions])
        terms.append([np.mean(mean**2), np.mean((spread - 1) ** 2), shape])
    return np.mean(terms, axis=0)
