"""Classes: how often a classifier is right, for methods that train one (`FixMatch`, ...) and for any other."""

import numpy as np

from keras_ssl.eval.extraction import labeled
from keras_ssl.eval.geometry import Diverged
from keras_ssl.eval.score import score


def accuracy(classifier, test, batch_size=256):
    """Accuracy of a classifier on labeled images; of equal outputs the first class counts.

    Args:
        classifier: `keras.Model` from images to one number a class, the largest for the one that it predicts: logits or
            probabilities. That of a semi-supervised method is `model.evaluated_classifier`.
        test: labeled images: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `linear`.
        batch_size: int, images per step.

    Returns:
        `Score`.

    Raises:
        ValueError: the test set has no labels, or outputs are not finite.

    Example:
        >>> classifier = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> score = accuracy(classifier, (np.zeros((4, 8, 8, 3), "uint8"), np.array([0, 1, 0, 1])))
    """
    outputs, labels = labeled(classifier, test, batch_size, "test")
    if not np.isfinite(outputs).all():
        raise Diverged("The outputs of the classifier hold NaN or infinite numbers: it has diverged.")
    return score(outputs, labels, "accuracy")
