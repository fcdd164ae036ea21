"""NCE and CLIP's loss as their papers write them, one sample at a time."""

import numpy as np

from tests.reference.losses import cosine


def nce(logits, z, size):
    losses = []
    for true, *noise in logits:
        share = len(noise) / size  # K * p_n
        loss = -np.log(np.exp(true) / z / (np.exp(true) / z + share))
        for one in noise:
            loss -= np.log(1 - np.exp(one) / z / (np.exp(one) / z + share))
        losses.append(loss)
    return np.mean(losses)


def normalizer(logits, size):
    return size * np.mean([np.exp(one) for row in logits for one in row])


def similarities(queries, candidates, temperature):
    rows = candidates if np.ndim(candidates) == 3 else [candidates] * len(queries)
    return np.array([[q @ c / np.linalg.norm(q) / temperature for c in row] for q, row in zip(queries, rows)])


def softmax(logits, labels):
    return np.mean([np.log(np.exp(row - row[label]).sum()) for row, label in zip(logits, labels)])


def symmetric_info_nce(first, second, scale):
    table = np.array([[scale * cosine(a, b) for b in second] for a in first])
    labels = range(len(table))
    return (softmax(table, labels) + softmax(table.T, labels)) / 2
