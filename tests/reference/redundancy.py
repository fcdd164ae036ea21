"""Redundancy losses as their papers write them, one dimension at a time, and the two similarities of SimSiam."""

import itertools

import numpy as np


def cross_correlation(first, second, epsilon=1e-5):
    batch, dim = first.shape
    matrix = np.zeros((dim, dim))
    for i, j in itertools.product(range(dim), repeat=2):
        a, b = first[:, i], second[:, j]
        spread = np.sqrt(np.mean((a - a.mean()) ** 2) + epsilon) * np.sqrt(np.mean((b - b.mean()) ** 2) + epsilon)
        matrix[i, j] = sum((a[k] - a.mean()) * (b[k] - b.mean()) for k in range(batch)) / batch / spread
    return matrix


def barlow_twins(first, second, weight, epsilon=1e-5):
    matrix, loss = cross_correlation(first, second, epsilon), 0.0
    for i, j in np.ndindex(*matrix.shape):
        loss += (1 - matrix[i, j]) ** 2 if i == j else weight * matrix[i, j] ** 2
    return loss


def variance(z):
    return np.mean([max(0.0, 1 - np.sqrt(np.var(column, ddof=1) + 1e-4)) for column in z.T])


def covariance(z):
    batch, dim = z.shape
    loss = 0.0
    for i, j in itertools.permutations(range(dim), 2):
        loss += (sum((z[k, i] - z[:, i].mean()) * (z[k, j] - z[:, j].mean()) for k in range(batch)) / (batch - 1)) ** 2
    return loss / dim


def vicreg(first, second):
    apart = np.mean([(a - b) ** 2 for a, b in zip(first.ravel(), second.ravel())])
    spread = (variance(first) + variance(second)) / 2
    return 25 * apart + 25 * spread + covariance(first) + covariance(second)


def whiten(x, epsilon=0.0):
    """Gram-Schmidt on the columns, which is what the inverse of a Cholesky factor does."""
    if epsilon:
        factor = np.linalg.cholesky((1 - epsilon) * np.cov(x.T) + epsilon * np.eye(x.shape[1]))
        return (x - x.mean(axis=0)) @ np.linalg.inv(factor).T
    columns = []
    for column in (x - x.mean(axis=0)).T:
        for other in columns:
            column = column - other * (other @ column) / (len(x) - 1)
        columns.append(column / np.sqrt(column @ column / (len(x) - 1)))
    return np.stack(columns, axis=1)


def w_mse(views, parts, epsilon=0.0):
    """`parts`: the rows of each sub-batch."""
    losses = []
    for rows in parts:
        whitened = [whiten(view[rows], epsilon) for view in views]
        for first, second in itertools.combinations(whitened, 2):
            for a, b in zip(first, second):
                losses.append(np.sum((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2))
    return np.mean(losses)


def negative_cosine(predictions, targets):
    return -np.mean([p @ z / np.linalg.norm(p) / np.linalg.norm(z) for p, z in zip(predictions, targets)])


def softmax_cross_entropy(predictions, targets):
    losses = []
    for p, z in zip(predictions, targets):
        q = np.exp(z) / np.exp(z).sum()
        losses.append(-np.sum(q * (p - np.log(np.exp(p).sum()))))
    return np.mean(losses)
