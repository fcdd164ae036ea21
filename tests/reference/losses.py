"""Losses as their papers write them, one sample at a time."""

import numpy as np


def cosine(a, b):
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def nt_xent(first, second, temperature):
    views = [*first, *second]
    n = len(first)
    losses = []
    for i, anchor in enumerate(views):
        partner = i + n if i < n else i - n
        others = sum(np.exp(cosine(anchor, views[j]) / temperature) for j in range(2 * n) if j != i)
        losses.append(-np.log(np.exp(cosine(anchor, views[partner]) / temperature) / others))
    return np.mean(losses)


def info_nce(queries, keys, queue, temperature):
    losses = []
    for query, key in zip(queries, keys):
        positive = np.exp(cosine(query, key) / temperature)
        negatives = sum(np.exp(cosine(query, entry) / temperature) for entry in queue)
        losses.append(-np.log(positive / (positive + negatives)))
    return np.mean(losses)


def cosine_regression(predictions, targets):
    losses = []
    for p, z in zip(predictions, targets):
        losses.append(np.sum((p / np.linalg.norm(p) - z / np.linalg.norm(z)) ** 2))
    return np.mean(losses)


def gradient(function, x, step=1e-5):
    """Central differences of a scalar function of an array."""
    slope = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        slope[place] = (function(up) - function(down)) / (2 * step)
    return slope
