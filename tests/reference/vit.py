"""The vision transformer in float64, one image, one head and one token at a time."""

import math

import numpy as np


def sines(rows, columns, width, grid=None):
    """Positions `(rows * columns, width)`: sines and cosines of the column, then of the row."""
    grid = grid or (rows, columns)
    table = []
    for i in range(rows):
        for j in range(columns):
            y, x = (i + 0.5) * grid[0] / rows - 0.5, (j + 0.5) * grid[1] / columns - 0.5
            frequencies = [1 / 10000 ** (4 * k / width) for k in range(width // 4)]
            table.append([f(at * k) for at in (x, y) for f in (math.sin, math.cos) for k in frequencies])
    return np.array(table)


def norm(x, gamma, beta):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * gamma + beta


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def attention(tokens, weights, block, heads):
    """What the tokens of an image attend to, `(heads, tokens, tokens)`, and what comes out, `(tokens, width)`."""
    def dense(name, x):
        return x @ weights[f"{block}_{name}/kernel"] + weights[f"{block}_{name}/bias"]

    queries, keys, values = (dense(name, tokens) for name in ("query", "key", "value"))
    size = tokens.shape[-1] // heads
    maps, outputs = [], []
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        rows = []
        for query in queries[:, own]:
            row = np.exp([np.dot(query, key) / math.sqrt(size) for key in keys[:, own]])
            rows.append(row / row.sum())
        maps.append(rows)
        outputs.append(np.array(rows) @ values[:, own])
    return np.array(maps), dense("projection", np.concatenate(outputs, axis=-1))


def blocks(tokens, weights, depth, heads):
    """The normalized tokens of an image after all blocks, and the attention of each block."""
    maps = []
    for i in range(depth):
        b = f"block{i + 1}"
        x = norm(tokens, weights[f"{b}_norm1/gamma"], weights[f"{b}_norm1/beta"])
        found, x = attention(x, weights, b, heads)
        maps.append(found)
        tokens = tokens + x * weights.get(f"{b}_scale1/kernel", 1)
        x = norm(tokens, weights[f"{b}_norm2/gamma"], weights[f"{b}_norm2/beta"])
        x = x @ weights[f"{b}_hidden/kernel"] + weights[f"{b}_hidden/bias"]
        units = len(weights[f"{b}_output/kernel"])
        x = gelu(x) if x.shape[1] == units else x[:, :units] / (1 + np.exp(-x[:, :units])) * x[:, units:]
        x = x @ weights[f"{b}_output/kernel"] + weights[f"{b}_output/bias"]
        tokens = tokens + x * weights.get(f"{b}_scale2/kernel", 1)
    return norm(tokens, weights["norm/gamma"], weights["norm/beta"]), np.array(maps)


def tokens(image, weights, patch, positions):
    """The class token and the patches of a normalized image, the latter with their positions."""
    found = [weights["class_token/kernel"][0]]
    rows, columns = image.shape[0] // patch, image.shape[1] // patch
    for i in range(rows):
        for j in range(columns):
            piece = image[i * patch:(i + 1) * patch, j * patch:(j + 1) * patch]
            x = np.einsum("hwc,hwcd->d", piece, weights["patches/kernel"]) + weights["patches/bias"]
            found.append(x + positions[i * columns + j])
    return np.array(found)
