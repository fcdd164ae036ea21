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


def labeled_cross_entropy(logits, labels, weights=None):
    """The mean over the samples of `-w log softmax(logits)[label]`, and its gradient; a label below 0 is left out."""
    logits = np.array(logits, "float64")
    weights = np.ones(len(logits)) if weights is None else weights
    loss, gradient, known = 0.0, np.zeros_like(logits), sum(label >= 0 for label in labels)
    for i, label in enumerate(labels):
        if label < 0:
            continue
        p = softmax(logits[i])
        loss -= weights[i] * np.log(p[label]) / known
        p[label] -= 1.0
        gradient[i] = weights[i] * p / known
    return loss, gradient


def equal_shares(p, power, iterations=2000):
    """SeLa's loop as the paper has it, with the matrix itself: `r`, `c` and the plan, labels by samples."""
    p = np.array(p, "float64").T ** power
    labels, samples = p.shape
    r, c = np.full(labels, 1 / labels), np.full(samples, 1 / samples)
    for _ in range(iterations):
        r = 1 / labels / (p @ c)
        c = 1 / samples / (r @ p)
    return r, c, r[:, None] * p * c
