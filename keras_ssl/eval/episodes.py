"""Few-shot episodes: Matching Networks for One Shot Learning (Vinyals et al., 2016), arXiv 1606.04080.

The classifiers: nearest centroid, as in SimpleShot (Wang et al., 2019), arXiv 1911.04623, and logistic regression, as
in Rethinking Few-Shot Image Classification (Tian et al., 2020), arXiv 2003.11539, both on features of length 1.
"""

import numpy as np

from keras_ssl.eval.extraction import integers, labeled, matrix
from keras_ssl.eval.nearest import checked, unit
from keras_ssl.eval.result import Result

# Numbers of the largest array of a chunk of episodes: 64 MiB of float32.
NUMBERS = 2**24


def few_shot(encoder, train, test=None, shots=(1, 5), ways=5, episodes=600, queries=15, seed=0, batch_size=256):
    """Accuracy of a classifier that sees one or a few images of each class, over many small random tasks.

    An episode draws `ways` classes, of each some images to learn from and `queries` others to classify. Two
    classifiers see the same episodes: the nearest mean of a class, and a logistic regression (scikit-learn's with
    `C=1`, solved for all episodes at once). Fewer shots are a part of the more.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, or None for raw pixels.
        train: labeled images to learn from: a pair of arrays `(images, labels)` or a `tf.data.Dataset`, see
            `features`.
        test: labeled images to classify, of the same classes. None: others of `train`. As in the papers, take classes
            that were not trained on with labels.
        shots: positive int or several, images of a class to learn from.
        ways: int of 2 or more, classes of an episode. Classes with too few images for an episode are left out.
        episodes: positive int; 600 or 10,000 in the papers.
        queries: positive int, images of a class to classify; 15 in the papers.
        seed: int from 0, the choice of the episodes; same seed, same result.
        batch_size: int, images per step of the encoder.

    Returns:
        `Result` with the measures `"1-shot nearest centroid"`, `"1-shot logistic regression"` and so on, means over the
        episodes.

    Raises:
        ValueError: no labels, a bad number, or fewer than `ways` classes with enough images.

    Example:
        >>> images, labels = np.zeros((8, 4, 4, 3), "uint8"), np.array([0, 1] * 4)
        >>> images[1::2, :, :, 0], images[::2, :, :, 1] = 255, 255
        >>> float(few_shot(None, (images, labels), shots=2, ways=2, episodes=10, queries=2))
        1.0
    """
    return few_shot_features(
        *labeled(encoder, train, batch_size, "train"),
        *(labeled(encoder, test, batch_size, "test") if test is not None else (None, None)),
        shots=shots, ways=ways, episodes=episodes, queries=queries, seed=seed,
    )


def few_shot_features(
    train_features, train_labels, test_features=None, test_labels=None,
    shots=(1, 5), ways=5, episodes=600, queries=15, seed=0,
):
    """`few_shot` of features that are already there.

    Args:
        train_features: array `(n, dim)`.
        train_labels: int array `(n,)`.
        test_features: array `(m, dim)`, or None.
        test_labels: int array `(m,)`, or None.
        shots, ways, episodes, queries, seed: see `few_shot`.

    Returns:
        `Result`.

    Example:
        >>> corners = np.eye(2)[[0, 1] * 4]
        >>> float(few_shot_features(corners, [0, 1] * 4, shots=1, ways=2, episodes=5, queries=3))
        1.0
    """
    shots = sorted(set(np.atleast_1d(shots).tolist()))
    for name, value, least in (
        *(("shots", shot, 1) for shot in shots), ("ways", ways, 2), ("episodes", episodes, 1), ("queries", queries, 1),
        ("seed", seed, 0),
    ):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} must be an int of {least} or more. Received: {name}={value!r}")
    alone = test_features is None
    if alone:
        test_features, test_labels = train_features, train_labels
    gallery, labels, others, marks, _ = checked(
        matrix(train_features, "train_features"), integers(train_labels), test_features, test_labels
    )
    gallery, others = unit(gallery), unit(others)
    classes = members(labels, None if alone else marks, shots[-1], queries, ways)
    names = ("nearest centroid", "logistic regression")
    found = {f"{shot}-shot {name}": [] for shot in shots for name in names}
    size = ways * max(shots[-1] * gallery.shape[1], queries * gallery.shape[1], shots[-1] ** 2 * ways)
    step = max(1, NUMBERS // size)
    for start in range(0, episodes, step):
        drawn = [episode(classes, shots[-1], ways, queries, seed, i) for i in range(start, min(start + step, episodes))]
        support, asked = (np.stack(part) for part in zip(*drawn))  # (episodes, ways, shots or queries)
        asked = others[asked].reshape(len(drawn), ways * queries, -1)
        for shot in shots:
            known = gallery[support[:, :, :shot]]  # (episodes, ways, shot, dim)
            for name, votes in zip(names, (centroids(known, asked), logistic(known, asked))):
                right = np.argmax(votes, axis=2) == np.repeat(np.arange(ways), queries)
                found[f"{shot}-shot {name}"] += np.mean(right, axis=1).tolist()
    settings = {"ways": ways, "shots": shots, "queries": queries, "seed": seed}
    return Result("few-shot", found, over="episodes", settings=settings, bounds=(0.0, 1.0))


def members(labels, marks, shots, queries, ways):
    """For each class with enough images, their places in the training set and in the test set (None: one set)."""
    classes = []
    for name in np.unique(labels):
        known = np.flatnonzero(labels == name)
        asked = None if marks is None else np.flatnonzero(marks == name)
        if len(known) >= shots + (queries if asked is None else 0) and (asked is None or len(asked) >= queries):
            classes.append((known, asked))
    if len(classes) < ways:
        raise ValueError(
            f"ways={ways} needs as many classes with {shots} images to learn from and {queries} others to classify. "
            f"Received: {len(classes)} such classes of {len(np.unique(labels))}. Lower ways, shots or queries."
        )
    return classes


def episode(classes, shots, ways, queries, seed, number):
    """One episode, a function of the seed and its number: places `(ways, shots)` and `(ways, queries)`."""
    generator = np.random.default_rng([seed, number])
    support, asked = [], []
    for chosen in generator.choice(len(classes), ways, replace=False):
        known, others = classes[chosen]
        if others is None:
            places = generator.choice(known, shots + queries, replace=False)
            support.append(places[:shots])
            asked.append(places[shots:])
        else:
            support.append(generator.choice(known, shots, replace=False))
            asked.append(generator.choice(others, queries, replace=False))
    return np.stack(support), np.stack(asked)


def centroids(known, asked):
    """Minus the squared distances `(episodes, questions, ways)` to the means of the classes, but for a constant."""
    means = np.mean(known, axis=2)  # (episodes, ways, dim)
    return 2 * asked @ means.transpose(0, 2, 1) - np.sum(means**2, axis=2)[:, None]


def logistic(known, asked):
    """Logits `(episodes, questions, ways)` of the minimum of `sum of cross-entropies + ||W||^2 / 2`, bias free.

    Every gradient is a sum of the few images that are known, so `W = known^T coefficients`: the descent (Nesterov's,
    with a step that is safe for rows of length 1) runs on coefficients, and the size of the features does not matter.
    """
    episodes, ways, shots, dim = known.shape
    known = known.reshape(episodes, ways * shots, dim)
    gram = known @ known.transpose(0, 2, 1)
    goal = np.repeat(np.eye(ways, dtype="float32"), shots, axis=0)
    curvature = ways * shots + 1.0  # (||x||^2 + 1 for the bias) / 2, summed over the images, and the decay
    speed = (np.sqrt(curvature) - 1) / (np.sqrt(curvature) + 1)
    state = [np.zeros((episodes, ways * shots, ways), "float32"), np.zeros((episodes, 1, ways), "float32")]
    ahead = state
    for _ in range(int(20 * np.sqrt(curvature)) + 50):
        coefficients, bias = ahead
        error = softmax(gram @ coefficients + bias) - goal
        moved = [
            coefficients - np.float32(1 / curvature) * (error + coefficients),
            bias - np.float32(1 / curvature) * np.sum(error, axis=1, keepdims=True),
        ]
        ahead = [new + np.float32(speed) * (new - old) for new, old in zip(moved, state)]
        state = moved
    return asked @ (known.transpose(0, 2, 1) @ state[0]) + state[1]


def softmax(x):
    x = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return x / np.sum(x, axis=-1, keepdims=True)
