"""Evaluation as the papers write it, one sample at a time."""

import math

import numpy as np


def unit(row):
    return row / np.linalg.norm(row)


def knn_votes(train, labels, query, k, temperature, classes):
    """InstDisc, section 3.4: the k nearest by cosine vote with exp(cosine / temperature)."""
    cosines = [float(np.dot(unit(row), unit(query))) for row in train]
    nearest = sorted(range(len(train)), key=lambda i: -cosines[i])[:k]
    votes = [0.0] * classes
    for i in nearest:
        votes[labels[i]] += math.exp(cosines[i] / temperature)
    return votes


def standard_deviation(features):
    rows = [unit(row) for row in features]
    n, dim = len(rows), len(rows[0])
    deviations = []
    for d in range(dim):
        mean = sum(row[d] for row in rows) / n
        deviations.append(math.sqrt(sum((row[d] - mean) ** 2 for row in rows) / n))
    return math.sqrt(dim) * sum(deviations) / dim


def rankme(features):
    """RankMe, equations 1 and 2."""
    values = np.linalg.svd(features, compute_uv=False)
    return math.exp(-sum(v / values.sum() * math.log(v / values.sum() + 1e-300) for v in values))


def uniformity(features):
    rows = [unit(row) for row in features]
    pairs = [(i, j) for i in range(len(rows)) for j in range(i)]
    return math.log(sum(math.exp(-2 * sum((rows[i] - rows[j]) ** 2)) for i, j in pairs) / len(pairs))


def alignment(first, second):
    return sum(sum((unit(x) - unit(y)) ** 2) for x, y in zip(first, second)) / len(first)


def wilson(share, n, z=1.959963984540054):
    """The two shares p whose distance from `share` is z standard errors sqrt(p (1 - p) / n)."""
    a, b, c = 1 + z * z / n, -2 * share - z * z / n, share * share
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)
