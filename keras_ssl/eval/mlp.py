"""MLP probe: the linear probe with one hidden layer, for what the features hold but not on straight lines."""

import math

import numpy as np
from keras import ops

from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.eval.extraction import labelled
from keras_ssl.eval.nearest import checked
from keras_ssl.eval.probe import standardised
from keras_ssl.eval.score import score


def mlp_probe(
    encoder, train, test, hidden=512, epochs=100, batch_size=256, learning_rate=1e-3, weight_decay=0.01, seed=0
):
    """Accuracy of a classifier with one hidden layer (ReLU) on the frozen features.

    The features are computed once and standardised, as for `linear`. The classifier is trained by AdamW with a cosine
    decay to zero, in float32.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for raw pixels.
        train: labelled images to fit: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `features`.
        test: labelled images to score.
        hidden: positive int, width of the hidden layer.
        epochs: positive int, passes over the training features. At least 1,000 steps are made.
        batch_size: int, images a step of the encoder and features a step of the classifier; a smaller training set
            is one batch.
        learning_rate: positive float, the first rate.
        weight_decay: float >= 0, decoupled (AdamW's), of the two matrices, not of the biases.
        seed: int, of the first weights and of the order; same seed, same score.

    Returns:
        `Score`.

    Raises:
        ValueError: no labels, or a bad number.

    Example:
        >>> images = np.array([0, 255] * 4, "uint8").reshape(8, 1, 1, 1) * np.ones((4, 4, 3), "uint8")
        >>> labels = np.array([0, 1] * 4)
        >>> float(mlp_probe(None, (images, labels), (images, labels), hidden=8))
        1.0
    """
    return mlp_probe_features(
        *labelled(encoder, train, batch_size, "train"),
        *labelled(encoder, test, batch_size, "test"),
        hidden=hidden, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
        seed=seed,
    )


def mlp_probe_features(
    train_features, train_labels, test_features, test_labels,
    hidden=512, epochs=100, batch_size=256, learning_rate=1e-3, weight_decay=0.01, seed=0,
):
    """`mlp_probe` of features that are already there.

    Args:
        train_features: array `(n, dim)`.
        train_labels: int array `(n,)`.
        test_features: array `(m, dim)`.
        test_labels: int array `(m,)`.
        hidden, epochs, batch_size, learning_rate, weight_decay, seed: see `mlp_probe`.

    Returns:
        `Score`.

    Example:
        >>> corners = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
        >>> float(mlp_probe_features(corners, [0, 1, 1, 0], corners, [0, 1, 1, 0], hidden=16))  # no line does this
        1.0
    """
    check_ints(hidden=hidden, epochs=epochs, batch_size=batch_size)
    check_numbers(above=0, learning_rate=learning_rate)
    check_numbers(least=0, weight_decay=weight_decay)
    x, labels, test, test_labels, classes = checked(train_features, train_labels, test_features, test_labels, None)
    x, test = standardised(x, test)
    batch_size = min(batch_size, len(x))
    epochs = max(epochs, math.ceil(1000 / (len(x) // batch_size)))
    weights = first_weights(x.shape[1] - 1, hidden, classes, seed)
    weights = fit(weights, x, labels, epochs, batch_size, learning_rate, weight_decay, seed)
    votes = [outputs(weights, test[start:start + 4096])[1] for start in range(0, len(test), 4096)]
    return score(ops.convert_to_numpy(ops.concatenate(votes)), test_labels, name="MLP probe")


def first_weights(dim, hidden, classes, seed):
    """`(dim + 1, hidden)` and `(hidden + 1, classes)`, the last rows being the biases, 0."""
    generator = np.random.default_rng([seed, 0])
    draw = lambda rows, columns, gain: np.concatenate([
        generator.normal(scale=math.sqrt(gain / rows), size=(rows, columns)), np.zeros((1, columns)),
    ]).astype("float32")
    return [draw(dim, hidden, 2), draw(hidden, classes, 1)]


def outputs(weights, x):
    """Hidden features with a last column of ones, and logits."""
    hidden = ops.relu(ops.matmul(x, weights[0]))
    hidden = ops.concatenate([hidden, ops.ones((len(x), 1), dtype="float32")], axis=1)
    return hidden, ops.matmul(hidden, weights[1])


def fit(weights, x, labels, epochs, batch_size, learning_rate, weight_decay, seed):
    """The weights after the training. The gradient is written out, as in the linear probe."""
    steps = len(x) // batch_size
    x, targets = ops.convert_to_tensor(x), ops.convert_to_tensor(np.eye(weights[1].shape[1], dtype="float32"))
    decays = [np.full((len(w), 1), weight_decay, "float32") for w in weights]
    for decay in decays:
        decay[-1] = 0  # the biases
    weights, decays = [ops.convert_to_tensor(w) for w in weights], [ops.convert_to_tensor(decay) for decay in decays]
    means, squares = [ops.zeros_like(w) for w in weights], [ops.zeros_like(w) for w in weights]
    generator = np.random.default_rng([seed, 1])
    for step in range(epochs * steps):
        if step % steps == 0:
            order = generator.permutation(len(x)).astype("int32")
        chosen = order[step % steps * batch_size:][:batch_size]
        batch = ops.take(x, chosen, axis=0)
        hidden, logits = outputs(weights, batch)
        error = (ops.softmax(logits) - ops.take(targets, labels[chosen], axis=0)) / batch_size  # (batch, classes)
        back = ops.matmul(error, ops.transpose(weights[1][:-1])) * ops.cast(hidden[:, :-1] > 0, "float32")
        gradients = [ops.matmul(ops.transpose(batch), back), ops.matmul(ops.transpose(hidden), error)]
        rate = learning_rate * (1 + math.cos(math.pi * step / (epochs * steps))) / 2
        means = [0.9 * mean + 0.1 * gradient for mean, gradient in zip(means, gradients)]
        squares = [0.999 * square + 0.001 * gradient * gradient for square, gradient in zip(squares, gradients)]
        adam = rate * math.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        weights = [
            w - rate * decay * w - adam * mean / (ops.sqrt(square) + 1e-7)
            for w, decay, mean, square in zip(weights, decays, means, squares)
        ]
    return weights
