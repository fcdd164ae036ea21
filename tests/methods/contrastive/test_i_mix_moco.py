"""i-Mix on MoCo: arXiv 2010.08887."""

import numpy as np
import pytest

from tests import cases
from tests.reference.losses import info_nce
from tests.test_instances import BATCH, make, train, unit, view

CASE = cases.Case(
    {
        "hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "symmetric": True, "cutmix": True, "head_norm": True,
    },
)


def test_i_mix_that_mixes_nothing_is_moco_with_the_keys_of_the_batch():
    model, views = make("IMixMoCo", alpha=0), (view(0), view(1))
    queue = np.asarray(model.queue.read())
    queries, keys = (f(x, training=True).numpy() for f, x in zip((model.query_encoder, model.key_encoder), views))
    others = [np.concatenate([queue, unit(np.delete(keys, i, axis=0))]) for i in range(BATCH)]
    expected = [info_nce(queries[i:i + 1], keys[i:i + 1], others[i], 0.2) for i in range(BATCH)]
    assert train(model, *views) == pytest.approx(np.mean(expected), rel=1e-4)
