"""Masked image modeling in NumPy loops, float64."""

import numpy as np

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def simmim(images, prediction, masks, patch):
    """SimMIM's loss of predictions (batch, height, width, 3) of standardized pixels; masks (batch, rows, columns)."""
    total, count = 0.0, 0
    for image, guess, mask in zip(images, prediction, masks):
        for row in range(image.shape[0]):
            for column in range(image.shape[1]):
                if mask[row // patch, column // patch]:
                    truth = (image[row, column] / 255.0 - MEAN) / STD
                    total += np.abs(truth - guess[row, column]).sum()
                    count += 1
    return total / count / 3


def window_attention(x, weights, heads, window, shift):
    """Shifted-window attention of a map (rows, columns, channels), pair by pair of patches.

    weights: kernels and biases of query, key, value and projection, and the table (offsets, heads).
    """
    rows, columns, channels = x.shape
    size = channels // heads
    flat = x.reshape(-1, channels)
    q, k, v = (flat @ weights[f"{part}/kernel"] + weights[f"{part}/bias"] for part in ("query", "key", "value"))
    places = [(row, column) for row in range(rows) for column in range(columns)]

    def window_of(place):
        """Which window, and which end of the map: a shifted window at the border holds two ends."""
        return tuple(
            ((x - shift) // window, x >= shift) if shift else (x // window, True) for x in place
        )

    out = np.zeros_like(flat)
    for i, a in enumerate(places):
        others = [j for j, b in enumerate(places) if window_of(a) == window_of(b)]
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            logits = []
            for j in others:
                down, across = a[0] - places[j][0], a[1] - places[j][1]
                offset = (down + window - 1) * (2 * window - 1) + across + window - 1
                logits.append(q[i, part] @ k[j, part] / np.sqrt(size) + weights["table/kernel"][offset, head])
            chances = np.exp(np.array(logits) - max(logits))
            out[i, part] = (chances / chances.sum()) @ v[others, part]
    return (out @ weights["projection/kernel"] + weights["projection/bias"]).reshape(x.shape)


def kl_from_uniform(logits):
    """The mean over positions (positions, K), and its gradient."""
    values, gradients = [], []
    for row in logits:
        q = np.exp(row - row.max())
        q /= q.sum()
        relative = np.log(q * len(q))
        values.append((q * relative).sum())
        gradients.append(q * (relative - values[-1]))
    return np.mean(values), np.array(gradients) / len(values)


def token_cross_entropy(logits, tokens, mask):
    """BEiT's loss of logits (batch, positions, K), and its gradient."""
    total, gradient, count = 0.0, np.zeros_like(logits), mask.sum()
    for b in range(logits.shape[0]):
        for i in range(logits.shape[1]):
            if mask[b, i]:
                q = np.exp(logits[b, i] - logits[b, i].max())
                q /= q.sum()
                total -= np.log(q[tokens[b, i]])
                gradient[b, i] = q
                gradient[b, i, tokens[b, i]] -= 1.0
    return total / count, gradient / count


def perplexity(tokens):
    counts = np.unique(tokens, return_counts=True)[1]
    p = counts / counts.sum()
    return np.exp(-(p * np.log(p)).sum())


def vq_step(embeddings, codes, decay):
    """Tokens of unit embeddings (rows, dim), the mean squared distance to their codes, and the codes after the step."""
    tokens = [int(np.argmax([z @ code for code in codes])) for z in embeddings]
    distance = np.mean([(z - codes[token]) ** 2 for z, token in zip(embeddings, tokens)])
    moved = []
    for k, code in enumerate(codes):
        own = [z for z, token in zip(embeddings, tokens) if token == k]
        if own:
            mean = np.sum(own, axis=0)
            code = decay * code + (1 - decay) * mean / np.linalg.norm(mean)
        moved.append(code / np.linalg.norm(code))
    return np.array(tokens), distance, np.array(moved)
