"""Losses of the volume of embeddings as their papers write them, from eigenvalues and singular values."""

import numpy as np


def unit_rows(x):
    return np.array([row / np.sqrt(row @ row) for row in x])


def coding_rate(view, epsilon):
    z = unit_rows(view)
    rows, dim = z.shape
    spectrum = np.linalg.eigvalsh(z.T @ z)
    return 0.5 * np.sum(np.log(1 + dim / (rows * epsilon) * spectrum))


def emp_ssl(views, weight, epsilon):
    """`views`: list of (batch, dim). Returns the loss, the similarity and the rate."""
    units = np.stack([unit_rows(view) for view in views])
    cosines = []
    for image in range(units.shape[1]):
        mean = sum(view[image] for view in units) / len(units)
        cosines += [view[image] @ mean / np.linalg.norm(mean) for view in units]
    rate = np.mean([coding_rate(view, epsilon) for view in views])
    return -weight * np.mean(cosines) - rate, np.mean(cosines), rate


def frossl(views, weight, centered=True):
    views = [view - view.mean(axis=0) if centered else view for view in views]
    columns = [np.stack([c / np.sqrt(c @ c) for c in view.T], axis=1) for view in views]
    mean, dim = sum(columns) / len(columns), views[0].shape[1]
    norm = sum(np.log(np.sum((np.linalg.eigvalsh(z.T @ z) / dim) ** 2)) for z in columns)
    apart = sum(len(views) * dim * np.mean((z - mean) ** 2) for z in columns)
    return norm + weight * apart, norm, apart


def mmcr(views, twins=None, weight=0.0):
    units = [unit_rows(view) for view in views]
    centroids = sum(units) / len(units)
    if twins is not None:
        centroids = (centroids + sum(unit_rows(view) for view in twins) / len(twins)) / 2
    each = [np.linalg.svd(np.stack(image), compute_uv=False).sum() for image in zip(*units)]
    return weight * np.mean(each) - np.linalg.svd(centroids, compute_uv=False).sum()


def tico(embeddings, targets, moment, weight, decay):
    """`moment`: that of before. Returns the loss, and the new moment."""
    z, t = unit_rows(embeddings), unit_rows(targets)
    moment = decay * moment + (1 - decay) * sum(np.outer(row, row) for row in z) / len(z)
    return 1 - np.mean([a @ b for a, b in zip(z, t)]) + weight * np.mean([row @ moment @ row for row in z]), moment
