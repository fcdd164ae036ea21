"""MoCHi: arXiv 2010.01028."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests.reference import instances as reference
from tests.test_instances import BATCH, DIM, assert_alike, make, train, unit, vectors, view

CASE = cases.Case(
    {
        "hidden": 16, "dim": 8, "queue_size": 20, "momentum": 0.9, "hardest": 6, "mixtures": 5, "query_mixtures": 3,
        "warmup": 2,
    },
)


def test_mochi_without_mixtures_is_moco_v2():
    assert_alike(make("MoCHi", mixtures=0, query_mixtures=0), make("MoCoV2"))


def test_mochi_mixes_the_hardest_negatives_of_each_query():
    model = make("MoCHi", mixtures=40, query_mixtures=30)
    queries, queue = unit(vectors(3, DIM)).astype("float32"), unit(vectors(10, DIM, seed=1)).astype("float32")
    mixed = np.asarray(model.mix(3 * queries, queue))
    assert mixed.shape == (3, 70, DIM)
    np.testing.assert_allclose(np.linalg.norm(mixed, axis=-1), 1, atol=1e-5)
    kinds, shares, sides = set(), [], []
    for query, rows in zip(queries, mixed):
        hardest = sorted(range(10), key=lambda j: -(query @ queue[j]))[:4]
        for row in rows[:40]:
            same = [i for i, j in enumerate(hardest) if np.allclose(row, queue[j], atol=1e-5)]
            fits = [(i, i) for i in same] or [
                (i, j, share)
                for i, j in itertools.combinations(range(4), 2)
                if (share := share_of(row, queue[hardest[i]], queue[hardest[j]])) is not None
            ]
            assert len(fits) == 1, (fits, row)
            kinds.add(fits[0][:2])
            shares += fits[0][2:]
        for row in rows[40:]:
            fits = [(share, j) for j in hardest if (share := share_of(row, query, queue[j])) is not None]
            assert len(fits) == 1, (fits, row)
            share, other = fits[0]
            assert share < 0.5 + 1e-5 and query @ row >= query @ queue[other] - 1e-6
            sides.append(share)
    assert len(kinds) == 10  # every pair of the four, and each of them with itself
    assert np.ptp(shares) > 0.8 and np.ptp(sides) > 0.4
    assert not np.allclose(mixed, model.mix(queries, queue))  # new ones in every step


def share_of(row, u, v):
    """Of a unit vector between two others, a in `a u + (1 - a) v` before it was normalized; None if it is not."""
    weights, error = np.linalg.lstsq(np.stack([u, v], axis=1), row, rcond=None)[:2]
    return weights[0] / weights.sum() if error < 1e-8 and (weights > -1e-5).all() else None


def test_mochi_loss_is_the_papers_and_starts_after_the_warm_up():
    model = make("MoCHi", warmup=2)
    for step in range(4):
        queue, views = np.asarray(model.queue.read()), (view(2 * step), view(2 * step + 1))
        queries = model.query_encoder(views[0], training=True)
        state = model.draws.state.numpy()
        hard = np.asarray(model.mix(queries, queue)) if step >= 2 else np.zeros((BATCH, 0, DIM))
        model.draws.state.assign(state)
        keys = model.key_encoder(views[1], training=True).numpy()
        expected = reference.info_nce_synthetic(queries.numpy(), keys, queue, hard, 0.2)
        assert train(model, *views) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(np.linalg.norm(model.queue.read(), axis=1), 1, atol=1e-5)
    assert int(model.queue.pointer) == 4 * BATCH % 10  # mixtures never enter it


def test_mochi_mixtures_get_no_gradient():
    model, queries = make("MoCHi"), tf.constant(vectors(3, DIM), "float32")
    with tf.GradientTape() as tape:
        tape.watch(queries)
        mixed = model.mix(queries, model.queue.read())
    assert tape.gradient(mixed, queries) is None


def test_mochi_says_what_is_wrong():
    with pytest.raises(ValueError, match="hardest must be from 1 to queue_size=10.*hardest=11"):
        make("MoCHi", hardest=11)
    with pytest.raises(ValueError, match="mixtures must be an int from 0"):
        make("MoCHi", mixtures=-1)
