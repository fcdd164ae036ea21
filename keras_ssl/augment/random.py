"""Random numbers as a pure function of one seed per sample.

A generator with a state gives a sample other numbers when the batch is cut in another way, when the calls run in
parallel or when a run resumes. A hash of (seed of the sample, number of the draw) does not. The hash works on int32
with wrap-around products: every backend has them, in eager mode, in graphs and under XLA, with equal bits.
"""

import math

from keras import ops

GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: its multiples spread evenly over 32 bits


def fold(seeds, stream):
    """Seeds of another stream, independent of the given ones and of those of all other streams.

    Args:
        seeds: int32 tensor `(batch, 2)`.
        stream: int, the number of the stream: a view, a layer, a step.

    Returns:
        int32 tensor `(batch, 2)`. Different seeds stay different: for a given stream the map is one-to-one.

    Example:
        >>> import numpy as np
        >>> fold(np.array([[0, 1], [0, 2]], "int32"), 3).shape
        TensorShape([2, 2])
    """
    return split(seeds, [stream])[0]


def split(seeds, streams):
    """`[fold(seeds, stream) for stream in streams]`, in one go."""
    seeds = ops.convert_to_tensor(seeds)  # PyTorch adds no tensor to an array
    left, right = seeds[:, :1], seeds[:, 1:]
    # A Feistel network: each half is changed by a hash of the other, so that it could be undone.
    left = ops.bitwise_xor(left, scramble(right + keys(streams, 0)))
    right = ops.bitwise_xor(right, scramble(left + keys(streams, 1)))
    return ops.unstack(ops.stack([left, right], axis=2), len(streams), axis=1)


def uniform(seeds, count):
    """Uniform random numbers.

    Args:
        seeds: int32 tensor `(batch, 2)`.
        count: int or int32 scalar, how many numbers a sample gets.

    Returns:
        float32 tensor `(batch, count)` in [0, 1), multiples of 2^-24.
    """
    seeds = ops.convert_to_tensor(seeds)
    few = isinstance(count, int) and count <= 64
    own = keys(range(count), 2) if few else (ops.arange(count, dtype="int32") * 3 + 3) * signed(GOLDEN)
    bits = scramble(scramble(seeds[:, :1] + own) + seeds[:, 1:])
    return ops.cast(shift(bits, 8), "float32") * 2.0**-24


def normal(seeds, count):
    """Standard normal random numbers, by the transform of Box and Muller.

    Args:
        seeds: int32 tensor `(batch, 2)`.
        count: int or int32 scalar, how many numbers a sample gets.

    Returns:
        float32 tensor `(batch, count)`, at most 5.8 in absolute value.
    """
    draws = ops.reshape(uniform(seeds, 2 * count), (-1, count, 2))
    return ops.sqrt(-2 * ops.log(1 - draws[..., 0])) * ops.cos(2 * math.pi * draws[..., 1])


def choose(draw, last):
    """A whole number from 0 to `last`, all equally likely, as a float, by a draw from [0, 1)."""
    return ops.minimum(ops.floor(draw * (last + 1)), last)  # the product may round up to last + 1


def keys(numbers, part):
    """An int32 for each number and part 0, 1 or 2: no two hashes of one seed may be the same, or they cancel out."""
    return ops.convert_to_tensor([signed(GOLDEN * (3 * number + part + 1)) for number in numbers], dtype="int32")


def scramble(x):
    """A one-to-one hash of int32 in which every bit of the input flips every bit of the output half of the time."""
    # Shifts and factors of the finalizer of MurmurHash3 (Austin Appleby, public domain).
    x = ops.bitwise_xor(x, shift(x, 16)) * signed(0x85EBCA6B)
    x = ops.bitwise_xor(x, shift(x, 13)) * signed(0xC2B2AE35)
    return ops.bitwise_xor(x, shift(x, 16))


def shift(x, bits):
    # The shift of int32 repeats the sign: the mask makes the new bits zero, as for unsigned integers.
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)


def signed(x):
    """The int32 with the lowest 32 bits of the int `x`."""
    return (x + 2**31) % 2**32 - 2**31
