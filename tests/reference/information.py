"""Estimates of mutual information as their papers write them, one pair at a time."""

import numpy as np


def softplus(x):
    return np.log1p(np.exp(-abs(x))) + max(x, 0)


def pairs(count):
    return [(i, j) for i in range(count) for j in range(count) if i != j]


# Bounds: row i belongs to y_i, column j to x_j


def tuba(s, log_a):
    n = len(s)
    joint = np.mean([s[i, i] - log_a[i] for i in range(n)])
    return 1 + joint - np.mean([np.exp(s[i, j] - log_a[i]) for i, j in pairs(n)])


def nwj(s):
    n = len(s)
    return np.mean(np.diag(s)) - np.mean([np.exp(s[i, j] - 1) for i, j in pairs(n)])


def info_nce(s):
    return np.mean([np.log(np.exp(s[i, i]) / np.mean(np.exp(s[i]))) for i in range(len(s))])


def interpolated(s, log_q, alpha):
    n = len(s)

    def a(i, j):
        m = np.mean([np.exp(s[i, other]) for other in range(n) if other != j])
        return alpha * m + (1 - alpha) * np.exp(log_q[i])

    joint = np.mean([s[i, i] - np.log(a(i, j)) for i, j in pairs(n)])
    return 1 + joint - np.mean([np.exp(s[i, j]) / a(i, i) for i, j in pairs(n)])


def divergence(s):
    n = len(s)
    return np.mean([-softplus(-s[i, i]) for i in range(n)]) - np.mean([softplus(s[i, j]) for i, j in pairs(n)])


def donsker_varadhan(s):
    return np.mean(np.diag(s)) - np.log(np.mean([np.exp(s[i, j]) for i, j in pairs(len(s))]))


# DIM: (summaries, images, places)


def jsd(s):
    n, _, places = s.shape
    together = [np.log(2) - softplus(-s[i, i, p]) for i in range(n) for p in range(places)]
    apart = [softplus(-s[i, j, p]) + s[i, j, p] - np.log(2) for i, j in pairs(n) for p in range(places)]
    return np.mean(apart) - np.mean(together)


def nce(s):
    n, _, places = s.shape
    losses = []
    for i in range(n):
        others = sum(np.exp(s[i, j, q]) for j in range(n) if j != i for q in range(places))
        losses += [-np.log(np.exp(s[i, i, p]) / (np.exp(s[i, i, p]) + others)) for p in range(places)]
    return np.mean(losses)


def dv(s):
    n, _, places = s.shape
    together = np.mean([s[i, i, p] for i in range(n) for p in range(places)])
    return np.log(np.mean([np.exp(s[i, j, p]) for i, j in pairs(n) for p in range(places)])) - together


def copy_and_mlp(x, weights):
    """Of rows: first kernel, scale and offset of the normalization over the batch, second Dense, copy, layer norm."""
    first, gain, shift, second, bias, copy, scale, offset = weights
    y = x @ first
    y = (y - y.mean(axis=0)) / np.sqrt(y.var(axis=0) + 1e-5) * gain + shift
    y = np.maximum(y, 0) @ second + bias + x @ copy
    y = (y - y.mean(axis=1, keepdims=True)) / np.sqrt(y.var(axis=1, keepdims=True) + 1e-5)
    return y * scale + offset


# IIC


def invariant(first, second, weight):
    k = first.shape[1]
    joint = np.zeros((k, k))
    for p, q in zip(first, second):
        joint += (np.outer(p, q) + np.outer(q, p)) / 2
    return of_joint(joint, weight)


def invariant_of_maps(first, second, displacement, real, weight):
    _, height, width, k = first.shape
    joint, shifts = np.zeros((k, k)), range(-displacement, displacement + 1)
    for p, q, shown in zip(first, second, real):
        for y, x, u, v in np.ndindex(height, width, len(shifts), len(shifts)):
            there = y + shifts[u], x + shifts[v]
            if 0 <= there[0] < height and 0 <= there[1] < width and shown[y, x] and shown[there]:
                joint += np.outer(p[y, x], q[there])
    return of_joint((joint + joint.T) / 2, weight)


def of_joint(joint, weight):
    k, joint = len(joint), joint / joint.sum()
    total = 0.0
    for i in range(k):
        for j in range(k):
            if joint[i, j] > 0:
                sizes = np.log(joint[i].sum()) + np.log(joint[:, j].sum())
                total -= joint[i, j] * (np.log(joint[i, j]) - weight * sizes)
    return total
