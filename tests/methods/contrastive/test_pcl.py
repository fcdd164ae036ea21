"""PCL: arXiv 2005.04966."""

import numpy as np

from tests import cases


def cluster(model):
    """Random clusters, the same for all models: until its callback has made some, there is nothing to contrast."""
    model.keep_clusters([clusters(number, model.samples, model.dim) for number in model.clusters])


def clusters(count, samples, dim):
    draw = np.random.default_rng(count)
    prototypes = draw.normal(size=(count, dim))
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    return prototypes, draw.integers(0, count, samples), draw.uniform(0.3, 0.6, count)


CASE = cases.Case(
    {
        "hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "samples": 32, "clusters": (4, 6), "negatives": 2,
    },
    prepare=cluster,
    still=("assignments", "prototypes", "concentrations", "clustered"),  # its callback moves them
)
