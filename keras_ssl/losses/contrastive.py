"""Contrastive losses: the true partner among many others, as a softmax."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.vectors import unit

MASKED = -1e9  # the logit of an entry that is taken out of a softmax


def nt_xent(first, second, temperature=0.1, queue=None):
    """NT-Xent, the loss of SimCLR: each of the 2N views finds the other view of its image among the 2N - 1 others.

    `L = mean_i -log( exp(s_ip / t) / sum_{j != i} exp(s_ij / t) )`, where s is the cosine, p the partner of i, and i
    and j run over the 2N views of the global batch. Random vectors give about log(2N - 1).

    Args:
        first: `(batch, dim)`, embeddings of the first views; any length, they are normalized here, in float32.
        second: `(batch, dim)`, embeddings of the second views, in the same order.
        temperature: float > 0 (t; 0.1 on ImageNet, 0.5 on CIFAR-10).
        queue: `(size, dim)`, unit vectors, further negatives without a gradient; or None.

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
    if queue is not None:
        queue = ops.stop_gradient(ops.cast(queue, anchors.dtype))
        logits = ops.concatenate([logits, ops.matmul(anchors, ops.transpose(queue)) / temperature], axis=-1)
    return cross_entropy(logits, partner)


def info_nce(queries, keys, queue, temperature=0.07):
    """InfoNCE with a queue, the loss of MoCo: each query finds its key among the keys of the queue.

    `L = mean_i -log( exp(q_i.k_i / t) / (exp(q_i.k_i / t) + sum_n exp(q_i.n / t)) )`, n over the queue.

    Args:
        queries: `(batch, dim)`; any length, they are normalized here, in float32.
        keys: `(batch, dim)`, the key of each query, normalized here as well. No gradient.
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


def info_nce_in_batch(queries, keys, temperature=0.2):
    """InfoNCE without a queue, the loss of MoCo v3: each query finds its key among the keys of the batch.

    `L = 2t mean_i -log( exp(q_i.k_i / t) / sum_n exp(q_i.k_n / t) )`, n over the global batch. The factor 2t makes the
    gradient, and with it the fitting learning rate, depend less on the temperature.

    Args:
        queries: `(batch, dim)`; any length, they are normalized here, in float32.
        keys: `(batch, dim)`, the key of each query, normalized here as well. No gradient.
        temperature: float > 0 (t; 0.2 for ViT, 1 for ResNet-50).

    Returns:
        float32 scalar, the mean over the local queries. Under `tf.distribute` the keys of all replicas are compared.

    Reference: An Empirical Study of Training Self-Supervised Vision Transformers (Chen, Xie, He, 2021),
    https://arxiv.org/abs/2104.02057
    """
    queries, keys = unit(queries), distribute.gather(unit(keys), gradient=False)
    logits = ops.matmul(queries, ops.transpose(keys)) / temperature  # (batch, total)
    rows = ops.shape(queries)[0]
    own = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
    return 2.0 * temperature * cross_entropy(logits, own)


def cross_entropy(logits, labels):
    return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
