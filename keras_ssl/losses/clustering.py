"""Clustering losses: samples are assigned to prototypes, and the assignment of one view is predicted from others."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import MASKED
from keras_ssl.losses.vectors import precise


def sinkhorn(scores, epsilon=0.05, iterations=3, queue=None, use_queue=None, counted=None):
    """Assigns the samples to prototypes by their scores, as many of the global batch to each (Sinkhorn-Knopp).

    It starts with `Q = exp(s / e)` and repeats: divide each prototype's column by its sum over all samples, then
    each sample's row by its sum. In the end each row sums to 1, and each column to about B / K. All is computed in
    the logarithm, in float32, over the samples of all replicas.

    Args:
        scores: `(batch, prototypes)` (s), of the local samples. No gradient.
        epsilon: float > 0, the lower the closer to one prototype a sample (e, 0.05).
        iterations: int (3); with 0 it is a softmax, which allows that all samples go to one prototype.
        queue: `(size, prototypes)`, scores of earlier samples, equal on all replicas, which have a part in the sums
            but get no assignment; or None.
        use_queue: bool scalar, whether the queue has that part now; None for yes.
        counted: bool `(batch,)`, which of the samples have a part in the sums; those that do not have an assignment
            that means nothing. None for all.

    Returns:
        float32 `(batch, prototypes)` without gradient.

    Reference: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (Caron, Misra, Mairal,
    Goyal, Bojanowski, Joulin, 2020), https://arxiv.org/abs/2006.09882
    """
    batch = ops.stop_gradient(precise(scores)) / epsilon  # (batch, prototypes)
    earlier = None if queue is None else ops.stop_gradient(precise(queue)) / epsilon
    for _ in range(iterations):
        own = batch if counted is None else ops.where(counted[:, None], batch, MASKED)
        mass = distribute.gather(column_mass(own), gradient=False)  # (replicas, prototypes)
        if earlier is not None:
            of_queue = column_mass(earlier)
            of_queue = of_queue if use_queue is None else ops.where(use_queue, of_queue, MASKED)
            mass = ops.concatenate([mass, of_queue])
            earlier = ops.log_softmax(earlier - column_mass(mass), axis=1)
        batch = ops.log_softmax(batch - column_mass(mass), axis=1)
    return ops.softmax(batch, axis=1)


def swapped_prediction(assignments, scores, temperature=0.1):
    """The loss of SwAV and DINO: the assignment of a view is predicted from each of the other views.

    `L = mean_i mean_{v != i} mean_b -sum_k q_ibk log softmax(s_vb / t)_k`, i over the views that are assigned, v over
    all views of the same image, b over the batch.

    Args:
        assignments: list of `(batch, prototypes)` (q), rows that sum to 1, of the first views. No gradient.
        scores: list of `(batch, prototypes)` (s), of all views, those that are assigned first.
        temperature: float > 0 (t, 0.1).

    Returns:
        float32 scalar, the mean over the local batch.

    Raises:
        ValueError: there is one view only.

    Reference: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (Caron et al., 2020),
    https://arxiv.org/abs/2006.09882, and Emerging Properties in Self-Supervised Vision Transformers (Caron et al.,
    2021), https://arxiv.org/abs/2104.14294
    """
    if len(scores) < 2:
        raise ValueError(f"A view is predicted from the others: pass at least two views. Received: {len(scores)}")
    total = 0.0
    for number, view in enumerate(scores):
        others = [assigned for i, assigned in enumerate(assignments) if i != number]
        if others:  # one sum for all of them: with 65536 prototypes it is the products that take the memory
            total += soft_cross_entropy(sum(others), view, temperature)
    return total / (len(assignments) * (len(scores) - 1))


def soft_cross_entropy(assignments, scores, temperature=0.1):
    """`mean -sum_k q_k log softmax(s / t)_k`, the cross-entropy with assignments that are no single label.

    Args:
        assignments: `(..., prototypes)` (q). No gradient.
        scores: `(..., prototypes)` (s).
        temperature: float > 0 (t, 0.1).

    Returns:
        float32 scalar, the mean over all other axes.
    """
    log_p = ops.log_softmax(precise(scores) / temperature, axis=-1)
    return -ops.mean(ops.sum(ops.stop_gradient(precise(assignments)) * log_p, axis=-1))


def mean_entropy_gap(scores, temperature=0.1, prior=None):
    """How far the mean prediction of the batch is from using all prototypes alike: `log K - H(mean_i p_i)`.

    `p_i = softmax(s_i / t)`, H is the entropy. It is 0 where the mean is uniform and log K where all samples go to one
    prototype; to minimize it is "mean entropy maximization" (me-max). With a prior it is the divergence from that,
    `KL(mean_i p_i || prior)`, which for the uniform prior is the same.

    Args:
        scores: `(rows, prototypes)` (s), of all views.
        temperature: float > 0 (t, 0.1).
        prior: float `(prototypes,)` that sums to 1, the shares of the prototypes, all above 0; None for equal ones.

    Returns:
        float32 scalar, over the rows of all replicas: the same on each.

    References: Masked Siamese Networks for Label-Efficient Learning (Assran et al., 2022),
    https://arxiv.org/abs/2204.07141; with a prior The Hidden Uniform Cluster Prior in Self-Supervised Learning (Assran
    et al., 2022), https://arxiv.org/abs/2210.07277
    """
    p = ops.softmax(precise(scores) / temperature, axis=-1)
    rows = distribute.total(ops.cast(ops.shape(p)[0], p.dtype))
    mean = ops.sum(distribute.gather(ops.sum(p, axis=0, keepdims=True)), axis=0) / rows  # (prototypes,)
    entropy = -ops.sum(mean * ops.log(ops.maximum(mean, 1e-30)))
    if prior is not None:
        return -ops.sum(mean * ops.log(ops.maximum(ops.cast(prior, p.dtype), 1e-30))) - entropy
    return ops.log(ops.cast(p.shape[-1], p.dtype)) - entropy


def column_mass(log_q):
    return ops.logsumexp(log_q, axis=0, keepdims=True)  # (1, prototypes)
