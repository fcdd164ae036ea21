"""Patches in plain Python loops, one image at a time."""

import math

import numpy as np

from tests.reference.augment import resize, uniform


def patchify(image, high, wide):
    rows = []
    for y in range(0, image.shape[0], high):
        for x in range(0, image.shape[1], wide):
            rows.append(image[y : y + high, x : x + wide].ravel())
    return np.stack(rows)


def patch_grid(image, seed, grid, size, stride, low, high):
    """The patches, and the top left corner of each."""
    columns, patches = grid[1], grid[0] * grid[1]
    draws = uniform(seed, 2 + 2 * patches)
    room = [side - ((n - 1) * stride + size + high - low) for side, n in zip(image.shape, grid)]
    found, corners = [], []
    for number in range(patches):
        corner = []
        for axis, place in enumerate(divmod(number, columns)):
            origin = int(draws[axis] * (room[axis] + 1))
            move = int(draws[2 + axis * patches + number] * (high - low + 1))
            corner.append(origin + place * stride + move)
        y, x = corner
        found.append(image[y : y + size, x : x + size])
        corners.append(corner)
    return np.stack(found), np.array(corners)


def coarsen(image, seed, pixels, p):
    draws = uniform(seed, 2)
    if draws[1] >= p:
        return image
    height, width = image.shape[:2]
    part = math.sqrt((pixels[0] + (pixels[1] - pixels[0]) * draws[0]) / (height * width))
    small = [min(max(round(part * side), 1), side) for side in (height, width)]
    coarse = resize(image, *small)
    return enlarge(enlarge(coarse, height).transpose(1, 0, 2), width).transpose(1, 0, 2)


def enlarge(image, size):
    """Rows by linear interpolation between the centers of the pixels; the border is repeated."""
    out = np.zeros((size, *image.shape[1:]))
    for i in range(size):
        place = min(max((i + 0.5) * len(image) / size - 0.5, 0), len(image) - 1)
        below = min(int(place), len(image) - 2) if len(image) > 1 else 0
        above = min(below + 1, len(image) - 1)
        out[i] = image[below] + (place - below) * (image[above] - image[below])
    return out


def shift_channels(image, seed, pixels):
    height, width, channels = image.shape
    moves = [int(draw * (pixels + 1)) for draw in uniform(seed, 2 * channels)]
    planes = [
        image[y : y + height - pixels, x : x + width - pixels, number]
        for number, (y, x) in enumerate(zip(moves[:channels], moves[channels:]))
    ]
    return np.stack(planes, axis=-1)
