"""Masks in plain Python loops, one image at a time, after the papers and their authors' code."""

import math

import numpy as np

from tests.reference.augment import uniform


def random_mask(seed, rows, columns, count):
    order = np.argsort(uniform(seed, 2 + rows * columns)[2:], kind="stable")
    mask = np.zeros(rows * columns, bool)
    mask[order[:count]] = True
    return mask.reshape(rows, columns)


def beit(draw, rows, columns, count, least, aspect=0.3, tries=None):
    """The loop of BEiT's MaskingGenerator: the mask and the number of tries. `draw()` gives four uniform numbers."""
    mask, hidden, number = np.zeros((rows, columns), bool), 0, 0
    while hidden < count:
        new = 0
        for _ in range(10):
            if number == tries:
                return mask, number
            number += 1
            u = draw()
            area = least + (count - hidden - least) * u[0]
            ratio = math.exp(math.log(aspect) * (1 - 2 * u[1]))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < rows and w < columns:
                top, left = int(u[2] * (rows - h + 1)), int(u[3] * (columns - w + 1))
                block = mask[top : top + h, left : left + w]
                if 0 < block.size - block.sum() <= count - hidden:
                    new = block.size - block.sum()
                    block[:] = True
                    break
        if not new:
            break
        hidden += new
    return mask, number


def complete(mask, count, numbers):
    """The missing patches, by the lowest numbers: first those beside, above or below a hidden one."""
    rows, columns = mask.shape

    def key(place):
        y, x = divmod(place, columns)
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        near = any(0 <= b < rows and 0 <= a < columns and mask[b, a] for b, a in beside)
        return (not near, numbers[place])

    free = sorted((place for place in range(mask.size) if not mask.flat[place]), key=key)
    full = mask.copy()
    full.flat[free[: count - mask.sum()]] = True
    return full


def block_mask(seed, rows, columns, count, least):
    draws = uniform(seed, 2 + 4 * 40 + rows * columns)
    stream = iter(draws[2:162].reshape(40, 4))
    mask, _ = beit(lambda: next(stream), rows, columns, count, least, tries=40)
    return complete(mask, count, draws[162:])


def cubic(x):
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def region_scores(seed, rows, columns, cell):
    """The enlarged noise, whose lowest values are hidden."""
    down, across = math.ceil(rows / cell) + 4, math.ceil(columns / cell) + 4
    draws = uniform(seed, 4 + down * across)
    noise = draws[4:].reshape(down, across)
    scores = np.zeros((rows, columns))
    for y, x in np.ndindex(rows, columns):
        v, u = (y + 0.5) / cell + 1 + draws[2], (x + 0.5) / cell + 1 + draws[3]
        for j, i in np.ndindex(down, across):
            scores[y, x] += cubic(v - j) * cubic(u - i) * noise[j, i]
    return scores
