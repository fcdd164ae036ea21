"""Classes: how well logits name the one that is right."""

from keras import ops

from keras_ssl.losses.vectors import precise


def classification(logits, labels):
    """The cross entropy of logits and labels, and how often the largest logit is that of the label.

    Args:
        logits: `(..., classes)`.
        labels: ints `(...)`, from 0 to `classes - 1`.

    Returns:
        two scalars, means over all labels: the loss and the accuracy; float32 (the loss float64 for float64).

    Example:

    >>> import numpy as np
    >>> loss, accuracy = classification(np.zeros((4, 8)), np.array([0, 1, 0, 3]))
    >>> round(float(loss), 3), float(accuracy)
    (2.079, 0.5)
    """
    logits, labels = precise(logits), ops.cast(labels, "int32")
    loss = ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
    found = ops.cast(ops.argmax(logits, axis=-1), "int32")
    return loss, ops.mean(ops.cast(found == labels, "float32"))
