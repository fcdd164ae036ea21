"""Word losses: a word is told from words drawn by chance."""

from keras import ops

from keras_ssl.losses.reconstruction import masked_mean
from keras_ssl.losses.vectors import precise


def negative_sampling(positive, negative, mask, kept=None):
    """The loss of word2vec: a pair of words that stand together is told from pairs with words drawn by chance.

    `L = mean over the pairs of -log s(p) - sum_k log s(-n_k)`, where s is the logistic function, p the score of a pair
    and n_k those with the k drawn words.

    Args:
        positive: `(batch, ...)`, scores of the pairs; float32 inside.
        negative: `(batch, ..., k)`, scores with the drawn words.
        mask: like `positive`, bool, True where there is a pair, or float weights from 0.
        kept: like `negative`, bool, False where the drawn word is the true one, which then does not count; or None.

    Returns:
        float32 scalar, the mean over the pairs of the global batch. Its mean over replicas is the loss of it.

    Reference: Distributed Representations of Words and Phrases and their Compositionality (Mikolov et al., 2013),
    https://arxiv.org/abs/1310.4546

    Example:

    >>> loss = negative_sampling(np.zeros((1, 2)), np.zeros((1, 2, 5)), np.ones((1, 2), bool))
    >>> round(float(loss), 3)  # 6 log 2
    4.159
    """
    others = ops.softplus(precise(negative))
    if kept is not None:
        others = ops.where(kept, others, 0.0)
    return masked_mean(ops.softplus(-precise(positive)) + ops.sum(others, axis=-1), mask)
