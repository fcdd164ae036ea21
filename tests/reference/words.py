"""Losses of word2vec as its papers write them, one pair of words at a time."""

import numpy as np


def log_sigmoid(x):
    return -np.log1p(np.exp(-x))


def pair_loss(vector, output, word, drawn):
    others = sum(log_sigmoid(-np.dot(vector, output[other])) for other in drawn if other != word)
    return -log_sigmoid(np.dot(vector, output[word])) - others


def skip_gram(vectors, output, tokens, lengths, reach, drawn, window):
    """`drawn[b][t][o]` are the words drawn for the o-th place of the window, from left to right, without its center."""
    offsets = [*range(-window, 0), *range(1, window + 1)]
    losses = []
    for b, length in enumerate(lengths):
        for t in range(length):
            for o, offset in enumerate(offsets):
                if abs(offset) <= reach[b][t] and 0 <= t + offset < length:
                    losses.append(pair_loss(vectors[b][t], output, tokens[b][t + offset], drawn[b][t][o]))
    return np.mean(losses)


def cbow(vectors, output, tokens, lengths, reach, drawn):
    losses = []
    for b, length in enumerate(lengths):
        for t in range(length):
            around = [p for p in range(length) if p != t and abs(p - t) <= reach[b][t]]
            if around:
                mean = np.mean([vectors[b][p] for p in around], axis=0)
                losses.append(pair_loss(mean, output, tokens[b][t], drawn[b][t]))
    return np.mean(losses)


def fnv(text):
    """FNV-1a as fastText has it, in the arithmetic of C."""
    found = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in text.encode():
            found = np.uint32(found ^ np.uint32(np.int64(np.int8(np.uint8(byte))) & 0xFFFFFFFF))
            found = np.uint32(found * np.uint32(16777619))
    return int(found)
