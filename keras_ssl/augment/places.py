"""Places: patches, tokens, steps or nodes that are hidden, chosen or taken, as masks and as lists of indices."""

import itertools
import math

import numpy as np
from keras import ops

from keras_ssl.augment.random import choose, uniform


def partition(mask, count):
    """Where the visible and the hidden patches are.

    Args:
        mask: bool tensor `(batch, rows, columns)` or `(batch, patches)` with the same number of hidden patches in
            every row of the batch.
        count: int, this number: `masked` of the layer that made the mask.

    Returns:
        three int32 tensors: the indices of the visible patches `(batch, patches - count)` and of the hidden ones
        `(batch, count)`, each in ascending order, and for every patch its place in the two lists one after the other
        `(batch, patches)`, so that `select(concatenate([visible, hidden]), restore)` is in the order of the image.

    Example:
        >>> import numpy as np
        >>> visible, hidden, restore = partition(np.array([[True, False, False, True]]), 2)
        >>> visible[0].numpy().tolist(), hidden[0].numpy().tolist(), restore[0].numpy().tolist()
        ([1, 2], [0, 3], [2, 0, 1, 3])
    """
    mask = flat(mask)
    patches = mask.shape[1]
    order = ops.argsort(ops.where(mask, patches, 0) + ops.arange(patches, dtype="int32"), axis=1)
    return order[:, : patches - count], order[:, patches - count :], ops.cast(ops.argsort(order, axis=1), "int32")


def masked_indices(mask, count):
    """The indices of the hidden patches where their number differs between images, in lists of one length.

    Args:
        mask: bool tensor `(batch, rows, columns)` or `(batch, patches)`.
        count: int, the length of the lists: `masked` of the layer that made the mask.

    Returns:
        two tensors `(batch, count)`: the indices as int32, in ascending order, filled up by those of visible patches;
        and as bool, which of them are hidden patches.

    Example:
        >>> import numpy as np
        >>> indices, valid = masked_indices(np.array([[False, False, True, False], [True, False, True, True]]), 3)
        >>> indices.numpy().tolist(), valid.numpy().tolist()
        ([[2, 0, 1], [0, 2, 3]], [[True, False, False], [True, True, True]])
    """
    mask = flat(mask)
    patches = mask.shape[1]
    order = ops.argsort(ops.where(mask, 0, patches) + ops.arange(patches, dtype="int32"), axis=1)
    hidden = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
    return order[:, :count], ops.arange(count, dtype="int32") < hidden


def select(tokens, indices):
    """Tokens at indices, per image.

    Args:
        tokens: tensor `(batch, patches, ...)`.
        indices: int32 tensor `(batch, count)`.

    Returns:
        tensor `(batch, count, ...)`; the gradient flows back to the tokens that were taken.

    Example:
        >>> import numpy as np
        >>> select(np.array([[[1.0], [2.0], [3.0]]]), np.array([[2, 0]])).numpy().tolist()
        [[[3.0], [1.0]]]
    """
    tokens = ops.convert_to_tensor(tokens)
    batch, patches = ops.shape(tokens)[:2]
    rows = ops.arange(batch, dtype="int32")[:, None] * patches + ops.cast(indices, "int32")
    return ops.take(ops.reshape(tokens, (-1, *tokens.shape[2:])), rows, axis=0)


def lowest(scores, count):
    """The `count` lowest scores of every row, as bool: exactly so many, an int or a tensor `(batch, 1)`."""
    return ops.cast(ops.argsort(ops.argsort(scores, axis=1), axis=1), "int32") < count


def some(draws, among, ratio, spare=0):
    """A share of the places at random: of n places `ratio * n`, rounded up or down by chance to be exact on average.

    Args:
        draws: float32 tensor `(batch, places + 1)` in [0, 1), uniform random numbers.
        among: bool tensor `(batch, places)`, the places that may be chosen.
        ratio: float from 0 to 1, or a float32 tensor `(batch, 1)`.
        spare: int, how many of the places at least are not chosen.

    Returns:
        bool tensor `(batch, places)`.
    """
    number = ops.sum(ops.cast(among, "float32"), axis=1, keepdims=True)
    count = ops.minimum(ops.floor(ratio * number + draws[:, -1:]), ops.maximum(number - spare, 0))
    return lowest(ops.where(among, draws[:, :-1], 2.0), ops.cast(count, "int32")) & among


def order(seeds, count, identity=True):
    """A random order of `count` things for each sample, all orders equally likely.

    Args:
        seeds: int32 tensor `(batch, 2)`.
        count: int.
        identity: whether the order may be the one that they have. Of more than six things that happens less than once
            in five thousand draws; where it must not, they are reversed then.

    Returns:
        int32 tensor `(batch, count)`, the numbers from 0 in their new order.

    Example:
        >>> import numpy as np
        >>> order(np.array([[1, 2]], "int32"), 2, identity=False).numpy().tolist()
        [[1, 0]]
    """
    if not identity and count <= 6:
        table = np.array(list(itertools.permutations(range(count)))[1:], "int32")
        place = choose(uniform(seeds, 1)[:, 0], len(table) - 1)
        return ops.take(table, ops.cast(place, "int32"), axis=0)
    found = ops.cast(ops.argsort(uniform(seeds, count), axis=1), "int32")
    if identity:
        return found
    numbers = ops.arange(count, dtype="int32")
    return ops.where(ops.all(found == numbers, axis=1, keepdims=True), count - 1 - numbers, found)


def flat(mask):
    """A mask as `(batch, patches)`."""
    mask = ops.convert_to_tensor(mask)
    return ops.reshape(mask, (-1, math.prod(mask.shape[1:])))
