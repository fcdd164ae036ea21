"""NNCLR, PCL, MoCHi and i-Mix as their papers write them, one sample at a time."""

import numpy as np

from tests.reference.losses import cosine


def cross_entropy(scores, label):
    return np.log(sum(np.exp(score) for score in scores)) - scores[label]


def n_pair(queries, keys, temperature, queue=(), partner=None, share=None):
    losses = []
    for i, query in enumerate(queries):
        scores = [cosine(query, key) / temperature for key in [*keys, *queue]]
        loss = cross_entropy(scores, i)
        if partner is not None:
            loss = share[i] * loss + (1 - share[i]) * cross_entropy(scores, partner[i])
        losses.append(loss)
    return np.mean(losses)


def mixed_cosine_regression(predictions, targets, others, share):
    losses = []
    for p, own, other, s in zip(predictions, targets, others, share):
        losses.append(s * (2 - 2 * cosine(p, own)) + (1 - s) * (2 - 2 * cosine(p, other)))
    return np.mean(losses)


def info_nce_synthetic(queries, keys, queue, synthetic, temperature):
    losses = []
    for query, key, hard in zip(queries, keys, synthetic):
        losses.append(cross_entropy([cosine(query, x) / temperature for x in [key, *queue, *hard]], 0))
    return np.mean(losses)


def proto_nce(queries, prototypes, concentrations, labels):
    losses = []
    for query, label in zip(queries, labels):
        scores = [cosine(query, c) / phi for c, phi in zip(prototypes, concentrations)]
        losses.append(cross_entropy(scores, label))
    return np.mean(losses)


def concentrations(rows, centroids, assignment, temperature):
    """phi of each cluster, as PCL's authors estimate it."""
    phi, single = [], []
    for j, center in enumerate(centroids):
        distances = [np.sqrt(np.sum((row - center) ** 2)) for row, own in zip(rows, assignment) if own == j]
        single.append(len(distances) <= 1)
        phi.append(0.0 if single[-1] else np.mean(distances) / np.log(len(distances) + 10))
    phi = np.array([max(phi) if alone else value for value, alone in zip(phi, single)])
    phi = phi.clip(np.percentile(phi, 10), np.percentile(phi, 90))
    return temperature * phi / phi.mean()
