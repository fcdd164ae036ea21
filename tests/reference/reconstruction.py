"""Masked image modeling in float64 loops: targets, errors, and the way of an image through MAE."""

import math

import numpy as np

from tests.reference import vit


def patches(images, patch, normalize=False):
    found = []
    for image in images:
        rows = []
        for i in range(0, image.shape[0], patch):
            for j in range(0, image.shape[1], patch):
                places = np.ndindex(patch, patch, image.shape[2])
                piece = np.array([image[i + y, j + x, c] for y, x, c in places], "float64")
                rows.append((piece - piece.mean()) / np.sqrt(piece.var(ddof=1) + 1e-6) if normalize else piece)
        found.append(rows)
    return np.array(found)


def masked_error(prediction, target, mask, power=2):
    total, weight = 0.0, 0.0
    for image, patch in np.ndindex(*mask.shape):
        distance = [abs(p - t) ** power for p, t in zip(prediction[image, patch], target[image, patch])]
        total += float(mask[image, patch]) * sum(distance) / len(distance)
        weight += float(mask[image, patch])
    return total / weight


def masked_cosine(prediction, target, mask):
    total = 0.0
    for image, patch in zip(*np.nonzero(mask)):
        p, t = prediction[image, patch], target[image, patch]
        total += 2 - 2 * np.dot(p, t) / math.sqrt(np.dot(p, p) * np.dot(t, t))
    return total / mask.sum()


def mae_prediction(image, mask, encoder, decoder, *, patch, depth, heads, decoder_depth, decoder_heads):
    """What MAE predicts for every patch of a normalized image; the weights by layer and name."""
    rows, columns = mask.shape
    places = vit.sines(rows, columns, encoder["patches/bias"].size)
    tokens = vit.tokens(image, encoder, patch, places)
    left = [0] + [1 + i for i in range(rows * columns) if not mask.ravel()[i]]
    latents, _ = vit.blocks(tokens[left], encoder, depth, heads)
    return decode(latents, mask, decoder, decoder_depth, decoder_heads)


def decode(latents, mask, decoder, depth, heads):
    """The latents of the class token and of the visible patches to a vector for every patch."""
    rows, columns = mask.shape
    embedded = list(latents @ decoder["embed/kernel"] + decoder["embed/bias"])
    places = vit.sines(rows, columns, decoder["embed/bias"].size)
    filled = [embedded.pop(0)]
    for hidden, place in zip(mask.ravel(), places):
        filled.append((decoder["mask_token/token"][0] if hidden else embedded.pop(0)) + place)
    tokens, _ = vit.blocks(np.array(filled), decoder, depth, heads)
    return tokens[1:] @ decoder["outputs/kernel"] + decoder["outputs/bias"]


def histogram_of_gradients(image, cell, bins):
    """HOG of an image, `(cells, channels * bins)`."""
    height, width, channels = image.shape
    found = []
    for top in range(0, height, cell):
        for left in range(0, width, cell):
            row = []
            for c in range(channels):
                histogram = np.zeros(bins)
                for y in range(top, top + cell):
                    for x in range(left, left + cell):
                        across, down = slopes(image[..., c].astype("float64"), y, x)
                        part = int(math.floor(math.atan2(across, down) / math.pi * bins)) % bins
                        histogram[part] += math.hypot(across, down) / cell**2
                row.extend(histogram / (np.linalg.norm(histogram) or 1))
            found.append(row)
    return np.array(found)


def slopes(image, y, x):
    def at(i, j):  # reflected at the border, which itself does not repeat
        i, j = abs(i), abs(j)
        i = 2 * (image.shape[0] - 1) - i if i >= image.shape[0] else i
        j = 2 * (image.shape[1] - 1) - j if j >= image.shape[1] else j
        return image[i, j]

    across = sum(weight * (at(y + i, x - 1) - at(y + i, x + 1)) for i, weight in ((-1, 1), (0, 2), (1, 1)))
    down = sum(weight * (at(y - 1, x + j) - at(y + 1, x + j)) for j, weight in ((-1, 1), (0, 2), (1, 1)))
    return across, down


def parts_hidden(mask, scale):
    """How much of each cell is hidden, cells `scale` times as fine as patches."""
    rows, columns = mask.shape
    if scale >= 1:
        return np.array([[mask[i // scale, j // scale] for j in range(columns * scale)] for i in range(rows * scale)])
    side = round(1 / scale)
    starts = [(i, j) for i in range(0, rows, side) for j in range(0, columns, side)]
    return np.reshape([mask[i:i + side, j:j + side].mean() for i, j in starts], (rows // side, columns // side))
