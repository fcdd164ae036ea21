"""The losses of semi-supervised learning as loops in float64."""

import numpy as np


def softmax(row):
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def confident_cross_entropy(prediction, target, threshold):
    """FixMatch: the loss and the share of the rows that count."""
    total, kept = 0.0, 0
    for p, q in zip(prediction, target):
        if softmax(q).max() >= threshold:
            total -= np.log(softmax(p)[q.argmax()])
            kept += 1
    return total / len(target), kept / len(target)


def confident_divergence(prediction, target, threshold, temperature):
    """UDA: the loss and the share of the rows that count."""
    total, kept = 0.0, 0
    for p, q in zip(prediction, target):
        if softmax(q).max() >= threshold:
            sharp, own = softmax(q / temperature), softmax(p)
            total += sum(a * (np.log(a) - np.log(b)) for a, b in zip(sharp, own) if a > 0)
            kept += 1
    return total / len(target), kept / len(target)


def batch_hard(views):
    """The hardest positive and negative of each view, by loops: the mean of log(1 + exp(d_p - d_n))."""
    losses = []
    for row, own in enumerate(views):
        for number, anchor in enumerate(own):
            same = [np.linalg.norm(anchor - other) for k, other in enumerate(own) if k != number]
            others = [np.linalg.norm(anchor - x) for k, one in enumerate(views) if k != row for x in one]
            losses.append(np.log1p(np.exp(max(same) - min(others))))
    return np.mean(losses)
