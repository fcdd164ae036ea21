"""Confident: what a classifier learns from images without a label, by its own predictions of them."""

from keras import ops

from keras_ssl.losses.vectors import precise


def confident_cross_entropy(prediction, target, threshold=0.95):
    """The loss of FixMatch: `mean_b 1[max q_b >= t] H(argmax q_b, p_b)`, with the softmax q of the target.

    The mean is over all images, those left out counted as 0: the fewer are certain, the less they weigh.

    Args:
        prediction: logits `(batch, classes)`, such as those of a strong view; float32 inside.
        target: logits `(batch, classes)`, such as those of a weak view. No gradient.
        threshold: float, the least probability that counts (t, 0.95). Above 1 none does, and 0 takes all.

    Returns:
        two float32 scalars, over the local batch: the loss, and the share of the images that count.

    Reference: FixMatch (Sohn et al., 2020), https://arxiv.org/abs/2001.07685; Pseudo-Label (Lee, 2013)
    """
    prediction, target = precise(prediction), ops.stop_gradient(precise(target))
    mask = certain(target, threshold, prediction.dtype)
    losses = ops.sparse_categorical_crossentropy(ops.argmax(target, axis=-1), prediction, from_logits=True)
    return ops.mean(losses * mask), ops.mean(mask)


def confident_divergence(prediction, target, threshold=0.8, temperature=0.4):
    """The loss of UDA: `mean_b 1[max q_b >= t] KL(q'_b || p_b)`, with `q' = softmax(target / temperature)`.

    Args:
        prediction: logits `(batch, classes)` of the strong view; float32 inside. It has no temperature.
        target: logits `(batch, classes)` of the weak view. No gradient.
        threshold: float, the least probability that counts (beta, 0.8), before the temperature.
        temperature: float > 0 (0.4). Towards 0 the loss becomes `confident_cross_entropy`.

    Returns:
        two float32 scalars, over the local batch: the loss, and the share of the images that count.

    Reference: Unsupervised Data Augmentation (Xie et al., 2019), https://arxiv.org/abs/1904.12848
    """
    prediction, target = precise(prediction), ops.stop_gradient(precise(target))
    mask = certain(target, threshold, prediction.dtype)
    return ops.mean(divergence(target / temperature, prediction) * mask), ops.mean(mask)


def certain(logits, threshold, dtype):
    """1 where the largest probability is at least the threshold, else 0."""
    return ops.cast(ops.max(ops.softmax(logits, axis=-1), axis=-1) >= threshold, dtype)


def divergence(first, second):
    """`KL(softmax(first) || softmax(second))` of each row of logits, float32 `(batch,)`; both with their gradient."""
    first, second = ops.log_softmax(precise(first), axis=-1), ops.log_softmax(precise(second), axis=-1)
    return ops.sum(ops.exp(first) * (first - second), axis=-1)


def entropy(logits):
    """The entropy of each row's softmax, in nats, float32 `(batch,)`: see Grandvalet and Bengio, 2004."""
    found = ops.log_softmax(precise(logits), axis=-1)
    return -ops.sum(ops.exp(found) * found, axis=-1)


def annealed_threshold(step, steps, classes, schedule):
    """Of training signal annealing (UDA): the largest probability of its class with which a labeled image counts.

    `a (1 - 1 / C) + 1 / C`, with k = step / steps and a = k, e^(5 (k - 1)) or 1 - e^(-5 k).

    Args:
        step: int or scalar tensor, from 0.
        steps: int, the length of the run.
        classes: int (C).
        schedule: `"linear"`, `"exp"` or `"log"`.

    Returns:
        float32 scalar tensor, from 1 / C to 1 (linear).

    Reference: Unsupervised Data Augmentation (Xie et al., 2019), https://arxiv.org/abs/1904.12848
    """
    done = ops.clip(ops.cast(step, "float32") / steps, 0.0, 1.0)
    share = {
        "linear": lambda: done,
        "exp": lambda: ops.exp(5.0 * (done - 1.0)),
        "log": lambda: 1.0 - ops.exp(-5.0 * done),
    }[schedule]()
    return share * (1.0 - 1.0 / classes) + 1.0 / classes
