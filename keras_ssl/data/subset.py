"""Subset: a few labeled samples, the same number of each class."""

import numpy as np

from keras_ssl.data.order import whole


def class_balanced(labels, count, seed=0):
    """Draw a subset with equally many samples of each class, as low-label evaluations (1 %, 10 %) need.

    Args:
        labels: ints `(n,)`.
        count: size of the subset. Where the number of classes does not divide it, some classes, drawn at random, get
            one sample more.
        seed: int of at least 0; the same seed, the same subset.

    Returns:
        NumPy int64 `(count,)`: indices in ascending order.

    Raises:
        ValueError: if `count` is no number of samples that can be had, or a class has too few.

    Example:
        ```python
        chosen = keras_ssl.data.class_balanced([0, 0, 0, 1, 1, 1], 4)
        ```
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be a flat array of ints. Received: shape={labels.shape}, dtype={labels.dtype}"
        )
    if whole("count", count, 1) > len(labels):
        raise ValueError(f"count must be at most the number of labels, {len(labels)}. Received: count={count}")
    generator = np.random.default_rng(whole("seed", seed, 0))
    names = np.unique(labels)
    quota = dict.fromkeys(names.tolist(), count // len(names))
    for name in generator.permutation(names)[: count % len(names)].tolist():
        quota[name] += 1
    chosen = []
    for name, number in quota.items():
        members = np.flatnonzero(labels == name)
        if len(members) < number:
            raise ValueError(
                f"count={count} over {len(names)} classes needs {number} samples of class {name}, which has "
                f"{len(members)}. Pass a smaller count."
            )
        chosen.append(generator.choice(members, number, replace=False))
    return np.sort(np.concatenate(chosen)).astype("int64")
