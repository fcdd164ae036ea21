"""MLP probe: the linear probe with one hidden layer, for what the features hold but not on straight lines."""

import math

import keras
import numpy as np

from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.eval.extraction import labeled
from keras_ssl.eval.nearest import check_classes, checked
from keras_ssl.eval.probe import standardized
from keras_ssl.eval.score import score


def mlp_probe(
    encoder, train, test, hidden=512, epochs=100, batch_size=256, learning_rate=1e-3, weight_decay=0.01, seed=0
):
    """Accuracy of a classifier with one hidden layer (ReLU) on the frozen features.

    The features are computed once and standardized, as for `linear`. The classifier is trained by AdamW with a cosine
    decay to zero, in float32.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for raw pixels.
        train: labeled images to fit: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see `features`.
        test: labeled images to score.
        hidden: positive int, width of the hidden layer.
        epochs: positive int, passes over the training features. At least 1,000 steps are made.
        batch_size: int, images per step of the encoder and features per step of the classifier; a smaller training set
            is one batch.
        learning_rate: positive float, the first rate.
        weight_decay: float >= 0, decoupled (AdamW's), of the two matrices, not of the biases.
        seed: int, of the first weights and of the order; same seed, same score.

    Returns:
        `Score`.

    Raises:
        ValueError: no labels, training samples of one class only, or a bad number.

    Example:
        >>> images = np.array([0, 255] * 4, "uint8").reshape(8, 1, 1, 1) * np.ones((4, 4, 3), "uint8")
        >>> labels = np.array([0, 1] * 4)
        >>> float(mlp_probe(None, (images, labels), (images, labels), hidden=8))
        1.0
    """
    return mlp_probe_features(
        *labeled(encoder, train, batch_size, "train"),
        *labeled(encoder, test, batch_size, "test"),
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
    x, labels, test, test_labels, classes = checked(train_features, train_labels, test_features, test_labels)
    check_classes(classes)
    x, test = standardized(x, test)
    batch_size = min(batch_size, len(x))
    epochs = max(epochs, math.ceil(1000 / (len(x) // batch_size)))
    model = fit(x[:, :-1], labels, classes, hidden, epochs, batch_size, learning_rate, weight_decay, seed)
    votes = model.predict(test[:, :-1], batch_size=4096, verbose=0)
    return score(votes, test_labels, name="MLP probe")


def fit(x, labels, classes, hidden, epochs, batch_size, learning_rate, weight_decay, seed):
    """The classifier after its training: a `keras.Model` from features to logits, in float32 under every policy."""
    generator = np.random.default_rng([seed, 0])
    draw = lambda gain: keras.initializers.VarianceScaling(gain, "fan_in", seed=int(generator.integers(2**31)))
    first = keras.layers.Dense(hidden, "relu", kernel_initializer=draw(2), dtype="float32", name="hidden")
    last = keras.layers.Dense(classes, kernel_initializer=draw(1), dtype="float32", name="logits")
    model = keras.Sequential([keras.Input((x.shape[1],), dtype="float32"), first, last], name="mlp_probe")
    batches = Batches(x, labels, epochs, batch_size, seed)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, len(batches))
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_list=[first.bias, last.bias])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(batches, shuffle=False, verbose=0)
    return model


class Batches(keras.utils.PyDataset):
    """The batches of all epochs, each a pure function of the seed and its number. Smaller ones are left out."""

    def __init__(self, x, labels, epochs, size, seed):
        super().__init__()
        self.x, self.labels, self.size, self.steps, self.epochs, self.seed = (
            x, labels, size, len(x) // size, epochs, seed
        )  # fmt: skip

    def __len__(self):
        return self.steps * self.epochs

    def __getitem__(self, number):
        epoch, step = divmod(number, self.steps)
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.x))
        chosen = order[step * self.size : (step + 1) * self.size]
        return self.x[chosen], self.labels[chosen]
