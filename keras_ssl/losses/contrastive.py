"""Contrastive losses: the true partner among many others, as a softmax."""

from keras import ops

from keras_ssl import distribute

MASKED = -1e9  # the logit of an entry that is taken out of a softmax


def nt_xent(first, second, temperature=0.1):
    """NT-Xent, the loss of SimCLR: each of the 2N views finds the other view of its image among the 2N - 1 others.

    `L = mean_i -log( exp(s_ip / t) / sum_{j != i} exp(s_ij / t) )`, where s is the cosine, p the partner of i, and i
    and j run over the 2N views of the global batch. Random vectors give about log(2N - 1).

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalised here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (t; 0.1 on ImageNet, 0.5 on CIFAR-10).

    Returns:
        float32 scalar, the mean over the local views. Under `tf.distribute` the views of all replicas are the
        others, and the gradient flows to all of them.

    Reference: A Simple Framework for Contrastive Learning of Visual Representations (Chen, Kornblith, Norouzi,
    Hinton, 2020), https://arxiv.org/abs/2002.05709
    """
    first, second = unit(first), unit(second)
    all_first, all_second = distribute.gather(first), distribute.gather(second)
    images, total = ops.shape(first)[0], ops.shape(all_first)[0]

    anchors = ops.concatenate([first, second])  # (2 * batch, dim)
    others = ops.concatenate([all_first, all_second])  # (2 * total, dim)
    logits = ops.matmul(anchors, ops.transpose(others)) / temperature  # (2 * batch, 2 * total)

    row = distribute.first_row(images) + ops.arange(images, dtype="int32")
    itself = ops.concatenate([row, row + total])
    partner = ops.concatenate([row + total, row])
    columns = ops.arange(2 * total, dtype="int32")
    logits = ops.where(columns[None, :] == itself[:, None], MASKED, logits)
    return cross_entropy(logits, partner)


def info_nce(queries, keys, queue, temperature=0.07):
    """InfoNCE with a queue, the loss of MoCo: each query finds its key among the keys of the queue.

    `L = mean_i -log( exp(q_i.k_i / t) / (exp(q_i.k_i / t) + sum_n exp(q_i.n / t)) )`, n over the queue.

    Args:
        queries: `(batch, dim)`; any length, they are normalised here, in float32.
        keys: `(batch, dim)`, the key of each query, normalised here as well. No gradient.
        queue: `(size, dim)`, unit vectors. No gradient.
        temperature: float > 0 (t, 0.07).

    Returns:
        float32 scalar, the mean over the local queries.

    Reference: Momentum Contrast for Unsupervised Visual Representation Learning (He, Fan, Wu, Xie, Girshick, 2019),
    https://arxiv.org/abs/1911.05722
    """
    queries, keys = unit(queries), ops.stop_gradient(unit(keys))
    queue = ops.stop_gradient(ops.cast(queue, "float32"))
    positive = ops.sum(queries * keys, axis=-1, keepdims=True)  # (batch, 1)
    negative = ops.matmul(queries, ops.transpose(queue))  # (batch, size)
    logits = ops.concatenate([positive, negative], axis=-1) / temperature
    return cross_entropy(logits, ops.zeros_like(logits[:, 0], dtype="int32"))


def unit(x):
    """`x / |x|` in float32 (float64 stays), along the last axis."""
    x = x if str(x.dtype).endswith("float64") else ops.cast(x, "float32")
    return ops.normalize(x, axis=-1, epsilon=1e-12)


def cross_entropy(logits, labels):
    return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
