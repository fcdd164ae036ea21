"""Triplets: what belongs together is nearer than what does not."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.vectors import precise


def semi_hard_triplets(views, numbers, margin=0.5):
    """The triplet loss of FaceNet (Schroff et al., 2015), arXiv 1503.03832, with the hardest of the easy negatives.

    For each pair of views of a sample the negative is the nearest view of another sample that is further away than the
    other view of the pair; where there is none, the furthest of all. Distances are squared.

    Args:
        views: `(batch, views, dim)`, two or more views of each sample; gathered from all replicas, with gradients.
        numbers: ints `(batch,)`; rows of one number are no negatives of each other.
        margin: float.

    Returns:
        two float32 scalars (the loss float64 for float64): the mean over the pairs of a view and another view of the
        same row; and how often the nearest of all other views has the same number.

    Example:

    >>> import numpy as np
    >>> loss, nearest = semi_hard_triplets(np.array([[[0.0], [1.0]], [[3.0], [3.0]]]), np.array([0, 1]), margin=4.0)
    >>> round(float(loss), 2), float(nearest)
    (0.25, 1.0)
    """
    views = precise(views)
    rows, count, dim = ops.shape(views)[0], views.shape[1], views.shape[2]
    numbers = ops.cast(numbers, "int32")
    everyone = ops.reshape(distribute.gather(views), (-1, dim))  # (total * views, dim)
    owners = ops.repeat(distribute.gather(numbers, gradient=False), count)
    anchors = ops.reshape(views, (-1, dim))
    own = ops.repeat(numbers, count)

    near = ops.reshape(squared_distances(views, views), (-1, count))  # (batch * views, views)
    # The negatives are looked for without a gradient, for one view of the pairs after the other: a search waits for the
    # one before it (`wait` is 0), so that `views` matrices are never there at once. What stays for the gradient is
    # (batch * views, views, dim), the vectors of the negatives.
    far = squared_distances(ops.stop_gradient(anchors), ops.stop_gradient(everyone))  # (batch * views, total * views)
    beside, large = ops.stop_gradient(near), ops.cast(3e38, far.dtype)
    others = own[:, None] != owners[None, :]
    furthest = ops.argmax(ops.where(others, far, -large), axis=1)
    places, wait = [], 0.0
    for view in range(count):
        harder = ops.where(others & (far > beside[:, view : view + 1] + wait), far, large)
        place = ops.argmin(harder, axis=1)
        nearest = ops.take_along_axis(harder, place[:, None], axis=1)
        places.append(ops.where(nearest[:, 0] < large, place, furthest))
        wait = 0.0 * nearest
    negatives = ops.take(everyone, ops.stack(places, axis=1), axis=0)  # (batch * views, views, dim)
    negative = ops.sum(ops.square(anchors[:, None] - negatives), axis=-1)
    losses = ops.where(ops.any(others, axis=1, keepdims=True), ops.relu(margin + near - negative), 0.0)
    losses = ops.where(ops.isnan(near), near, losses)  # a run that diverged must be seen
    pairs = 1.0 - ops.eye(count, dtype=far.dtype)
    loss = ops.sum(ops.reshape(losses, (-1, count, count)) * pairs) / ops.cast(rows * count * (count - 1), far.dtype)

    place = distribute.first_row(rows) * count + ops.arange(rows * count, dtype="int32")
    itself = place[:, None] == ops.arange(ops.shape(everyone)[0], dtype="int32")[None, :]
    nearest = ops.argmin(ops.where(itself, large, far), axis=1)
    return loss, ops.mean(ops.cast(ops.take(owners, nearest) == own, "float32"))


def squared_distances(first, second):
    """Of all rows of the one to all rows of the other, `(..., rows, rows)`."""
    products = ops.matmul(first, ops.swapaxes(second, -1, -2))
    squares = ops.sum(ops.square(first), axis=-1)[..., :, None] + ops.sum(ops.square(second), axis=-1)[..., None, :]
    return ops.relu(squares - 2.0 * products)


def batch_hard_triplets(views):
    """The triplet loss with the hardest pairs of the batch and a soft margin (Hermans et al., 2017), arXiv 1703.07737.

    For each view, `log(1 + exp(d_p - d_n))`: its distance to the furthest view of the same sample, and to the nearest
    view of another one.

    Args:
        views: `(batch, views, dim)`, two or more views of each sample; gathered from all replicas, with gradients.

    Returns:
        two float32 scalars (the loss float64 for float64): the mean over all views; and how often the nearest of all
        other views is one of the same sample.

    Example:

    >>> loss, nearest = batch_hard_triplets(np.array([[[0.0], [1.0]], [[3.0], [3.0]]]))
    >>> round(float(loss), 2), float(nearest)
    (0.17, 1.0)
    """
    views = precise(views)
    rows, count, dim = ops.shape(views)[0], views.shape[1], views.shape[2]
    everyone = ops.reshape(distribute.gather(views), (-1, dim))  # (total * views, dim)
    anchors = ops.reshape(views, (-1, dim))
    place = distribute.first_row(rows) * count + ops.arange(rows * count, dtype="int32")
    other = ops.arange(ops.shape(everyone)[0], dtype="int32")
    alike, itself = (place // count)[:, None] == (other // count)[None, :], place[:, None] == other[None, :]
    # Products find the pairs; their distances are those of differences, as the root of a small one would be noise.
    found = squared_distances(ops.stop_gradient(anchors), ops.stop_gradient(everyone))
    large = ops.cast(3e38, found.dtype)
    furthest = ops.argmax(ops.where(alike & ~itself, found, -large), axis=1)
    closest = ops.argmin(ops.where(alike, large, found), axis=1)
    positive = lengths(anchors - ops.take(everyone, furthest, axis=0))
    negative = lengths(anchors - ops.take(everyone, closest, axis=0))
    negative = ops.where(ops.all(alike, axis=1), large, negative)
    loss = ops.mean(ops.softplus(positive - negative))
    nearest = ops.argmin(ops.where(itself, large, found), axis=1)
    return loss, ops.mean(ops.cast(ops.cast(nearest, "int32") // count == place // count, "float32"))


def lengths(vectors):
    """The length of each row; the slope of a row of zeros is 0."""
    squares = ops.sum(ops.square(vectors), axis=-1)
    zero = squares == 0
    return ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, squares)))


def semi_hard_in_time(frames, near=6, far=12, margin=0.2):
    """The triplet loss of TCN for one camera: what is near in time is nearer than what is far away.

    For each pair of frames of a video at most `near` apart the negative is the nearest frame that is further away than
    the other of the pair, among those of the video that are more than `far` apart in time, and those of other videos;
    where there is none, the furthest of them. Distances are squared. Frames between `near` and `far` are neither.

    Args:
        frames: `(batch, frames, dim)`, in their order; gathered from all replicas, with gradients.
        near, far: ints, numbers of frames.
        margin: float.

    Returns:
        two float32 scalars: the mean over all pairs, and the share of pairs that are nearer than all negatives.

    Reference: Time-Contrastive Networks: Self-Supervised Learning from Video (Sermanet et al., 2017),
    https://arxiv.org/abs/1704.06888
    """
    frames = precise(frames)
    videos, count, dim = ops.shape(frames)[0], frames.shape[1], frames.shape[2]
    everyone = ops.reshape(distribute.gather(frames), (-1, dim))  # (total * frames, dim)
    anchors = ops.reshape(frames, (-1, dim))
    distances = squared_distances(anchors, everyone)  # (batch * frames, total * frames)
    times = ops.arange(count, dtype="int32")
    apart = ops.abs(times[:, None] - times[None, :])
    own = ops.repeat(distribute.first_row(videos) + ops.arange(videos, dtype="int32"), count)
    total = ops.shape(everyone)[0] // count
    owners, time = ops.repeat(ops.arange(total, dtype="int32"), count), ops.tile(times, (total,))
    distant = ops.abs(ops.tile(times, (videos,))[:, None] - time[None, :]) > far
    negatives = (own[:, None] != owners[None, :]) | distant

    pairs = ops.reshape(squared_distances(frames, frames), (-1, count))  # (batch * frames, frames)
    large = ops.cast(3e38, distances.dtype)
    further = negatives[:, None] & (distances[:, None] > pairs[:, :, None])
    harder = ops.min(ops.where(further, distances[:, None], large), axis=2)
    furthest = ops.max(ops.where(negatives, distances, -large), axis=1)[:, None]
    nearest = ops.min(ops.where(negatives, distances, large), axis=1)[:, None]
    negative = ops.where(harder < large, harder, furthest)
    losses = ops.where(negative > -large, ops.relu(margin + pairs - negative), 0.0)
    losses = ops.where(ops.isnan(pairs), pairs, losses)  # a run that diverged must be seen
    positive = ops.cast((apart > 0) & (apart <= near), losses.dtype)
    shares = ops.reshape(ops.cast(pairs < nearest, losses.dtype), (-1, count, count))
    every = ops.cast(videos, losses.dtype) * ops.maximum(ops.sum(positive), 1)
    return tuple(ops.sum(ops.reshape(x, (-1, count, count)) * positive) / every for x in (losses, shares))
