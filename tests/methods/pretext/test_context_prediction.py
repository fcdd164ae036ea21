"""ContextPrediction: arXiv 1505.05192."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl.augment import PatchGrid
from keras_ssl.methods.pretext.context_prediction import PLACES
from tests import cases
from tests.reference import pretext as reference

CASE = cases.Case(
    {"dim": 8, "hidden": 8}, encoder=cases.padded_encoder, views=lambda: PatchGrid(3, cases.SIZE // 3)
)


def context(**options):
    keras.utils.set_random_seed(0)
    return keras_ssl.ContextPrediction(cases.padded_encoder(), **{"dim": 5, "hidden": 7} | options)


def patches(count=3, tiles=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, tiles, 4, 4, 3)).astype("float32")


# The pairs


@pytest.mark.parametrize("grid, pairs", [(3, "neighbors"), ((2, 4), "neighbors"), (3, "center"), ((1, 2), "neighbors")])
def test_labels_are_where_the_second_patch_is(grid, pairs):
    """Patches of an image whose pixels say where they are."""
    rows, columns = grid if isinstance(grid, tuple) else (grid, grid)
    pixels = np.stack(np.indices((9 * rows, 9 * columns)), axis=-1)[None].astype("float32")
    cut = np.asarray(PatchGrid(grid, 4, gap=3, jitter=1)(pixels))[0, :, 0, 0]  # (patches, 2)
    first, second, places = context(grid=grid, pairs=pairs).all_pairs()
    moved = np.sign(np.round((cut[second] - cut[first]) / 7))
    np.testing.assert_array_equal(moved, np.array(PLACES)[places])


def test_all_neighbors_are_there_in_both_orders_with_opposite_labels():
    first, second, places = context().all_pairs()
    found = {(a, b): place for a, b, place in zip(first, second, places)}
    assert len(found) == len(first) == 40  # 12 beside each other and 8 diagonal, twice
    assert all(found[b, a] == 7 - place for (a, b), place in found.items())
    assert context().chance == pytest.approx(6 / 40)


def test_the_center_and_its_eight_neighbors():
    first, second, places = context(pairs="center").all_pairs()
    assert set(first) == {4} and sorted(second) == [0, 1, 2, 3, 5, 6, 7, 8] and places.tolist() == list(range(8))
    assert context(pairs="center").chance == 1 / 8


# The loss


@pytest.mark.parametrize("pairs", ["neighbors", "center"])
def test_the_loss_is_the_loop_over_all_pairs(pairs):
    model, x = context(pairs=pairs), patches()
    each = np.asarray(model.tower(x.reshape(-1, 4, 4, 3), training=True)).reshape(3, 9, -1)
    both, labels = [], []
    for image in each:
        for a, b in np.ndindex(9, 9):
            move = (b // 3 - a // 3, b % 3 - a % 3)
            if move in PLACES and (pairs == "neighbors" or a == 4):
                both.append(np.concatenate([image[a], image[b]]))
                labels.append(PLACES.index(move))
    logits = np.asarray(model.pair_head(np.array(both), training=True))
    outputs = model.objective([x])
    assert float(outputs["loss"]) == pytest.approx(reference.classification(logits, labels)[0], rel=1e-5)
    assert float(outputs["accuracy"]) == pytest.approx((logits.argmax(axis=1) == labels).mean())


def test_the_tower_of_a_patch_is_of_use_alone():
    model = context()
    assert model.tower.output_shape == (None, 5)
    # fc6 and fc7 are normalized without scale and shift
    norms = [x for head in (model.tower.layers[-1], model.pair_head) for x in head.layers if "batch_norm" in x.name]
    assert len(norms) == 2 and not any(x.center or x.scale for x in norms)


def test_each_patch_goes_through_the_encoder_once(monkeypatch):
    model, seen = context(), []
    tower = model.tower
    monkeypatch.setattr(model, "tower", lambda x, training: seen.append(x.shape[0]) or tower(x, training=training))
    model.objective([patches()])
    assert seen == [27]


def test_it_learns_where_patches_belong():
    """Patches whose colors are their row and their column."""
    rows, columns = np.divmod(np.arange(9), 3)
    colors = np.stack([120 * rows, 120 * columns, 0 * rows], axis=-1)[None, :, None, None]
    model = context(dim=16, hidden=16)
    model.compile(keras.optimizers.Adam(0.01))
    for step in range(40):
        x = (colors + 0.05 * patches(4, seed=step)).astype("float32")
        found = model.train_on_batch({"views": (x,)}, return_dict=True)
        model.reset_metrics()
    assert found["accuracy"] > 0.8 > 5 * model.chance


# Bad input


@pytest.mark.parametrize("options", [{"grid": 1}, {"grid": (2, 3), "pairs": "center"}, {"grid": 0}, {"pairs": "all"}])
def test_other_grids_and_pairs_are_refused(options):
    with pytest.raises(ValueError, match=f"{'pairs' if options.get('pairs') == 'all' else 'grid'} must"):
        context(**options)


@pytest.mark.parametrize("view", [patches(tiles=8), patches()[:, 0]])
def test_views_without_nine_patches_are_refused(view):
    with pytest.raises(ValueError, match=r"takes 9 patches of each image.*PatchGrid.*Received: shape="):
        context()({"views": (view,)}, training=True)
