"""Masks: loops of the papers with the same draws, exact counts, distributions, and the same masks everywhere."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.augment import RandomResizedCrop, View, Views, places, uniform
from keras_ssl.augment.image import masks
from tests.reference import masks as reference


def seeds(batch=16, seed=0):
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (batch, 2)).astype("int32")


def images(batch=16):
    return np.zeros((batch, 8, 8, 3), "uint8")


def draw(layer, batch=16, seed=0):
    return keras.tree.map_structure(ops.convert_to_numpy, layer(images(batch), seeds=seeds(batch, seed)))


LAYERS = [
    masks.RandomMask(14, seed=3, name="own"),
    masks.RandomMask((4, 6), ratio=[0.2, 0.6], unit=2, p=0.7),
    masks.BlockMask(14, count=75),
    masks.BlockMask((8, 10), (0.1, 0.5), p=0.5, min_patches=3, max_patches=9.0, aspect=[0.5, 2.0]),
    masks.RegionMask((20, 24), cell=4.0),
    masks.HoleMask([9, 12], [3, 4], step=2, inverse=True),
    masks.HoleMask(8, 4, center=True),
    masks.MultiBlockMask((10, 8), targets=3, context=[0.5, 0.9], keep=20),
]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)


# Values


@pytest.mark.parametrize("ratio, unit", [(0.75, 1), (0.6, 2), (0.0, 1), (1.0, 1)])
def test_random_mask_is_that_of_the_reference(ratio, unit):
    layer = masks.RandomMask((6, 8), ratio, unit=unit)
    rows, columns = 6 // unit, 8 // unit
    count = int(np.ceil(ratio * rows * columns))
    cells = np.stack([reference.random_mask(seed, rows, columns, count) for seed in seeds()])
    np.testing.assert_array_equal(draw(layer), cells.repeat(unit, 1).repeat(unit, 2))
    assert layer.masked == count * unit**2


@pytest.mark.parametrize("side, count, least", [(14, 75, 16), (8, 26, 4), (5, 20, 1)])
def test_block_mask_is_that_of_the_reference(side, count, least):
    found = draw(masks.BlockMask(side, count=count), 200)
    expected = [reference.block_mask(seed, side, side, count, least) for seed in seeds(200)]
    # Float32 may round the side of a block, or the place, to another number: in one image of 200, say.
    assert (found != expected).any(axis=(1, 2)).mean() <= 0.01


def test_region_mask_is_that_of_the_reference():
    found = draw(masks.RegionMask((12, 15), ratio=0.25, cell=3.5), 6)
    for mask, seed in zip(found, seeds(6)):
        scores = reference.region_scores(seed, 12, 15, 3.5)
        assert mask.sum() == 45
        assert scores[mask].max() <= scores[~mask].min() + 1e-5


def test_holes():
    layer = masks.HoleMask((9, 12), (3, 4), step=2)
    top, left = (ops.convert_to_numpy(place)[:, 0].astype(int) for place in layer.places(seeds(300)))
    assert set(top) == {0, 2, 4, 6} and set(left) == {0, 2, 4, 6, 8}
    expected = np.zeros((300, 9, 12), bool)
    for mask, y, x in zip(expected, top, left):
        mask[y : y + 3, x : x + 4] = True
    np.testing.assert_array_equal(draw(layer, 300), expected)
    np.testing.assert_array_equal(draw(masks.HoleMask((9, 12), (3, 4), step=2, inverse=True), 300), ~expected)
    corners = draw(masks.HoleMask(14, 7, step=7, inverse=True), 400)  # QB-Heat: one quarter is seen
    quarters = (~corners)[:, [0, 0, 13, 13], [0, 13, 0, 13]]
    assert (quarters.sum(axis=1) == 1).all() and (~corners).sum() == 400 * 49
    assert np.abs(quarters.mean(axis=0) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 400)
    middle = draw(masks.HoleMask(128, 56, center=True), 2)
    assert middle[:, 36:92, 36:92].all() and middle.sum() == 2 * 56**2


# Counts and distributions


def test_counts_are_exact():
    for layer, count in [
        (masks.RandomMask(14), 147),  # MAE keeps 49 of 196
        (masks.RandomMask(48, 0.6, unit=8), 22 * 64),  # SimMIM: ceil(0.6 * 36) units
        (masks.RandomMask(14, 0.15), 30),  # MSN keeps int(0.85 * 196)
        (masks.RandomMask((3, 3), count=1), 1),  # a damaged jigsaw
        (masks.BlockMask(14, count=75), 75),
        (masks.BlockMask(14), 79),
        (masks.BlockMask((2, 7), 0.9), 13),
        (masks.RegionMask(16, ratio=0.3, cell=3), 77),
    ]:
        assert layer.masked == count
        assert (draw(layer, 400).sum(axis=(1, 2)) == count).all(), layer.name


def test_units_are_hidden_as_a_whole():
    cells = draw(masks.RandomMask((12, 8), 0.5, unit=4)).reshape(16, 3, 4, 2, 4)
    assert (cells == cells[:, :, :1, :, :1]).all()


@pytest.mark.parametrize("layer", [masks.RandomMask(14, (0.1, 0.5), p=0.4), masks.BlockMask(14, (0.1, 0.5), p=0.4)])
def test_every_image_has_its_own_count(layer):
    n = 3000
    counts = draw(layer, n).sum(axis=(1, 2))
    assert abs((counts > 0).mean() - 0.4) < 5 * np.sqrt(0.24 / n)
    drawn = np.sort(counts[counts > 0])
    assert drawn.min() >= 19 and drawn.max() <= layer.masked == 98
    uniformly = 0.1 * 196 + 0.4 * 196 * (np.arange(len(drawn)) + 0.5) / len(drawn)  # before it is rounded down
    assert np.abs(drawn + 0.5 - uniformly).max() < 0.4 * 196 * 2 / np.sqrt(len(drawn)) + 0.5


@pytest.mark.parametrize("p, batch", [(0.5, 33), (0.4, 10), (1.0, 8), (0.0, 5)])
def test_counts_of_a_batch_fill_the_range_evenly(p, batch):
    layer, masked = masks.BlockMask(20, (0.1, 0.5), p=p), int(p * batch + 1e-9)
    draws = np.random.default_rng(0).uniform(size=(batch, 2)).astype("float32")
    counts = layer.even_counts(draws).numpy()
    assert counts.shape == (batch, 1) and (counts > 0).sum() == masked
    assert set(np.flatnonzero(counts)) == set(np.argsort(draws[:, 1])[:masked])
    for part, count in enumerate(np.sort(counts[counts > 0])):
        low, high = (40 + 160 * (part + end) / masked for end in (0, 1))
        assert low - 1 < count <= high
    found = layer.masks(seeds(batch), counts).numpy()
    np.testing.assert_array_equal(found.sum(axis=(1, 2)), counts[:, 0])
    same = masks.RandomMask(20, 0.3, p=p)
    np.testing.assert_array_equal(same.even_counts(draws), np.where(counts > 0, 120, 0))


def test_random_masks_are_uniform_and_independent():
    n = 20_000
    hidden = draw(masks.RandomMask((3, 4), count=3), n).reshape(n, 12)
    assert np.abs(hidden.mean(axis=0) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / n)
    pairs = hidden.T.astype(float) @ hidden / n
    expected = 3 * 2 / (12 * 11)
    assert np.abs(pairs - expected)[~np.eye(12, dtype=bool)].max() < 5 * np.sqrt(expected / n)


def adjacent(mask):
    """Neighboring pairs of hidden patches: the more, the more the mask is in one piece."""
    return (mask[:, 1:] & mask[:, :-1]).sum(axis=(1, 2)) + (mask[:, :, 1:] & mask[:, :, :-1]).sum(axis=(1, 2))


def test_block_masks_have_the_statistics_of_the_authors_loop():
    n = 3000
    source = random.Random(0)
    loop = [reference.beit(lambda: [source.random() for _ in range(4)], 14, 14, 75, 16) for _ in range(n)]
    theirs = np.stack([mask for mask, _ in loop])
    ours = draw(masks.BlockMask(14, count=75), n)
    counts = theirs.sum(axis=(1, 2))
    assert max(tries for _, tries in loop) <= masks.TRIES
    assert 0.4 < (75 - counts).mean() < 0.65 and 0.25 < (counts < 75).mean() < 0.4  # what the docstring says
    # On average a patch per image: ours hide 0.5 of 75 more.
    difference = ours.mean(axis=0) - theirs.mean(axis=0)
    assert np.abs(difference).max() < 0.004 + 5 * np.sqrt(2 * 0.25 / n)
    for statistic in (adjacent, lambda mask: mask.any(axis=1).sum(axis=1), lambda mask: mask.any(axis=2).sum(axis=1)):
        mine, other = statistic(ours), statistic(theirs)
        assert abs(mine.mean() - other.mean()) < 0.01 * other.mean() + 5 * other.std() * np.sqrt(2 / n)
        assert 0.85 < mine.std() / other.std() < 1.15
    scattered = draw(masks.RandomMask(14, count=75), 200)
    assert adjacent(ours).mean() > 1.8 * adjacent(scattered).mean()


def test_regions_are_smooth_and_in_the_range():
    found = draw(masks.RegionMask(64), 200)
    parts = found.mean(axis=(1, 2))
    assert parts.min() > 0.199 and parts.max() <= 0.3 and 0.24 < parts.mean() < 0.26
    assert adjacent(found).mean() > 0.8 * 2 * found.sum(axis=(1, 2)).mean()  # 2 where there is no border
    assert np.abs(found.mean(axis=0) - 0.25).max() < 6 * np.sqrt(0.25 * 0.75 / 200)


# I-JEPA


@pytest.mark.parametrize("side, keep", [(14, None), (14, 40), (8, None)])
def test_contexts_and_targets(side, keep):
    n = 500
    layer = masks.MultiBlockMask(side, keep=keep)
    context, targets = draw(layer, n)
    assert context.shape == (n, layer.kept) and targets.shape == (n, 4, layer.masked)
    if side == 14:
        assert (layer.kept, layer.masked) == (keep or 76, 30)
    assert (np.diff(context) > 0).all() and (np.diff(targets) > 0).all()  # ascending, so none is twice
    assert min(context.min(), targets.min()) >= 0 and max(context.max(), targets.max()) < side**2
    for inside, outside in zip(context, targets.reshape(n, -1)):
        assert not set(inside) & set(outside)
    low, high = (np.floor(0.15 * side**2), 0.2 * side**2 * 1.2)  # rounding of both sides
    rows, columns = targets // side, targets % side
    heights, widths = np.ptp(rows, axis=2) + 1, np.ptp(columns, axis=2) + 1
    assert (heights * widths >= layer.masked).all() and (heights * widths <= high).all() and layer.masked >= low
    whole = heights * widths == layer.masked
    assert 0.05 < whole.mean() < 1  # blocks of the smallest area are whole rectangles, larger ones are cut
    assert (heights * widths - layer.masked < np.maximum(heights, widths) * 2).all()
    assert len(np.unique(targets[:, :, 0])) > side  # at many places


def test_no_side_of_the_image_is_left_out():
    n = 4000
    for found in (draw_blocks(masks.MultiBlockMask(14), n), draw_blocks(masks.MultiBlockMask(14, keep=40), n)):
        context, targets = found
        for often in (context.mean(axis=0), targets.mean(axis=(0, 1))):
            assert often.min() > 0.001
            assert np.abs(often - often[::-1, ::-1]).max() < 5 * np.sqrt(2 * 0.25 / n)


def draw_blocks(layer, n):
    return [ops.convert_to_numpy(found) for found in layer.masks(seeds(n))]


def test_a_context_is_its_block_without_the_targets():
    layer = masks.MultiBlockMask(14, targets=1, keep=100)
    context, targets = draw_blocks(layer, 300)
    rows, columns = context.any(axis=2).sum(axis=1), context.any(axis=1).sum(axis=1)
    assert (np.maximum(rows, columns) <= 13).all()  # 13 x 13 less 30 to 42, cut to 100: none comes from outside
    fits = masks.MultiBlockMask(14, targets=1)  # all 166 that are free: 1 block of 13 x 13 has too few of them
    context, targets = draw_blocks(fits, 50)
    np.testing.assert_array_equal(context, ~targets[:, 0])


# Index lists


@pytest.mark.parametrize("layer", [masks.RandomMask((5, 7), 0.6), masks.BlockMask(6, count=20)])
def test_partition(layer):
    mask = draw(layer)
    visible, hidden, restore = map(ops.convert_to_numpy, places.partition(mask, layer.masked))
    for row, seen, unseen, back in zip(mask.reshape(16, -1), visible, hidden, restore):
        np.testing.assert_array_equal(seen, np.flatnonzero(~row))
        np.testing.assert_array_equal(unseen, np.flatnonzero(row))
        np.testing.assert_array_equal(np.concatenate([seen, unseen])[back], np.arange(row.size))
    tokens = np.random.default_rng(0).normal(size=(16, mask[0].size, 3)).astype("float32")
    parts = ops.concatenate([places.select(tokens, visible), places.select(tokens, hidden)], axis=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(places.select(parts, restore)), tokens)


def test_the_gradient_flows_to_the_tokens_that_are_selected():
    layer = masks.RandomMask(4, 0.75)
    mask = draw(layer, 3)
    visible, _, _ = places.partition(mask, layer.masked)
    tokens = tf.Variable(np.ones((3, 16, 2), "float32"))
    with tf.GradientTape() as tape:
        loss = ops.sum(2 * places.select(tokens, visible))
    gradient = tf.convert_to_tensor(tape.gradient(loss, tokens)).numpy()
    np.testing.assert_array_equal(gradient, np.where(mask.reshape(3, 16, 1), 0.0, [2.0, 2.0]))


def test_masked_indices_are_filled_up():
    layer = masks.BlockMask(6, (0.1, 0.5), p=0.5)
    mask = draw(layer)
    indices, valid = map(ops.convert_to_numpy, places.masked_indices(mask, layer.masked))
    assert indices.shape == valid.shape == (16, 18)
    for row, chosen, real in zip(mask.reshape(16, -1), indices, valid):
        np.testing.assert_array_equal(chosen[real], np.flatnonzero(row))
        assert not row[chosen[~real]].any() and len(set(chosen)) == 18


def test_enlarge():
    mask = draw(masks.RandomMask((3, 4)), 2)
    np.testing.assert_array_equal(ops.convert_to_numpy(masks.enlarge(mask, 3)), mask.repeat(3, 1).repeat(3, 2))


# The same masks everywhere


@every_layer
def test_the_same_seeds_give_the_same_masks(layer):
    x, s = images(), seeds()
    expected = draw(layer)
    flat = keras.tree.flatten
    for run in (tf.function(layer), tf.function(layer, jit_compile=True)):
        for found, value in zip(flat(run(x, seeds=s)), flat(expected), strict=True):
            if isinstance(layer, masks.RegionMask):  # compiled products of matrices round in another way
                assert (found.numpy() != value).mean() < 0.005
            else:
                np.testing.assert_array_equal(found.numpy(), value)
    data = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s}).batch(3)
    batches = list(data.map(layer, num_parallel_calls=2))
    joined = [np.concatenate(parts) for parts in zip(*([part.numpy() for part in flat(batch)] for batch in batches))]
    for found, value in zip(joined, flat(expected), strict=True):  # an image has its mask in every batch, and alone
        np.testing.assert_array_equal(found, value)
    for found, value in zip(flat(layer(x[5:6], seeds=s[5:6])), flat(expected)):
        np.testing.assert_array_equal(found.numpy(), value[5:6])


def test_a_mask_is_a_view():
    views = Views([View([RandomResizedCrop(16)]), masks.RandomMask(4), masks.MultiBlockMask(8)])
    x, s = np.zeros((4, 20, 20, 3), "uint8"), seeds(4)
    view, mask, (context, targets) = views({"image": x, "seed": s})
    assert view.shape == (4, 16, 16, 3) and mask.shape == (4, 4, 4) and mask.dtype == "bool"
    assert context.shape == (4, 28) and targets.shape == (4, 4, 9)
    data = tf.data.Dataset.from_tensor_slices({"image": x, "seed": s}).batch(2, drop_remainder=True)
    again = np.concatenate([batch[1].numpy() for batch in data.map(views)])
    np.testing.assert_array_equal(again, mask.numpy())


def test_own_seeds():
    layer, again = masks.RandomMask(8, seed=5), masks.RandomMask(8, seed=5)
    tokens = np.zeros((6, 64, 10), "float32")  # any tensor tells the size of the batch
    calls = [layer(tokens).numpy() for _ in range(2)]
    assert len(np.unique(np.concatenate(calls).reshape(12, -1), axis=0)) == 12
    for mask in calls:
        np.testing.assert_array_equal(again(tokens).numpy(), mask)


def test_replicas_draw_other_masks(two_replicas):
    with two_replicas.scope():
        layer = masks.BlockMask(8, seed=1)
    found = two_replicas.run(tf.function(lambda: layer(images(3))))
    rows = np.concatenate([part.numpy().reshape(3, -1) for part in two_replicas.experimental_local_results(found)])
    assert len(np.unique(rows, axis=0)) == 6


@every_layer
def test_masks_in_a_functional_model_and_under_mixed_precision(layer):
    expected = keras.tree.flatten(draw(layer, 4))
    keras.config.set_dtype_policy("mixed_bfloat16")
    again = type(layer).from_config(layer.get_config())
    inputs = {"image": keras.Input((8, 8, 3), dtype="uint8", name="image")}
    inputs["seed"] = keras.Input((2,), dtype="int32", name="seed")
    found = keras.Model(inputs, again(inputs))({"image": images(4), "seed": seeds(4)})
    for one, value in zip(keras.tree.flatten(found), expected, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), value)


@every_layer
def test_configurations(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.name == layer.name
    for found, value in zip(keras.tree.flatten(draw(again)), keras.tree.flatten(draw(layer)), strict=True):
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: masks.RandomMask(0), "grid must be a positive int or a pair of them. Received: grid=0"),
        (lambda: masks.RandomMask(4, 1.2), "ratio must be a number from 0 to 1, or a pair"),
        (lambda: masks.RandomMask(4, (0.5, 0.2)), "ratio must be a number from 0 to 1, or a pair"),
        (lambda: masks.RandomMask(4, None), "ratio must be a number from 0 to 1, or a pair"),
        (lambda: masks.RandomMask(4, count=17), "count must be an int from 0 to 16"),
        (lambda: masks.RandomMask(4, p=2), "p must be a probability"),
        (lambda: masks.RandomMask(14, unit=4), "unit must be a positive int that divides the grid"),
        (lambda: masks.BlockMask((1, 5)), "at least 2 rows"),
        (lambda: masks.BlockMask(5, min_patches=0), "min_patches must be a number"),
        (lambda: masks.BlockMask(5, min_patches=4, max_patches=3), "max_patches must be a number from min_patches=4"),
        (lambda: masks.BlockMask(5, aspect=2), "aspect must be a pair"),
        (lambda: masks.RegionMask(5, cell=0.5), "cell must be a number of pixels"),
        (lambda: masks.HoleMask(5, 6), "size must not be larger than the grid"),
        (lambda: masks.HoleMask(5, 3, step=0), "step must be a positive int"),
        (lambda: masks.MultiBlockMask(14, targets=0), "targets must be a positive int"),
        (lambda: masks.MultiBlockMask(14, targets=7), "may leave no context"),
        (lambda: masks.MultiBlockMask(14, keep=77), "keep must be an int from 1 to 76"),
        (lambda: masks.MultiBlockMask(14, context=(0.5, 1.5)), "at most 1"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_draws_of_the_reference_are_those_of_the_package():
    expected = [reference.uniform(seed, 5) for seed in seeds()]
    np.testing.assert_array_equal(ops.convert_to_numpy(uniform(seeds(), 5)), expected)
