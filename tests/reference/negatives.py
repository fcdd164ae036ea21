"""The losses of the negatives as their papers write them, one view at a time: an array, one value a view."""

import numpy as np


def scores(first, second, temperature, seen=None):
    """For each view: the logit of its partner, and those of the views of all other images.

    `seen` are the views (first, second) as those that they are compared with, where these are kept fixed.
    """
    others = unit(np.concatenate(seen or (first, second)))
    views, n = unit(np.concatenate([first, second])), len(first)
    found = []
    for i, view in enumerate(views):
        partner = (i + n) % (2 * n)
        negatives = [view @ others[j] / temperature for j in range(2 * n) if j not in (i, partner)]
        found.append((view @ others[partner] / temperature, np.array(negatives)))
    return found


def nt_xent(first, second, temperature):
    return np.array([np.log(np.exp(p) + np.exp(n).sum()) - p for p, n in scores(first, second, temperature)])


def chance(first, second, temperature):
    """The softmax's probability of the partner (p+)."""
    return np.exp(-nt_xent(first, second, temperature))


def decoupled(first, second, temperature, weighted=False, sigma=0.5):
    closeness = np.exp(np.sum(unit(first) * unit(second), axis=1) / sigma)
    weights = np.tile(2 - closeness / closeness.mean(), 2) if weighted else np.ones(2 * len(first))
    found = scores(first, second, temperature)
    return np.array([np.log(np.exp(n).sum()) - w * p for w, (p, n) in zip(weights, found)])


def debiased(first, second, temperature, tau_plus, beta=0.0, extra=()):
    losses = []
    for i, (p, n) in enumerate(scores(first, second, temperature)):
        count, weights = len(n), np.exp(n) ** beta
        negatives = (weights * np.exp(n)).sum() / weights.mean()
        view = unit(np.concatenate([first, second]))[i]
        further = [np.exp(view @ unit(x)[i % len(first)] / temperature) for x in extra]
        positives = np.mean([np.exp(p), *further])
        estimate = (negatives - tau_plus * count * positives) / (1 - tau_plus)
        estimate = max(estimate, count * np.exp(-1 / temperature))
        losses.append(-np.log(np.exp(p) / (np.exp(p) + estimate)))
    return np.array(losses)


def invariant_spread(first, second, temperature, weight=1.0, seen=None):
    losses = []
    for p, n in scores(first, second, temperature, seen):
        total = np.exp(p) + weight * np.exp(n).sum()
        losses.append(-np.log(np.exp(p) / total) - weight * np.log(1 - np.exp(n) / total).sum())
    return np.array(losses)


def sup_con(views, labels, temperature, inside=False):
    embeddings, labels = unit(np.concatenate(views)), np.tile(labels, len(views))
    losses = []
    for i, view in enumerate(embeddings):
        others = [j for j in range(len(embeddings)) if j != i]
        total = sum(np.exp(view @ embeddings[j] / temperature) for j in others)
        shares = [np.exp(view @ embeddings[j] / temperature) / total for j in others if labels[j] == labels[i]]
        if not shares:
            losses.append(0.0)
        elif inside:
            losses.append(-np.log(np.mean(shares)))
        else:
            losses.append(-np.mean(np.log(shares)))
    return np.array(losses)


def alignment(first, second, power):
    return np.linalg.norm(unit(first) - unit(second), axis=1) ** power


def uniformity(embeddings, scale):
    x, n = unit(embeddings), len(embeddings)
    distances = [np.sum((x[i] - x[j]) ** 2) for i in range(n) for j in range(i + 1, n)]
    return np.log(np.mean(np.exp(-scale * np.array(distances))))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
