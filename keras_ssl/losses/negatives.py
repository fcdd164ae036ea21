"""Losses of the negatives: NT-Xent with the denominator changed, corrected, re-weighted or chosen by labels.

All of them compare the 2N views of the global batch with each other, as `nt_xent` does, and are the mean over the local
views. The negatives of a view are the 2N - 2 views of the other images.
"""

import math

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.contrastive import MASKED
from keras_ssl.losses.vectors import unit


def sup_con(views, labels, temperature=0.1, base_temperature=0.07, inside=False):
    """SupCon: each view finds the views of its class among all others.

    `L_out = mean_i -1/|P(i)| sum_{p in P(i)} log( exp(s_ip / t) / sum_{a != i} exp(s_ia / t) )`, where s is the cosine,
    P(i) the other views with the label of i, and i and a run over all views of the global batch. `L_in` has the mean
    over P(i) inside the logarithm, and is never the larger one. Both are multiplied by `t / base_temperature`, as in
    the authors' code. With a label of its own for every image both are NT-Xent times that factor.

    Args:
        views: list of `(batch, dim)`, the embeddings of each view; any length, they are normalized here, in float32.
        labels: integers `(batch,)`; a negative one means that the image has no label: then only its own other views
            are its positives.
        temperature: float > 0 (tau, 0.1).
        base_temperature: float > 0 (0.07), or None for no factor.
        inside: whether the mean over the positives stands inside the logarithm (L_in); the paper prefers L_out.

    Returns:
        float32 scalar, the mean over the local views; a view without a positive counts as 0. Under `tf.distribute` the
        views and labels of all replicas take part, and the gradient flows to all of them.

    Reference: Supervised Contrastive Learning (Khosla et al., 2020), https://arxiv.org/abs/2004.11362
    """
    views, labels = [unit(view) for view in views], ops.convert_to_tensor(labels)
    others = ops.concatenate([distribute.gather(view) for view in views])  # (views * total, dim)
    all_labels = distribute.gather(labels, gradient=False)
    images, total = ops.shape(labels)[0], ops.shape(all_labels)[0]
    logits = ops.matmul(ops.concatenate(views), ops.transpose(others)) / temperature  # (views * batch, views * total)

    row = distribute.first_row(images) + ops.arange(images, dtype="int32")
    itself = ops.concatenate([row + number * total for number in range(len(views))])
    everything = ops.arange(len(views) * total, dtype="int32")
    other = itself[:, None] != everything[None, :]
    own, all_own = ops.tile(labels, [len(views)])[:, None], ops.tile(all_labels, [len(views)])[None, :]
    of_class = ops.logical_and(own == all_own, own >= 0)
    of_image = (itself % total)[:, None] == (everything % total)[None, :]
    positive = ops.logical_and(other, ops.logical_or(of_class, of_image))

    log_share = logits - log_sum_exp(logits, other)[:, None]
    found = ops.sum(ops.cast(positive, logits.dtype), axis=-1)
    count = ops.maximum(found, 1.0)
    if inside:
        mean = ops.where(found > 0, log_sum_exp(log_share, positive) - ops.log(count), 0.0)
    else:
        mean = ops.sum(ops.where(positive, log_share, 0.0), axis=-1) / count
    return -ops.mean(mean) * (temperature / base_temperature if base_temperature else 1.0)


def decoupled(first, second, temperature=0.1, weighted=False, sigma=0.5):
    """DCL: NT-Xent without the positive in the denominator.

    `L = mean_i ( -w_i s_i / t + log sum_n exp(s_in / t) )`, where s_i is the cosine to the partner, n runs over the
    2N - 2 negatives and w is 1. With `weighted` (DCLW) a pair that is close already weighs less:
    `w_i = 2 - exp(s_i / sigma) / mean_j exp(s_j / sigma)`, whose mean is 1. The loss may be negative. Its gradient is
    that of NT-Xent, divided by `1 - p_i` for each view i, with p_i the softmax's probability of the partner.

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalized here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (tau, 0.1).
        weighted: whether the positives are weighted (DCLW). The gradient flows through the weights.
        sigma: float > 0, how fast the weight changes with the cosine (0.5).

    Returns:
        float32 scalar, the mean over the local views. The authors add the means of the two views: twice this. Under
        `tf.distribute` the negatives and the mean of the weights are of all replicas, and the gradient flows to them.

    Raises:
        ValueError: the batch holds one image.

    Reference: Decoupled Contrastive Learning (Yeh, Hong, Hsu, Liu, Chen, LeCun, 2021),
    https://arxiv.org/abs/2110.06848
    """
    positive, others, negative = compare(first, second, temperature)
    weight = 1.0
    if weighted:
        closeness = positive * (temperature / sigma)
        every = distribute.gather(closeness)  # (2 * total,)
        share = ops.exp(closeness - ops.logsumexp(every))
        weight = 2.0 - share * ops.cast(ops.shape(every)[0], share.dtype)
    return ops.mean(log_sum_exp(others, negative) - weight * positive)


def flat_nce(first, second, temperature=0.1):
    """FlatNCE: a loss whose value is always 1 and whose gradient does not vanish where InfoNCE is nearly solved.

    `L = mean_i exp(v_i - stop(v_i))`, with `v_i = log sum_n exp((s_in - s_i) / t)`, where s_i is the cosine to the
    partner and n runs over the 2N - 2 negatives. Its gradient is that of `decoupled`, so that of NT-Xent divided by
    `1 - p_i` for each view i.

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalized here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (tau, 0.1).

    Returns:
        float32 scalar, 1. Under `tf.distribute` the negatives are of all replicas, and the gradient flows to them.

    Raises:
        ValueError: the batch holds one image.

    Reference: Simpler, Faster, Stronger: Breaking The log-K Curse On Contrastive Learners With FlatNCE (Chen et al.,
    2021), https://arxiv.org/abs/2107.01152
    """
    positive, others, negative = compare(first, second, temperature)
    contrast = log_sum_exp(others, negative) - positive  # (2 * batch,), v
    return ops.mean(ops.exp(contrast - ops.stop_gradient(contrast)))


def debiased(first, second, temperature=0.5, tau_plus=0.1, extra=()):
    """Debiased contrastive loss: NT-Xent, corrected for the negatives that are of the image's own class.

    `L = mean_i -log( p_i / (p_i + G_i) )`, where p_i = exp(s_i / t) is of the partner and
    `G_i = max( (sum_n exp(s_in / t) - tau_plus M p_i) / (1 - tau_plus), M exp(-1 / t) )` estimates what the n = 1 to
    M = 2N - 2 negatives would be if none were of the class of i. With `tau_plus=0` it is NT-Xent.

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalized here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (t, 0.5).
        tau_plus: float in [0, 1), probability of a class (tau+; 0.1 for 10 classes).
        extra: list of `(batch, dim)`, embeddings of further views of the images. They are no anchors and no negatives:
            in G, the mean over the partner and them stands for p.

    Returns:
        float32 scalar, the mean over the local views. Under `tf.distribute` the negatives are of all replicas, and the
        gradient flows to them.

    Raises:
        ValueError: tau_plus is out of range, or the batch holds one image.

    Reference: Debiased Contrastive Learning (Chuang, Robinson, Lin, Torralba, Jegelka, 2020),
    https://arxiv.org/abs/2007.00224
    """
    positive, others, negative = compare(first, second, temperature)
    among = log_mean_positive(first, second, extra, positive, temperature)
    count = log_count(negative, others.dtype)
    return debias(positive, among, log_sum_exp(others, negative), count, temperature, tau_plus)


def hard_negative(first, second, temperature=0.5, tau_plus=0.1, beta=1.0, extra=()):
    """Hard-negative contrastive loss (HCL): the debiased loss, with the negatives weighted by how close they are.

    In `debiased`, the sum over the negatives becomes `sum_n w_in exp(s_in / t)` with the weights
    `w_in = exp(beta s_in / t) / mean_m exp(beta s_im / t)`, whose mean is 1. The gradient flows through the weights.
    With `beta=0` it is `debiased`.

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalized here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (t, 0.5).
        tau_plus: float in [0, 1), probability of a class (tau+; 0.1 for 10 classes).
        beta: float >= 0, or a scalar tensor: how much the close negatives count (beta, 0.5 to 2).
        extra: list of `(batch, dim)`, embeddings of further views of the images: see `debiased`.

    Returns:
        float32 scalar, the mean over the local views. Under `tf.distribute` the negatives are of all replicas, and the
        gradient flows to them.

    Raises:
        ValueError: tau_plus is out of range, or the batch holds one image.

    Reference: Contrastive Learning with Hard Negative Samples (Robinson, Chuang, Sra, Jegelka, 2020),
    https://arxiv.org/abs/2010.04592
    """
    positive, others, negative = compare(first, second, temperature)
    among = log_mean_positive(first, second, extra, positive, temperature)
    beta = ops.cast(beta, others.dtype)
    count = log_count(negative, others.dtype)
    tilted = log_sum_exp((1.0 + beta) * others, negative) - log_sum_exp(beta * others, negative) + count
    return debias(positive, among, tilted, count, temperature, tau_plus)


def invariant_spread(first, second, temperature=0.1, negative_weight=1.0, detach_others=True):
    """The loss of InvaSpread: each view is recognized as its image, and as none of the others.

    `L = mean_i -( log P_ip + m sum_n log(1 - P_in) )`, with
    `P_ij = exp(x_i.x_j / t) / (exp(x_i.x_p / t) + m sum_n exp(x_i.x_n / t))`, where p is the partner of i, n runs over
    the 2N - 2 negatives and m is `negative_weight`.

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalized here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (tau, 0.1).
        negative_weight: float >= 1 (1).
        detach_others: whether a view gets a gradient only where it is the anchor i, as in the authors' code.

    Returns:
        float32 scalar, the mean over the local views. Under `tf.distribute` the views of all replicas are the others.

    Raises:
        ValueError: negative_weight is below 1, or the batch holds one image.

    Reference: Unsupervised Embedding Learning via Invariant and Spreading Instance Feature (Ye, Zhang, Yuen, Chang,
    2019), https://arxiv.org/abs/1904.03436
    """
    if negative_weight < 1:
        raise ValueError(
            f"negative_weight must be a float >= 1: below, P is no probability. Received: {negative_weight}"
        )
    positive, others, negative = compare(first, second, temperature, detach_others)
    heavier = others + math.log(negative_weight)
    total = log_add_exp(positive, log_sum_exp(heavier, negative))

    # log(1 - P) is exact in float32 for P <= 1/2, which holds for all negatives but the closest one. For that one it is
    # the log of what the others hold.
    closest = ops.argmax(ops.where(negative, others, MASKED), axis=-1)
    closest = ops.cast(closest, "int32")[:, None] == ops.arange(ops.shape(others)[1], dtype="int32")[None, :]
    remaining = ops.where(closest, others + log_or_masked(negative_weight - 1.0), heavier)
    without = log_add_exp(positive, log_sum_exp(remaining, negative)) - total
    share = ops.exp(ops.where(ops.logical_and(negative, ops.logical_not(closest)), others, MASKED) - total[:, None])
    spread = without + ops.sum(ops.log1p(-share), axis=-1)
    return -ops.mean(positive - total + negative_weight * spread)


def compare(first, second, temperature, detach_others=False):
    """The local views beside all views: cosines divided by the temperature.

    Returns:
        the logit of the partner `(2 * batch,)`; the logits of all views `(2 * batch, 2 * total)`; which of these are
        negatives, so neither the view itself nor its partner.
    """
    first, second = unit(first), unit(second)
    images = ops.shape(first)[0]
    others = ops.concatenate([distribute.gather(x, gradient=not detach_others) for x in (first, second)])
    total = ops.shape(others)[0] // 2
    if isinstance(total, int) and total < 2:
        raise ValueError(
            "this loss needs negatives: a batch of two images at least. Received: a batch of one. Is it the last of an "
            "epoch? Drop it with `drop_remainder=True`."
        )
    anchors, partners = ops.concatenate([first, second]), ops.concatenate([second, first])
    positive = ops.sum(anchors * (ops.stop_gradient(partners) if detach_others else partners), axis=-1) / temperature
    logits = ops.matmul(anchors, ops.transpose(others)) / temperature

    row = distribute.first_row(images) + ops.arange(images, dtype="int32")
    column = ops.arange(total, dtype="int32")
    negative = ops.tile(row, [2])[:, None] != ops.tile(column, [2])[None, :]
    return positive, logits, negative


def log_mean_positive(first, second, extra, positive, temperature):
    """Logarithm of the mean of exp(cosine / t) over the partner and the extra views: `(2 * batch,)`."""
    if not len(extra):
        return positive
    anchors = ops.concatenate([unit(first), unit(second)])
    further = [ops.sum(anchors * ops.tile(unit(view), [2, 1]), axis=-1) / temperature for view in extra]
    return ops.logsumexp(ops.stack([positive, *further]), axis=0) - math.log(1 + len(extra))


def debias(positive, among, negatives, count, temperature, tau_plus):
    """The debiased loss from logarithms: of the partner's share, of the positives' mean, of the negatives' sum."""
    if not 0 <= tau_plus < 1:
        raise ValueError(f"tau_plus, the probability of a class, must be a float in [0, 1). Received: {tau_plus}")
    floor = count - 1.0 / temperature
    shift = ops.stop_gradient(ops.maximum(negatives, among))
    estimate = (ops.exp(negatives - shift) - tau_plus * ops.exp(count + among - shift)) / (1.0 - tau_plus)
    above = estimate > ops.exp(floor - shift)
    negatives = ops.where(above, shift + ops.log(ops.where(above, estimate, 1.0)), floor)
    return ops.mean(ops.softplus(negatives - positive))


def log_count(negative, dtype):
    """Logarithm of the number of negatives of each view: `(2 * batch,)`."""
    return ops.log(ops.sum(ops.cast(negative, dtype), axis=-1))


def log_sum_exp(logits, chosen):
    return ops.logsumexp(ops.where(chosen, logits, MASKED), axis=-1)


def log_add_exp(first, second):
    return first + ops.softplus(second - first)


def log_or_masked(x):
    return math.log(x) if x > 0 else MASKED
