"""Losses of graph methods as their papers write them, one graph and one node at a time."""

import numpy as np

from tests.reference.losses import cosine


def cross_view(first, second, temperature):
    losses = []
    for i, anchor in enumerate(first):
        positive = np.exp(cosine(anchor, second[i]) / temperature)
        others = sum(np.exp(cosine(anchor, second[j]) / temperature) for j in range(len(second)) if j != i)
        losses.append(-np.log(positive / others))
    return np.mean(losses)


def part_information(parts, mask, wholes):
    """The expectations under the joint and under the product of the marginals, of the estimator with softplus."""
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    of_own, of_others = [], []
    for i, nodes in enumerate(parts):
        for node, real in zip(nodes, mask[i]):
            for j, whole in enumerate(wholes if real else ()):
                score = float(np.dot(node, whole))
                if i == j:
                    of_own.append(np.log(2) - softplus(-score))
                else:
                    of_others.append(softplus(-score) + score - np.log(2))
    return np.mean(of_others) - np.mean(of_own)
