"""Token losses: images as discrete tokens, how many of the tokens are in use, and how to guess the hidden ones."""

from keras import ops

from keras_ssl import distribute
from keras_ssl.losses.reconstruction import masked_mean
from keras_ssl.losses.vectors import precise


def token_cross_entropy(logits, tokens, mask):
    """The loss of BEiT: the mean over the hidden positions of `-log softmax(logits)[token]`.

    The mean is one over all hidden positions of the global batch: images that hide more count more.

    Args:
        logits: `(batch, positions, vocabulary)`; float32 inside.
        tokens: int `(batch, positions)`, the token of each position.
        mask: `(batch, positions)`, bool, True where hidden, or float weights from 0.

    Returns:
        float32 scalar. Its mean over replicas is the loss of the global batch.

    Reference: BEiT: BERT Pre-Training of Image Transformers (Bao et al., 2021), https://arxiv.org/abs/2106.08254

    Example:

    >>> loss = token_cross_entropy(np.zeros((1, 2, 8)), np.array([[3, 1]]), np.array([[True, False]]))
    >>> bool(abs(loss - np.log(8)) < 1e-6)
    True
    """
    log_p = ops.log_softmax(precise(logits), axis=-1)
    taken = ops.take_along_axis(log_p, ops.cast(tokens, "int32")[..., None], axis=-1)[..., 0]
    return masked_mean(-taken, mask)


def kl_from_uniform(logits):
    """How far the tokens' distributions are from uniform: the mean over images and positions of `sum_k q_k log(q_k K)`.

    It is from 0 to log K for each position. The authors' code of BEiT's tokenizer (through `batchmean` of a scalar)
    sums over all positions of the batch, and DALL-E over those of an image, so that their weights are smaller.

    Args:
        logits: `(..., vocabulary)`, whose softmax is q; float32 inside.

    Returns:
        float32 scalar, the mean over the local batch.

    Reference: Zero-Shot Text-to-Image Generation (Ramesh et al., 2021), https://arxiv.org/abs/2102.12092

    Example:

    >>> float(kl_from_uniform(np.zeros((2, 4, 4, 16))))
    0.0
    """
    log_q = ops.log_softmax(precise(logits), axis=-1)
    relative = log_q - ops.log_softmax(ops.zeros_like(log_q), axis=-1)
    return ops.mean(ops.sum(ops.exp(log_q) * relative, axis=-1))


def token_share(tokens, vocabulary):
    """How often each token is there, as parts of 1, in the global batch.

    Args:
        tokens: int tensor of any shape, from 0 to `vocabulary - 1`.
        vocabulary: int, number of different tokens.

    Returns:
        float32 tensor `(vocabulary,)`.
    """
    tokens = ops.reshape(ops.cast(tokens, "int32"), (-1,))
    ones = ops.ones_like(tokens, dtype="float32")
    counts = distribute.total(ops.segment_sum(ones, tokens, num_segments=vocabulary))
    return counts / ops.sum(counts)


def perplexity(usage):
    """How many tokens are in use: `exp(-sum_k p_k log p_k)`, from 1 (all the same) to K (all equally often).

    Args:
        usage: `(vocabulary,)`, numbers from 0, how often each token is there; p is it over its sum.

    Returns:
        float32 scalar.

    Example:

    >>> round(float(perplexity(np.array([5.0, 5.0, 0.0, 0.0]))), 3)
    2.0
    """
    usage = precise(usage)
    p = usage / ops.maximum(ops.sum(usage), 1e-12)
    return ops.exp(-ops.sum(p * ops.log(ops.maximum(p, 1e-12))))
