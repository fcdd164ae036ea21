"""Pretext tasks in NumPy loops, float64."""

import numpy as np


def classification(logits, labels):
    """The mean cross entropy of logits (n, classes) and labels (n,), and its gradient."""
    logits = np.asarray(logits, "float64")
    losses, gradients = [], []
    for row, label in zip(logits, labels, strict=True):
        p = np.exp(row - row.max())
        p /= p.sum()
        losses.append(-np.log(p[label]))
        p[label] -= 1
        gradients.append(p / len(logits))
    return float(np.mean(losses)), np.array(gradients)


def count_loss(whole, total, other, margin):
    """Learning to Count's of counts (n, dim)."""
    losses = []
    for a, b, c in zip(whole, total, other, strict=True):
        losses.append(((a - b) ** 2).sum() + max(0.0, margin - ((c - b) ** 2).sum()))
    return float(np.mean(losses))


def semi_hard_triplets(views, numbers, margin):
    """Of (batch, views, dim): for every pair the nearest negative that is further away, else the furthest."""
    losses = []
    for i, own in enumerate(views):
        for v, anchor in enumerate(own):
            others = [z for j, row in enumerate(views) if numbers[j] != numbers[i] for z in row]
            negatives = [((anchor - z) ** 2).sum() for z in others]
            for w, positive in enumerate(own):
                if w == v:
                    continue
                near = ((anchor - positive) ** 2).sum()
                further = [d for d in negatives if d > near]
                losses.append(max(0.0, margin + near - (min(further) if further else max(negatives))))
    return float(np.mean(losses))


def gradient(function, x, step=1e-6):
    """By differences."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found
