"""Dense methods as their papers write them: loops over images, places and regions."""

import numpy as np

from tests.reference.redundancy import covariance, variance


def unit(x):
    return x / np.linalg.norm(x)


def spot(box, grid, place):
    """The center of a cell of a view, y and x in pixels of the image; of a mirrored view from right to left."""
    top, left, bottom, right = box
    row, column = divmod(place, grid[1])
    return top + (bottom - top) * (row + 0.5) / grid[0], left + (right - left) * (column + 0.5) / grid[1]


def diagonal(box, grid):
    return np.hypot((box[2] - box[0]) / grid[0], (box[3] - box[1]) / grid[1])


def near(first, second, grid, other, threshold):
    """Which places lie together in two views of one image."""
    largest = max(diagonal(first, grid), diagonal(second, other))
    found = np.zeros((grid[0] * grid[1], other[0] * other[1]), bool)
    for i, j in np.ndindex(*found.shape):
        (y, x), (v, u) = spot(first, grid, i), spot(second, other, j)
        found[i, j] = np.hypot(y - v, x - u) / largest < threshold - 1e-9
    return found


def consistency(y, targets, positives):
    total = 0.0
    for image in range(len(y)):
        cosines = [
            unit(y[image, i]) @ unit(targets[image, j]) for i, j in np.ndindex(*positives[image].shape)
            if positives[image, i, j]
        ]  # fmt: skip
        total += -2 * np.sum(cosines) / (len(cosines) + 1e-6)
    return total / len(y)


def contrast(x, keys, positives, temperature):
    total = 0.0
    for image in range(len(x)):
        losses = []
        for i, row in enumerate(positives[image]):
            e = np.exp([unit(x[image, i]) @ unit(key) / temperature for key in keys[image]])
            if row.any():
                losses.append(-np.log(e[row].sum() / e.sum()))
        total += np.mean(losses) if losses else 0.0
    return total / len(x)


def propagate(x, value, gamma):
    """What a place gets from all places of its image: `x` and `value` are `(places, dim)`."""
    made = np.zeros_like(value)
    for i, j in np.ndindex(len(x), len(x)):
        made[i] += max(unit(x[i]) @ unit(x[j]), 0.0) ** gamma * unit(value[j])
    return made


def most_similar(first, second):
    return np.array([
        [np.argmax([unit(a) @ unit(b) for b in others]) for a in places] for places, others in zip(first, second)
    ])  # fmt: skip


def info_nce(queries, keys, queue, temperature):
    losses = []
    for query, key in zip(queries, keys):
        e = np.exp(np.array([unit(query) @ unit(key), *(queue @ unit(query))]) / temperature)
        losses.append(-np.log(e[0] / e.sum()))
    return np.mean(losses)


def matches(distances, count):
    """Of one image: the places whose nearest other place is closest, in ascending order, and these."""
    distances = np.round(distances, 6)  # boxes of whole pixels make ties, whatever the rounding
    nearest = [(min(row), i, int(np.argmin(row))) for i, row in enumerate(distances)]
    kept = sorted(sorted(nearest)[:count], key=lambda pair: pair[1])
    return [i for _, i, _ in kept], [j for _, _, j in kept]


def vicreg_of_slots(first, second):
    """VICReg of `(batch, slots, dim)`: each slot has statistics of its own."""
    slots = range(first.shape[1])
    spread = np.mean([(variance(first[:, s]) + variance(second[:, s])) / 2 for s in slots])
    together = np.mean([(covariance(first[:, s]) + covariance(second[:, s])) / 2 for s in slots])
    return 25 * np.mean((first - second) ** 2) + 25 * spread + together


def vicregl_local(first, second, spots, other_spots, count, other_count, by_feature=None):
    """The local loss of two views, of maps `(batch, places, dim)`."""
    total = 0.0
    for one, other, here, there, kept in (
        (first, second, spots, other_spots, count), (second, first, other_spots, spots, other_count)
    ):  # fmt: skip
        for points, others, number in ((one, other, by_feature or one.shape[1]), (here, there, kept)):
            pairs = []
            for image in range(len(one)):
                distances = [[np.linalg.norm(a - b) for b in others[image]] for a in points[image]]
                own, theirs = matches(distances, number)
                pairs.append((one[image][own], other[image][theirs]))
            total += vicreg_of_slots(*(np.stack(side) for side in zip(*pairs))) / 2
    return total


def region_contrast(queries, others, own, ids, other_ids, temperature):
    batch, regions = ids.shape
    losses = []
    for b, r in np.ndindex(batch, regions):
        logits, right = [], []
        for c, q in np.ndindex(batch, regions):
            logits.append(unit(queries[b, r]) @ unit(others[c, q]) / temperature)
            if c == b and other_ids[c, q] == ids[b, r]:
                right.append(logits[-1])
            if c != b or ids[c, q] != ids[b, r]:
                logits.append(unit(queries[b, r]) @ unit(own[c, q]) / temperature)
        weight = 1 / np.sum(ids[b] == ids[b, r]) if right else 0.0
        losses.append(weight * (np.log(np.sum(np.exp(logits))) - np.mean(right or [0.0])))
    return np.mean(losses)


def label(mask, box, grid, place, points=8):
    """The label that most of a cell has, of `points` x `points` spots of it; the smallest of equally frequent ones."""
    found, fine = [], (grid[0] * points, grid[1] * points)
    row, column = divmod(place, grid[1])
    for i, j in np.ndindex(points, points):
        number = (row * points + i) * fine[1] + column * points + j
        y, x = (int(np.clip(np.floor(at), 0, side - 1)) for at, side in zip(spot(box, fine, number), mask.shape))
        found.append(mask[y, x])
    labels, counts = np.unique(found, return_counts=True)
    return labels[np.argmax(counts)]
