"""Prediction of features in float64 loops: one image, one block and one token at a time."""

import numpy as np

from tests.reference import vit


def smooth_l1(prediction, target, beta=1.0):
    total = 0.0
    for p, t in zip(prediction.ravel(), target.ravel()):
        d = abs(p - t)
        total += d * d / (2 * beta) if d < beta else d - beta / 2
    return total / prediction.size


def layer_norm(x):
    """Each vector of the last axis without its mean and of unit variance."""
    return np.array([(row - row.mean()) / np.sqrt(row.var() + 1e-5) for row in x])


def tokens(image, weights, patch):
    """The tokens that enter the blocks of a ViT without a class token."""
    rows, columns = image.shape[0] // patch, image.shape[1] // patch
    width = weights["patches/bias"].size
    nothing = {"class_token/kernel": np.zeros((1, width))}
    return vit.tokens(image, nothing | weights, patch, vit.sines(rows, columns, width))[1:]


def ijepa(images, contexts, blocks, encoder, target, predictor, *, patch, depth, heads, grid, sizes):
    """I-JEPA's loss of normalized images, contexts (batch, kept) and blocks (batch, targets, masked).

    The weights of the encoder, of the target encoder and of the predictor by layer and name; `sizes` are depth and
    heads of the predictor.
    """
    places = vit.sines(*grid, predictor["embed/bias"].size)
    found, wanted = [], []
    for image, context, targets in zip(images, contexts, blocks):
        whole, _ = vit.blocks(tokens(image, target, patch), target, depth, heads)
        seen, _ = vit.blocks(tokens(image, encoder, patch)[context], encoder, depth, heads)
        narrow = seen @ predictor["embed/kernel"] + predictor["embed/bias"] + places[context]
        for block in targets:
            asked = [predictor["predictor/mask_token"][0] + places[place] for place in block]
            out, _ = vit.blocks(np.array([*narrow, *asked]), predictor, *sizes)
            found.append(out[len(context):] @ predictor["project/kernel"] + predictor["project/bias"])
            wanted.append(layer_norm(whole)[block])
    return smooth_l1(np.array(found), np.array(wanted))


def data2vec(images, masks, student, teacher, mask_token, head, *, patch, depth, heads, layers, beta):
    """data2vec's loss of normalized images and masks (batch, rows, columns); weights by layer and name."""
    places = vit.sines(*masks.shape[1:], mask_token.size)
    found, wanted = [], []
    for image, mask in zip(images, masks.reshape(len(masks), -1)):
        shown = vit.tokens(image, student, patch, 0 * places)
        for i, hidden in enumerate(mask):
            shown[1 + i] = (mask_token if hidden else shown[1 + i]) + places[i]
        out, _ = vit.blocks(shown, student, depth, heads)
        whole = vit.tokens(image, teacher, patch, places)
        # Normalized without weights after so many blocks, which is the same as a last normalization of 1 and 0.
        plain = {**teacher, "norm/gamma": 1.0, "norm/beta": 0.0}
        last = [vit.blocks(whole, plain, block, heads)[0] for block in range(depth - layers + 1, depth + 1)]
        target = layer_norm(np.mean(last, axis=0))
        found.append(out[1:][mask] @ head[0] + head[1])
        wanted.append(target[1:][mask])
    return smooth_l1(np.array(found), np.array(wanted), beta)


# CPC


def info_nce_ahead(predictions, targets, offset):
    """Every place of every image is a candidate, one by one."""
    images, rows, columns, _ = targets.shape
    places = [(n, r, c) for n in range(images) for r in range(rows) for c in range(columns)]
    losses = []
    for n, r, c in places:
        if r + offset < rows:
            scores = {place: float(predictions[n, r, c] @ targets[place]) for place in places}
            largest = max(scores.values())
            total = sum(np.exp(score - largest) for score in scores.values())
            losses.append(np.log(total) + largest - scores[n, r + offset, c])
    return np.mean(losses)


def masked_block(x, weights):
    """What a place adds: of the row above and of its own row, each mixed over three columns."""
    (k1, b1), (k2, b2), (k3, b3), (k4, b4) = weights
    rows, columns = x.shape[:2]
    y = np.maximum(x @ k1[0, 0] + b1, 0)
    mixed = np.zeros((rows, columns, k2.shape[-1]))
    for r in range(rows):
        for c in range(columns):
            mixed[r, c] = b2
            for step in (-1, 0, 1):
                if 0 <= c + step < columns:
                    mixed[r, c] += y[r, c + step] @ k2[0, step + 1]
    below = np.zeros((rows, columns, k3.shape[-1]))
    for r in range(rows):
        above = mixed[r - 1] @ k3[0, 0] if r else 0
        below[r] = np.maximum(above + mixed[r] @ k3[1, 0] + b3, 0)
    return below @ k4[0, 0] + b4


def cpc(latents, layers, depth, offsets):
    """The loss of one direction: latents `(batch, rows, columns, dim)`, weights of the convolutions in their order."""
    blocks, (target, *heads) = layers[: 4 * depth], layers[4 * depth :]
    contexts = []
    for grid in latents:
        for number in range(depth):
            grid = grid + masked_block(grid, blocks[4 * number : 4 * number + 4])
        contexts.append(np.maximum(grid, 0))
    contexts, targets = np.array(contexts), latents @ target[0][0, 0]
    losses = []
    for offset, (kernel, bias) in zip(offsets, heads, strict=True):
        losses.append(info_nce_ahead(0.1 * (contexts @ kernel[0, 0] + bias), targets, offset))
    return sum(losses)
