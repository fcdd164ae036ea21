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
