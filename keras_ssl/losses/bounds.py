"""Bounds of mutual information, from the scores of all pairs of a batch (Poole et al., 2019).

Everywhere `scores[i, j]` is what a critic says of the pair of x_j and y_i: row i belongs to y_i and column j to x_j,
and the diagonal holds the pairs that belong together. The bounds are to be maximized. They are of the scores they get:
under `tf.distribute` gather the embeddings before the scores are made.

Reference: On Variational Bounds of Mutual Information (Poole, Ozair, van den Oord, Alemi, Tucker, 2019),
https://arxiv.org/abs/1905.06922
"""

import math

from keras import ops

from keras_ssl.losses.contrastive import MASKED
from keras_ssl.losses.vectors import precise


def barber_agakov(log_q, entropy):
    """The bound of Barber and Agakov: `I >= H(X) + mean_i log q(x_i | y_i)`.

    Args:
        log_q: `(batch,)`, the logarithm of what a decoder says of x_i, given y_i.
        entropy: float, H(X), which must be known.

    Returns:
        float32 scalar.

    Reference: The IM Algorithm (Barber, Agakov, 2003, NIPS)
    """
    return entropy + ops.mean(precise(log_q))


def tuba(scores, log_baseline=0.0):
    """The unnormalized bound TUBA: `I >= 1 + mean_i (s_ii - log a_i) - mean_{i != j} exp(s_ij - log a_i)`.

    It holds for any a > 0 and is tight where `s = log p(y | x) + c(y)` and `a = E_x exp(s)`.

    Args:
        scores: `(batch, batch)` (s).
        log_baseline: float, or `(batch,)`, one a row: log a(y_i).

    Returns:
        float32 scalar.
    """
    scores = precise(scores)
    log_a = ops.broadcast_to(column(log_baseline, scores), ops.shape(scores))
    scores = scores - log_a
    return 1.0 + ops.mean(ops.diagonal(scores)) - ops.exp(log_mean_exp_of_others(scores))


def nwj(scores):
    """The bound of Nguyen, Wainwright and Jordan, MINE-f or f-GAN's of KL: `tuba` with a = e.

    `I >= mean_i s_ii - mean_{i != j} exp(s_ij - 1)`, tight where `s = 1 + log p(y | x) / p(y)`. It has no bias and a
    variance that grows with exp(I): single batches may say more than there is.

    Args:
        scores: `(batch, batch)` (s).

    Returns:
        float32 scalar.

    Reference: Estimating Divergence Functionals and the Likelihood Ratio by Convex Risk Minimization (Nguyen,
    Wainwright, Jordan, 2008), https://arxiv.org/abs/0809.0853
    """
    return tuba(scores, 1.0)


def jensen_shannon(scores):
    """A critic that is trained by the Jensen-Shannon divergence, which is steadier, and read by `tuba`.

    The value is that of `tuba(scores)`. The gradient is that of
    `mean_i -softplus(-s_ii) - mean_{i != j} softplus(s_ij)`, at whose optimum the scores are `log p(y | x) / p(y)`.

    Args:
        scores: `(batch, batch)` (s).

    Returns:
        float32 scalar.
    """
    scores = precise(scores)
    own, count = eye(scores), ops.cast(ops.shape(scores)[0], scores.dtype)
    others = ops.sum(ops.where(own, 0.0, ops.softplus(scores))) / (count * (count - 1))
    divergence = -ops.mean(ops.softplus(-ops.diagonal(scores))) - others
    return divergence + ops.stop_gradient(tuba(scores) - divergence)


def info_nce_bound(scores):
    """InfoNCE as a bound: `I >= log B + mean_i ( s_ii - log sum_j exp s_ij )`. It never exceeds log B.

    Args:
        scores: `(batch, batch)` (s).

    Returns:
        float32 scalar.

    Reference: Representation Learning with Contrastive Predictive Coding (van den Oord, Li, Vinyals, 2018),
    https://arxiv.org/abs/1807.03748
    """
    scores = precise(scores)
    count = ops.cast(ops.shape(scores)[0], scores.dtype)
    return ops.log(count) + ops.mean(ops.diagonal(scores) - ops.logsumexp(scores, axis=1))


def interpolated(scores, log_baseline=0.0, alpha_logit=0.0):
    """Between `tuba` and InfoNCE: bias and variance are traded by one number, `alpha = sigmoid(alpha_logit)`.

    `I >= 1 + mean_{i != j} (s_ii - log a_ij) - mean_{i != j} exp(s_ij - log a_ii)`, where
    `a_ij = alpha m_ij + (1 - alpha) q_i` and m_ij is the mean of exp(s_il) over l != j. With alpha to 0 it is `tuba`
    with the baseline q; with alpha to 1 it is bounded by log B, as InfoNCE is, with little variance. It takes memory
    for batch^3 numbers.

    Args:
        scores: `(batch, batch)` (s).
        log_baseline: float, or `(batch,)`, one a row: log q(y_i).
        alpha_logit: float.

    Returns:
        float32 scalar.
    """
    scores = precise(scores)
    own, count = eye(scores), ops.cast(ops.shape(scores)[0], scores.dtype)
    log_q, alpha_logit = column(log_baseline, scores), column(alpha_logit, scores)
    log_mix = ops.logaddexp(
        ops.log_sigmoid(alpha_logit) + log_mean_without(scores), ops.log_sigmoid(-alpha_logit) + log_q
    )  # (batch, batch), log a_ij
    joint = ops.where(own, 0.0, ops.diagonal(scores)[:, None] - log_mix)
    marginal = log_mean_exp_of_others(scores - ops.diagonal(log_mix)[:, None])
    return 1.0 + ops.sum(joint) / (count * (count - 1)) - ops.exp(marginal)


def donsker_varadhan(scores):
    """The representation of Donsker and Varadhan, MINE: `mean_i s_ii - log mean_{i != j} exp s_ij`.

    Of a batch it is no bound: the logarithm of a mean over few pairs is biased. For comparison.

    Args:
        scores: `(batch, batch)` (s).

    Returns:
        float32 scalar.

    Reference: Mutual Information Neural Estimation (Belghazi et al., 2018), https://arxiv.org/abs/1801.04062
    """
    scores = precise(scores)
    return ops.mean(ops.diagonal(scores)) - log_mean_exp_of_others(scores)


def gaussian_information(correlation, dim):
    """The mutual information of two Gaussian vectors with this correlation in each of `dim` components, in nats.

    Args:
        correlation: float in (-1, 1).
        dim: int.

    Returns:
        float, `-dim / 2 log(1 - correlation^2)`.
    """
    return -dim / 2 * math.log1p(-(correlation**2))


def log_mean_exp_of_others(scores):
    """The logarithm of the mean of exp over all pairs that do not belong together."""
    count = ops.cast(ops.shape(scores)[0], scores.dtype)
    others = ops.where(eye(scores), MASKED, scores)
    return ops.logsumexp(others) - ops.log(count * (count - 1))


def log_mean_without(scores):
    """For each row i and column j, the logarithm of the mean of exp(s_il) over l != j: `(batch, batch)`."""
    count = ops.cast(ops.shape(scores)[0], scores.dtype)
    left_out = ops.where(eye(scores)[None], MASKED, scores[:, None, :])  # (rows, left out, columns)
    return ops.logsumexp(left_out, axis=2) - ops.log(count - 1)


def column(x, scores):
    """A number, or one a row, to meet the scores."""
    x = ops.cast(x, scores.dtype) if hasattr(x, "dtype") else ops.convert_to_tensor(x, scores.dtype)
    return ops.reshape(x, (-1, 1))


def eye(scores):
    places = ops.arange(ops.shape(scores)[0], dtype="int32")
    return places[:, None] == places[None, :]
