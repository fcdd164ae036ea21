"""Callbacks: the evaluations as numbers of every epoch, in the logs of `fit`."""

import re
import warnings

import keras
import numpy as np

from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.eval.classes import accuracy
from keras_ssl.eval.extraction import (
    check_ends, check_labels, check_pixels, chunks, concatenated, count, cut, each, elements, encoding, integers,
    labeled,
)  # fmt: skip
from keras_ssl.eval.geometry import Diverged, alignment, collapse
from keras_ssl.eval.nearest import check_classes, knn_features
from keras_ssl.eval.probe import linear_features
from keras_ssl.eval.result import Result


class Evaluation(keras.callbacks.Callback):
    """Base: writes what `measure(encoder)` returns into the logs of the first, every `every`-th and the last epoch.

    The encoder is `model.evaluated_encoder`; of a model that is no method `model.encoder`, or the model itself where it
    has none. The training is not changed: the encoder runs in inference mode and no random state moves. The epochs
    between repeat the last numbers, so that all columns of `History` and `CSVLogger` have one row an epoch.

    A subclass has `names`, the tuple of the keys it writes.
    """

    def __init__(self, every):
        super().__init__()
        check_ints(every=every)
        self.every = every
        self.numbers = None

    @property
    def encoder(self):
        return getattr(self.model, "evaluated_encoder", getattr(self.model, "encoder", self.model))

    def measure(self, encoder):
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        self.numbers = None

    def on_epoch_end(self, epoch, logs=None):
        due = (epoch + 1) % self.every == 0 or epoch + 1 == (self.params or {}).get("epochs")
        if due or self.numbers is None:
            self.numbers = self.measure(self.encoder)
        if logs is not None:
            logs.update(self.numbers)


def check_given(data, name):
    """What `labeled` would raise at the end of the first epoch, as far as it can be told before. Returns the labels of
    arrays."""
    if hasattr(data, "element_spec"):
        check_ends(data)
        spec = data.element_spec
        has = "label" in spec if isinstance(spec, dict) else isinstance(spec, tuple) and len(spec) > 1
        has = has or isinstance(spec, tuple) and isinstance(spec[0], dict) and "label" in spec[0]
        check_labels(True if has else None, name)
        return None
    columns, labels = data if isinstance(data, (tuple, list)) and len(data) == 2 else (data, None)
    if isinstance(columns, dict) and labels is None:
        labels = columns.get("label")
    check_labels(labels, name)
    labels = integers(labels)
    samples = count(columns) if isinstance(columns, dict) or hasattr(columns, "shape") else len(labels)
    if samples != len(labels):
        raise ValueError(f"Expected one label a sample. Received: {samples} {name} samples, {len(labels)} labels")
    return labels


class Labeled(Evaluation):
    """Base of the evaluations with labels: logs the accuracy under `name`, keeps the `Score` as `score`."""

    def __init__(self, train, test, every, batch_size, name):
        super().__init__(every)
        check_ints(batch_size=batch_size)
        found = check_given(train, "train")
        check_given(test, "test")
        if found is not None:
            check_classes(len(np.unique(found)))
        self.train, self.test, self.batch_size, self.name = train, test, batch_size, name
        self.names = (name,)
        self.score = None

    def measure(self, encoder):
        sets = [labeled(encoder, getattr(self, name), self.batch_size, name) for name in ("train", "test")]
        if not all(np.all(np.isfinite(rows)) for rows, _ in sets):
            warnings.warn(f"{self.name}: the features hold NaN or infinite numbers: the encoder has diverged.")
            return {self.name: float("nan")}
        self.score = self.judge(*sets[0], *sets[1])
        return {self.name: float(self.score)}


class KNN(Labeled):
    """Logs the accuracy of `knn` at the end of the epochs.

    To keep the best epoch, give `ModelCheckpoint` or `EarlyStopping` `monitor="knn", mode="max"`.

    Args:
        train: labeled images that vote, see `knn`. Take a validation part of the training set, not the test set,
            where the number chooses between runs.
        test: labeled images that are classified.
        every: positive int, epochs between two measurements.
        k: positive int, number of neighbors, see `knn`.
        temperature: positive float, see `knn`.
        batch_size: int, images per step of the encoder.
        name: string, the key in the logs.

    Attributes:
        score: the last `Score`.

    Example:
        >>> labeled = np.zeros((4, 8, 8, 3), "uint8"), np.array([0, 1, 0, 1])
        >>> callback = KNN(train=labeled, test=labeled, k=2)
    """

    def __init__(self, train, test, every=1, k=200, temperature=0.1, batch_size=256, name="knn"):
        super().__init__(train, test, every, batch_size, name)
        check_ints(k=k)
        check_numbers(above=0, temperature=temperature)
        self.k, self.temperature = k, temperature

    def judge(self, *sets):
        return knn_features(*sets, k=self.k, temperature=self.temperature)


class LinearProbe(Labeled):
    """Logs the accuracy of `linear` at the end of the epochs; it takes seconds, so mind `every`.

    Args:
        train: labeled images to fit, see `linear`.
        test: labeled images to score.
        every: positive int, epochs between two measurements.
        epochs, batch_size, learning_rate, weight_decay, seed: see `linear`.
        name: string, the key in the logs.

    Attributes:
        score: the last `Score`.

    Example:
        >>> labeled = np.zeros((4, 8, 8, 3), "uint8"), np.array([0, 1, 0, 1])
        >>> callback = LinearProbe(train=labeled, test=labeled, every=10)
    """

    def __init__(
        self, train, test, every=10, epochs=100, batch_size=256, learning_rate=None, weight_decay=None, seed=0,
        name="linear",
    ):
        super().__init__(train, test, every, batch_size, name)
        check_ints(epochs=epochs)
        check_numbers(above=0, optional=True, learning_rate=learning_rate)
        check_numbers(least=0, optional=True, weight_decay=weight_decay)
        self.epochs, self.learning_rate, self.weight_decay, self.seed = epochs, learning_rate, weight_decay, seed

    def judge(self, *sets):
        return linear_features(
            *sets, epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate,
            weight_decay=self.weight_decay, seed=self.seed,
        )


class Accuracy(Evaluation):
    """Logs the accuracy of the classifier that a method trains at the end of the epochs, such as that of `FixMatch`.

    It is `model.evaluated_classifier`; of a model that is no method the model itself.

    Args:
        test: labeled images, see `accuracy`. Take a validation part of the training set, not the test set, where the
            number chooses between runs.
        every: positive int, epochs between two measurements.
        batch_size: int, images per step.
        name: string, the key in the logs.

    Attributes:
        score: the last `Score`.

    Example:
        >>> callback = Accuracy((np.zeros((4, 8, 8, 3), "uint8"), np.array([0, 1, 0, 1])))
    """

    def __init__(self, test, every=1, batch_size=256, name="test_accuracy"):
        super().__init__(every)
        check_ints(batch_size=batch_size)
        check_given(test, "test")
        self.test, self.batch_size, self.name = test, batch_size, name
        self.names = (name,)
        self.score = None

    @property
    def encoder(self):
        found = getattr(self.model, "evaluated_classifier", None)
        if found is None and hasattr(self.model, "evaluated_encoder"):
            raise ValueError(
                f"{type(self.model).__name__} trains no classifier, so it has no accuracy: take KNN or LinearProbe. "
                "Received: a method without `evaluated_classifier`"
            )
        return self.model if found is None else found

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.encoder  # what cannot be measured is said before the first epoch

    def measure(self, encoder):
        try:
            self.score = accuracy(encoder, self.test, self.batch_size)
        except Diverged as error:
            warnings.warn(f"{self.name}: {error}")
            return {self.name: float("nan")}
        return {self.name: float(self.score)}


class Monitor(Evaluation):
    """Logs the numbers of any evaluation at the end of the epochs.

    The keys are `name` and, of a `Result`, the names of its measures, in small letters: `clustering_nmi`.

    Args:
        measure: function of the encoder that returns a `Result`, a `Score` or a number; all of `keras_ssl.eval` do,
            with their other arguments filled in.
        name: string, the start of the keys in the logs.
        every: positive int, epochs between two measurements.

    Attributes:
        result: what the last call returned.

    Raises:
        TypeError: `measure` is no function.
        ValueError: a bad `every`.

    Example:
        >>> labeled = np.zeros((4, 8, 8, 3), "uint8"), np.array([0, 1, 0, 1])
        >>> callback = Monitor(lambda encoder: retrieval(encoder, labeled), "retrieval", every=5)
    """

    def __init__(self, measure, name, every=1):
        super().__init__(every)
        if not callable(measure):
            raise TypeError(f"measure must be a function of the encoder. Received: measure={measure!r}")
        self.function, self.name, self.names = measure, name, ()
        self.result = None

    def measure(self, encoder):
        try:
            self.result = self.function(encoder)
        except Diverged as error:
            warnings.warn(f"{self.name}: {error}")
            return dict.fromkeys(self.names or (self.name,), float("nan"))
        if isinstance(self.result, Result):
            numbers = {f"{self.name}_{key}": found.mean for key, found in self.result.measures.items()}
        else:
            numbers = {self.name: float(self.result)}
        numbers = {re.sub(r"\W+", "_", key).lower(): number for key, number in numbers.items()}
        self.names = tuple(numbers)
        return numbers


class CollapseMonitor(Evaluation):
    """Logs the geometry of the features and warns, or stops the training, when they collapse.

    The logs get `feature_std`, `feature_rank` and `feature_uniformity` (see `collapse`), and with `augment` also
    `feature_alignment`. The images are taken once, when the training begins. It warns when `feature_std` falls below
    the threshold, and again only after it has recovered. It looks at `model.encoder`, the trained one, also where
    another is evaluated.

    Args:
        data: images as an array `(n, height, width, channels)`, 0..255, or samples of another kind, see `features`; or
            a `tf.data.Dataset`, for example the one that is trained on. The pipelines of `keras_ssl.data` are left as
            they were. Another data set with a `shuffle` of its own has one pass
            more begun, which may change the order of the training: give it a data set of its own.
        augment: layer or callable from a batch, as `data` has it, to a list of views, whose first two are compared. A
            layer's random state is put back.
        threshold: float, the `feature_std` below which the features count as collapsed.
        action: `"warn"` or `"stop"`: `warnings.warn`, or the same and the end of the training.
        every: positive int, epochs between two measurements.
        images: int, the number of images to look at.
        batch_size: int, images per step of the encoder.

    Attributes:
        collapsed: bool, whether the last measurement was below the threshold.

    Raises:
        ValueError: a bad `action`, `threshold`, `every` or number of images.

    Example:
        >>> callback = CollapseMonitor(np.zeros((512, 8, 8, 3), "uint8"), action="stop")
    """

    def __init__(self, data, augment=None, threshold=0.1, action="warn", every=1, images=512, batch_size=256):
        super().__init__(every)
        if action not in ("warn", "stop"):
            raise ValueError(f'action must be "warn" or "stop". Received: action={action!r}')
        check_numbers(least=0, threshold=threshold)
        if not isinstance(images, (int, np.integer)) or images < 2:
            raise ValueError(f"images must be an int of 2 or more. Received: images={images!r}")
        self.data, self.augment, self.threshold, self.action = data, augment, threshold, action
        self.images, self.batch_size = images, batch_size
        self.names = ("feature_std", "feature_rank", "feature_uniformity", *(("feature_alignment",) if augment else ()))
        self.sample = None
        self.views = None
        self.collapsed = False

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self.sample is None:
            self.sample = first_images(self.data, self.images, self.encoder)
            self.views = None if self.augment is None else two_views(self.augment, self.sample)

    @property
    def encoder(self):
        return getattr(self.model, "encoder", self.model)  # a teacher would show a collapse late

    def measure(self, encoder):
        encode = encoding(encoder, self.batch_size)
        features, views = encode(self.sample), [encode(view) for view in self.views or ()]
        if all(np.all(np.isfinite(rows)) for rows in (features, *views)):
            geometry = collapse(features)
            numbers = {f"feature_{key}": geometry[key] for key in ("std", "rank", "uniformity")}
            if views:
                numbers["feature_alignment"] = alignment(*views)
            self.judge(
                numbers["feature_std"] < self.threshold,
                f"The features have collapsed: feature_std = {geometry['std']:.3f} is below {self.threshold:g} "
                f"(1: uniform on the sphere, 0: all images alike), feature_rank = {geometry['rank']:.1f} of "
                f"{features.shape[1]}. Try a smaller learning rate, a warm-up, a larger batch or a stronger "
                f"augmentation, and see that no part of the loss (stop-gradient, predictor, negatives, centering) is "
                f"missing.",
            )
            return numbers
        self.judge(
            True,
            "The features hold NaN or infinite numbers: the encoder has diverged. Try a smaller learning rate, a "
            "warm-up, or gradient clipping.",
        )
        return dict.fromkeys(self.names, float("nan"))

    def judge(self, collapsed, message):
        if collapsed and not self.collapsed:
            warnings.warn(message + (" The training stops here." if self.action == "stop" else ""), stacklevel=2)
        if collapsed and self.action == "stop":
            self.model.stop_training = True
        self.collapsed = collapsed


def first_images(data, number, encoder=None):
    """The first so many samples of an array, of a dict of arrays, or of a data set that may be endless."""
    parts, found = [], 0
    batches = elements(data, encoder, endless=True) if hasattr(data, "element_spec") else chunks(data, number, encoder)
    for sample, _ in batches:
        if not parts and hasattr(data, "element_spec"):
            check_pixels(sample, encoder)
        parts.append(cut(sample, slice(number - found)))
        found += count(parts[-1])
        if found >= number:
            batches.close()
            break
    if found < 2:
        raise ValueError(f"CollapseMonitor needs two images at least, or samples of another kind. Received: {found}")
    return concatenated(parts)


def two_views(augment, images):
    """Two views of the samples as arrays; the random state of a layer is put back."""
    variables = getattr(augment, "variables", ())
    before = [np.array(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(variable))) for variable in variables]
    views = augment(images, training=True) if isinstance(augment, keras.layers.Layer) else augment(images)
    for variable, value in zip(variables, before):
        variable.assign(value)
    if not isinstance(views, (list, tuple)) or len(views) < 2:
        raise ValueError(f"augment must return a list of two views or more. Received: {type(views).__name__}")
    return [each(keras.ops.convert_to_numpy, view) for view in views[:2]]
