"""Detection: Objects as Points (Zhou et al., 2019), https://arxiv.org/abs/1904.07850, as a small head on any encoder.

A heatmap a class has a peak at the center of each object; at the peak the size of its box is read, and where in its
place the center is. No anchors, no suppression of overlapping boxes. Average precision is that of COCO (Lin et al.,
2014), https://arxiv.org/abs/1405.0312.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_ssl.checks import check_ints
from keras_ssl.eval.extraction import as_images, check_pixels
from keras_ssl.eval.fine_tuning import check_size
from keras_ssl.eval.maps import names_of, outputs, pyramid, train as fit
from keras_ssl.eval.result import Measure, Result

# COCO's ten thresholds of the intersection over union, and the recalls at which it reads the precision.
THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
RECALLS = np.linspace(0, 1, 101)
# Weights of the parts of the loss beside the heatmap, as in the paper, whose sizes are in places too.
SIZE, OFFSET = 0.1, 1.0


def detect(
    encoder, train, test, classes, frozen=True, levels=4, width=64, epochs=30, batch_size=16, learning_rate=1e-3,
    weight_decay=0.01, layer_decay=1.0, flip=0.5, max_detections=100, seed=0, verbose=0, return_model=False,
):
    """How well a small head on the maps of an encoder finds objects: average precision as in COCO.

    The pyramid is that of `segment`; on its map, of a quarter of the image, stand CenterNet's three predictions:
    heatmaps of the centers, sizes and offsets. A copy of the encoder is used: the given one stays as it is.

    Unlike in the paper, the width of the peaks in the target allows for boxes that are moved, not resized (intersection
    over union of 0.7 at least).

    Args:
        encoder: as for `segment`.
        train: images and their objects to fit: `(images, boxes, labels)`. Images `(n, height, width, channels)` of
            0..255; for each image an array `(objects, 4)` of left, top, right and bottom in pixels, and an array
            `(objects,)` of class numbers from 0. Or arrays `(n, most objects, 4)` and `(n, most objects)` with the
            label -1 where there is no object.
        test: images and objects to score, as `train`.
        classes: list of the names of the classes, or their number. The background is none.
        frozen, levels, width, epochs, batch_size, learning_rate, weight_decay, layer_decay, flip: as for `segment`.
        max_detections: positive int, objects per image that count, those with the highest scores; 100 in COCO.
        seed, verbose, return_model: as for `segment`.

    Returns:
        `Result` with the measures `"AP"`, the mean over the thresholds 0.50, 0.55 ... 0.95 of the intersection over
        union and over the classes that are in the test set; `"AP at 0.5"`; and `"AP of NAME"` for each of them. With
        `return_model` a pair of it and a `keras.Model`, whose output `detections` reads.

    Raises:
        TypeError: the encoder is not functional, or cannot be copied.
        ValueError: it has no maps, images or boxes do not fit, a bad number, or the training has diverged.

    Example:
    ```python
    result, detector = keras_ssl.eval.detect(
        encoder, (images, boxes, labels), (test_images, test_boxes, test_labels), ["cat", "dog"], return_model=True
    )
    boxes, labels, scores = keras_ssl.eval.detections(detector, test_images)[0]
    ```
    """
    names = names_of(classes)
    images, objects = checked(train, len(names), "train")
    test_images, truth = checked(test, len(names), "test")
    if test_images.shape[1:] != images.shape[1:]:
        raise ValueError(
            "train and test images must have one size. Received: images of shapes "
            f"{images.shape[1:]} and {test_images.shape[1:]}"
        )
    check_ints(max_detections=max_detections)
    check_size(encoder, test_images, "test")
    body, draw = pyramid(encoder, images, levels, width, frozen, seed)
    model = with_predictions(body, len(names), draw)
    grid = model.output_shape[1:3]
    fit(
        model, loss, images,
        lambda i, flipped: encoded(*(mirrored(*objects[i], images.shape[2]) if flipped else objects[i]),
                                   images.shape[1:3], grid, len(names)),
        epochs, batch_size, learning_rate, weight_decay, layer_decay, flip, seed, verbose,
    )

    precision = average_precision(detections(model, test_images, max_detections, batch_size), truth, len(names))
    of_classes = {f"AP of {name}": precision[:, i].mean() for i, name in enumerate(names)}
    numbers = {"AP": np.nanmean(precision), "AP at 0.5": np.nanmean(precision[0]), **of_classes}
    found = Result(
        "detection",
        {
            key: Measure(float(value), n=len(test_images), over="images")
            for key, value in numbers.items() if not math.isnan(value)
        },
        settings={"frozen": frozen, "levels": levels, "epochs": epochs, "seed": seed},
    )
    return (found, model) if return_model else found


def detections(model, images, max_detections=100, batch_size=16):
    """The objects that a model of `detect` finds.

    Args:
        model: `keras.Model` that `detect` returned with `return_model=True`, or one loaded from its file.
        images: array `(n, height, width, channels)` of the size of the training images.
        max_detections: positive int, objects per image, those with the highest scores.
        batch_size: positive int, images per step.

    Returns:
        list with a triple for each image: float32 array `(objects, 4)` of left, top, right, bottom in pixels, int64
        array `(objects,)` of class numbers, float32 array `(objects,)` of scores in 0..1, the highest first.

    Example:
    ```python
    boxes, labels, scores = keras_ssl.eval.detections(detector, images)[0]
    ```
    """
    check_ints(max_detections=max_detections, batch_size=batch_size)
    images = as_images(images)
    found = []
    for _, maps in outputs(model, images, batch_size):
        found.extend(decoded(maps, images.shape[1:3], max_detections))
    return found


def average_precision(found, truth, classes, thresholds=THRESHOLDS):
    """COCO's average precision for each threshold and class.

    In each image the found objects choose in the order of their scores, each the true object of its class that is not
    yet taken and overlaps most. Those whose overlap reaches the threshold are right. Over all images the precision is
    read at 101 recalls, at each the best one at this recall or a higher one, and averaged.

    Args:
        found: list with a triple `(boxes, labels, scores)` for each image, see `detections`.
        truth: list with a pair `(boxes, labels)` for each image.
        classes: positive int, their number.
        thresholds: floats in (0, 1], of the intersection over union.

    Returns:
        float64 array `(thresholds, classes)`, NaN for classes that are not in the truth.

    Raises:
        ValueError: not as many found as true images.

    Example:
        >>> box = np.array([[0.0, 0.0, 8.0, 8.0]])
        >>> label = np.array([0])
        >>> average_precision([(box, label, np.ones(1))], [(box, label)], classes=1, thresholds=[0.5]).tolist()
        [[1.0]]
    """
    if len(found) != len(truth):
        raise ValueError(f"Expected found and true objects of the same images. Received: {len(found)}, {len(truth)}")
    thresholds = np.asarray(thresholds, "float64")
    hits, labels, scores = [np.zeros((len(thresholds), 0), bool)], [np.zeros(0, int)], [np.zeros(0)]
    for (boxes, marks, values), (true_boxes, true_marks) in zip(found, truth, strict=True):
        order = np.argsort(-np.asarray(values), kind="stable")
        boxes, marks = np.asarray(boxes)[order], np.asarray(marks)[order]
        hits.append(matched(overlap(boxes, true_boxes), marks[:, None] == np.asarray(true_marks)[None], thresholds))
        labels.append(marks)
        scores.append(np.asarray(values)[order])
    hits, labels, scores = np.concatenate(hits, axis=1), np.concatenate(labels), np.concatenate(scores)
    totals = np.bincount(np.concatenate([np.asarray(marks, int) for _, marks in truth]), minlength=classes)
    precision = np.full((len(thresholds), classes), np.nan)
    for c in np.flatnonzero(totals[:classes]):
        chosen = np.flatnonzero(labels == c)
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
        for t in range(len(thresholds)):
            precision[t, c] = interpolated(hits[t, chosen], totals[c])
    return precision


def matched(overlaps, same, thresholds):
    """Which found objects are right: bool `(thresholds, found)`; `overlaps` and `same` are `(found, true)`."""
    hits = np.zeros((len(thresholds), len(overlaps)), bool)
    if not overlaps.size:
        return hits
    free = np.ones((len(thresholds), overlaps.shape[1]), bool)
    rows = np.arange(len(thresholds))
    for i, row in enumerate(np.where(same, overlaps, -1.0)):
        left = np.where(free, row, -1.0)  # (thresholds, true)
        best = left.argmax(axis=1)
        hits[:, i] = left[rows, best] >= thresholds
        free[rows[hits[:, i]], best[hits[:, i]]] = False
    return hits


def interpolated(hits, total):
    """The mean of the precision at 101 recalls, of objects in the order of their scores."""
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best at this recall or a higher one
    # The first object with which a recall is reached; the comparison is of whole numbers, up to rounding.
    place = np.searchsorted(right / total, RECALLS - 1e-9)
    return np.append(precision, 0.0)[place].mean()


def overlap(first, second):
    """Intersection over union of boxes: `(m, 4)` and `(n, 4)` to float64 `(m, n)`."""
    first, second = np.reshape(first, (-1, 1, 4)).astype("float64"), np.reshape(second, (1, -1, 4)).astype("float64")
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (first, second)]
    return both / np.maximum(areas[0] + areas[1] - both, 1e-12)


# The head


def with_predictions(body, classes, draw):
    """Images to `(batch, rows, columns, classes + 4)`: logits of the centers, sizes and offsets in places."""
    parts = []
    for name, channels, bias in (("centers", classes, math.log(0.1 / 0.9)), ("sizes", 2, 0.0), ("offsets", 2, 0.5)):
        parts.append(keras.layers.Conv2D(
            channels, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.001, seed=draw().seed),
            bias_initializer=keras.initializers.Constant(bias),  # few places are centers: begin near a chance of 0.1
            data_format="channels_last", dtype="float32", name=name,
        )(body.output))
    return keras.Model(body.input, keras.layers.Concatenate(dtype="float32", name="objects")(parts), name="detection")


def loss(target, found):
    """The paper's: focal loss of the heatmaps with the penalty reduced near centers, and L1 of sizes and offsets.

    The sums over an image are divided by the number of its objects, at least one.

    Args:
        target: `(batch, rows, columns, classes + 5)`, as `encoded` makes it.
        found: `(batch, rows, columns, classes + 4)`.
    """
    classes = found.shape[-1] - 4
    target = ops.cast(target, "float32")
    heat, logits = target[..., :classes], found[..., :classes]
    p = ops.sigmoid(logits)
    center = ops.cast(heat >= 1, "float32")
    focal = -center * (1 - p) ** 2 * ops.log_sigmoid(logits)
    focal = focal - (1 - center) * (1 - heat) ** 4 * p**2 * ops.log_sigmoid(-logits)
    there = target[..., -1:]  # 1 at a center
    distance = there * ops.abs(target[..., classes:-1] - found[..., classes:])
    total = (
        ops.sum(focal, axis=(1, 2, 3))
        + SIZE * ops.sum(distance[..., :2], axis=(1, 2, 3))
        + OFFSET * ops.sum(distance[..., 2:], axis=(1, 2, 3))
    )
    return ops.mean(total / ops.maximum(ops.sum(there, axis=(1, 2, 3)), 1.0))


def encoded(boxes, labels, size, grid, classes):
    """The target of an image: heatmaps, sizes, offsets and where centers are, `(rows, columns, classes + 5)`."""
    target = np.zeros((*grid, classes + 5), "float32")
    step = np.array([size[1] / grid[1], size[0] / grid[0]])  # pixels of a place, across and down
    rows, columns = np.arange(grid[0])[:, None], np.arange(grid[1])[None]
    for box, label in zip(np.reshape(boxes, (-1, 4)), labels):
        center, length = (box[:2] + box[2:]) / 2 / step, (box[2:] - box[:2]) / step
        column, row = np.minimum(center.astype(int), [grid[1] - 1, grid[0] - 1])
        sigma = max(reach(*length) / 3, 1e-3)
        peak = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
        target[..., label] = np.maximum(target[..., label], peak)
        target[row, column, classes:] = [*length, center[0] - column, center[1] - row, 1.0]
    return target


def reach(width, height, least=0.7):
    """How far a box may move, across and down, until its intersection over union with itself is `least`."""
    # (width - r) * (height - r) = 2 * least / (1 + least) * width * height
    both, area = width + height, width * height
    return (both - math.sqrt(both**2 - 4 * area * (1 - 2 * least / (1 + least)))) / 2


def decoded(maps, size, max_detections):
    """The objects at the peaks of the heatmaps of some images, see `detections`."""
    count, rows, columns, channels = maps.shape
    classes = channels - 4
    heat = maps[..., :classes]
    around = ops.convert_to_numpy(ops.max_pool(heat, 3, 1, "same", data_format="channels_last"))
    heat = np.where(heat >= around, heat, -np.inf).reshape(count, -1)
    step = np.array([size[1] / columns, size[0] / rows])
    found = []
    for i in range(count):
        chosen = np.argsort(-heat[i], kind="stable")[:max_detections]
        chosen = chosen[np.isfinite(heat[i, chosen])]
        row, column, label = np.unravel_index(chosen, (rows, columns, classes))
        length, offset = np.split(maps[i, row, column, classes:].astype("float64"), 2, axis=1)
        center = (np.stack([column, row], axis=1) + offset) * step
        half = np.maximum(length, 0) * step / 2
        boxes = np.concatenate([center - half, center + half], axis=1).clip(0, [size[1], size[0]] * 2)
        scores = 1 / (1 + np.exp(-heat[i, chosen].astype("float64")))
        found.append((boxes.astype("float32"), label, scores.astype("float32")))
    return found


def mirrored(boxes, labels, width):
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1), labels


# What is given


def checked(data, classes, name):
    """Images, and for each of them a pair of float32 boxes `(objects, 4)` and int labels `(objects,)`."""
    if not isinstance(data, (tuple, list)) or len(data) != 3:
        raise ValueError(f"{name} must be (images, boxes, labels). Received: {type(data).__name__}")
    images, boxes, labels = as_images(data[0]), data[1], data[2]
    if images.ndim != 4 or not len(images) or not len(images) == len(boxes) == len(labels):
        raise ValueError(
            "Expected images (n, height, width, channels), and boxes and labels for each of them. Received: "
            f"{name} images of shape {images.shape}, boxes of {len(boxes)} and labels of {len(labels)} images"
        )
    check_pixels(images)
    height, width = images.shape[1:3]
    objects = []
    for i, (some, marks) in enumerate(zip(boxes, labels)):
        some, marks = np.asarray(some, "float32").reshape(-1, 4), np.asarray(marks).reshape(-1)
        if len(some) != len(marks) or (len(marks) and marks.dtype.kind not in "iu"):
            raise ValueError(
                f"Expected one int label a box. Received: {name} image {i} with {len(some)} boxes and the labels "
                f"{marks[:5].tolist()} of dtype {marks.dtype}"
            )
        some, marks = some[marks >= 0], marks[marks >= 0].astype("int64")
        if np.any(marks >= classes):
            raise ValueError(
                f"Labels must be below {classes}, the classes. Received: {marks.max()} in {name} image {i}"
            )
        inside = (some[:, :2] >= 0).all(1) & (some[:, 2] <= width) & (some[:, 3] <= height)
        wrong = some[~(inside & (some[:, 2:] > some[:, :2]).all(1))]
        if len(wrong):
            raise ValueError(
                f"Boxes must be left, top, right, bottom in pixels, inside the image of {width} x {height}, and not "
                f"empty. Received: {wrong[0].tolist()} in {name} image {i}"
            )
        objects.append((some, marks))
    if not any(len(marks) for _, marks in objects):
        raise ValueError(f"The {name} set has no objects.")
    return images, objects
