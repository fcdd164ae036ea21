"""Clustering losses as their papers write them, one sample at a time."""

import numpy as np


def sinkhorn(scores, epsilon, iterations):
    """The matrix of the paper, prototypes by samples, divided in turn; not in the logarithm."""
    q = np.exp(scores.astype("float64") / epsilon).T
    prototypes, samples = q.shape
    q /= q.sum()
    for _ in range(iterations):
        for k in range(prototypes):
            q[k] /= q[k].sum() * prototypes
        for b in range(samples):
            q[:, b] /= q[:, b].sum() * samples
    return (q * samples).T


def swapped_prediction(assignments, scores, temperature):
    losses = []
    for i, assigned in enumerate(assignments):
        for v, view in enumerate(scores):
            if v != i:
                losses.append(cross_entropy(assigned, view, temperature))
    return np.mean(losses)


def cross_entropy(assignments, scores, temperature):
    return np.mean([-np.sum(q * np.log(softmax(s / temperature))) for q, s in zip(assignments, scores)])


def mean_entropy_gap(scores, temperature):
    mean = np.mean([softmax(row / temperature) for row in scores], axis=0)
    return np.log(len(mean)) + sum(p * np.log(p) for p in mean)


def softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()
