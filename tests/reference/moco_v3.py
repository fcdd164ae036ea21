"""MoCo v3 as its paper writes it, one query at a time."""

import numpy as np

from tests.reference.losses import cosine


def info_nce_in_batch(queries, keys, temperature):
    losses = []
    for i, query in enumerate(queries):
        all_keys = sum(np.exp(cosine(query, key) / temperature) for key in keys)
        losses.append(-np.log(np.exp(cosine(query, keys[i]) / temperature) / all_keys))
    return 2 * temperature * np.mean(losses)


def momentum(start, step, steps):
    return 1 - (1 - start) * (1 + np.cos(np.pi * min(step / steps, 1))) / 2
