"""Groups: the subjects, speakers or devices that samples come from, which must not be in two parts of the data."""

import numpy as np

from keras_ssl.checks import is_number
from keras_ssl.data.order import whole


def split_groups(groups, held_out, seed=0):
    """Split samples so that no group, such as a person, is in both parts.

    What one person did is alike: a score on recordings of people that were trained on says little about others.

    Args:
        groups: n ints or strings, the group of each sample (a recording or a file, not yet cut into windows).
        held_out: list of the groups of the second part, or a share of the groups, above 0 and below 1, that are drawn
            at random: one group at least, and not all.
        seed: int of at least 0, for a share; the same seed, the same groups.

    Returns:
        two NumPy int64 arrays in ascending order: the samples of the first part, and those of the groups held out.

    Raises:
        ValueError: a group is unknown, or a part would be empty.

    Example:
        ```python
        train, test = keras_ssl.data.split_groups(["ann", "ben", "ann", "cat"], ["ben"])  # [0, 2, 3], [1]
        ```
    """
    groups = checked_groups(groups)
    names = np.unique(groups)
    if is_number(held_out):
        if not 0 < held_out < 1 or len(names) < 2:
            raise ValueError(
                "held_out must be a list of groups, or a share above 0 and below 1 of two groups at least. Received: "
                f"held_out={held_out}, {len(names)} groups"
            )
        count = min(max(1, round(held_out * len(names))), len(names) - 1)
        chosen = np.random.default_rng(whole("seed", seed, 0)).permutation(names)[:count]
    else:
        chosen = np.asarray(held_out)
        unknown = [name for name in np.atleast_1d(chosen).tolist() if name not in names.tolist()]
        if chosen.ndim != 1 or unknown:
            raise ValueError(
                f"held_out must be a list of groups that there are. Unknown: {unknown}. Groups: "
                f"{names[:20].tolist()}. Received: held_out={held_out!r}"
            )
    held = np.isin(groups, chosen)
    if held.all() or not held.any():
        raise ValueError(f"Both parts need a group. Received: held_out={held_out!r} of {names[:20].tolist()}")
    return np.flatnonzero(~held).astype("int64"), np.flatnonzero(held).astype("int64")


def group_numbers(groups, count, of):
    """The number of the group of each sample in sorted order, int32 `(count,)`, and their names; None, None without."""
    if groups is None:
        return None, None
    groups = checked_groups(groups)
    if len(groups) != count:
        raise ValueError(f"groups must be as many as {of}. Received: {len(groups)} groups for {count} {of}.")
    names, numbers = np.unique(groups, return_inverse=True)
    return numbers.reshape(-1).astype("int32"), names.tolist()


def checked_groups(groups):
    groups = np.asarray(groups)
    if groups.ndim != 1 or not len(groups) or groups.dtype.kind not in "iuU":
        raise ValueError(
            "groups must be a flat list of ints or strings, one for each sample. Received: "
            f"shape={groups.shape}, dtype={groups.dtype}"
        )
    return groups
