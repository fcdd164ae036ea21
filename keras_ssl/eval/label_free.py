"""Label-free: what the features say of an encoder without any label.

RankMe (Garrido et al., 2022), arXiv 2210.02885. LiDAR: Sensing Linear Probing Performance in Joint Embedding SSL
Architectures (Thilak et al., 2023), arXiv 2312.04000. Alignment and uniformity (Wang and Isola, 2020), 2005.10242.
"""

import keras
import numpy as np

from keras_ssl.checks import check_numbers
from keras_ssl.eval.extraction import chunks, count, cut, each, encoding
from keras_ssl.inputs import kind_of
from keras_ssl.eval.geometry import Diverged, alignment, finite, rank, uniformity
from keras_ssl.eval.result import Measure, Result


def rank_me(encoder, data, images=25600, batch_size=256):
    """RankMe: the effective number of dimensions that the features use, which tells collapse of dimensions.

    `exp(entropy of p)`, `p = s / sum(s)`, with the singular values `s` of the features, not centered: from 1 to
    `min(n, dim)`. The paper takes images of the pre-training and, where the method has a projector, its outputs.
    Compare at one number of images, and encoders of one method.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`, for example an encoder with its projector, or
            None for raw pixels.
        data: images as an array or a finite `tf.data.Dataset`, see `features`.
        images: int of 2 or more, the first so many are taken; the paper's 25,600.
        batch_size: int, images per step of the encoder.

    Returns:
        `Result` with the measure `"RankMe"`.

    Raises:
        ValueError: fewer than two images, or features with NaN.

    Example:
        >>> round(float(rank_me(None, np.full((4, 8, 8, 3), 9, "uint8"))), 3)
        1.0
    """
    check(images=(images, 2))
    encode = encoding(encoder, batch_size)
    rows = np.concatenate([encode(part) for part in first(data, images, batch_size, encoder)])
    return single("RankMe", {"RankMe": rank(finite(rows, "The features"))}, rows.shape)


def lidar(encoder, data, augment, images=1000, views=50, seed=0, batch_size=256):
    """LiDAR: the effective number of dimensions in which views of one image are closer than those of others.

    Each image is a class of its own, and its views are the samples of the class. Like RankMe, of the matrix that linear
    discriminant analysis looks at. From 1 to `min(images - 1, dim)`. As RankMe, compare at equal numbers.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`; in the paper, with its projector.
        data: images as an array or a finite `tf.data.Dataset`, see `features`.
        augment: layer or function from a batch of images to a list of views or one view, best the one of the
            pre-training. It is called as often as needed; of views of several sizes, those of the first one's are
            taken. A layer's random state is put back.
        images: int of 2 or more, the paper's n; the first so many are taken.
        views: int of 2 or more, of each image; the paper's q.
        seed: int from 0, of the views, for layers of `keras_ssl.augment`.
        batch_size: int, images per step of the encoder.

    Returns:
        `Result` with the measure `"LiDAR"`.

    Raises:
        ValueError: fewer than two images, or features with NaN.
        TypeError: `augment` returns no views.

    Example:
    ```python
    result = keras_ssl.eval.lidar(encoder, images, keras_ssl.augment.simclr_cifar())
    ```
    """
    check(images=(images, 2), views=(views, 2), seed=(seed, 0))
    rows = view_features(encoder, data, augment, images, views, seed, batch_size)
    return single("LiDAR", {"LiDAR": lidar_features(rows)}, (len(rows), rows.shape[2]), views=views, seed=seed)


def lidar_features(features, delta=1e-4):
    """`lidar` of features that are already there.

    `exp(entropy of p)`, `p` the eigenvalues of `W^-1/2 B W^-1/2`, divided by their sum; `B` is the covariance of the
    means of the images, `W` the mean covariance of the views of an image, plus `delta` times the identity.

    Args:
        features: array `(images, views, dim)`.
        delta: positive float, the paper's 1e-4.

    Returns:
        float.

    Example:
        >>> round(lidar_features(np.eye(3)[:, None] + np.zeros((3, 2, 3))), 6)
        2.0
    """
    f = np.asarray(features)
    if f.ndim != 3 or min(f.shape[:2]) < 2:
        raise ValueError(
            f"LiDAR needs features (images, views, dim), two images and two views at least. Received: shape={f.shape}"
        )
    check_numbers(above=0, delta=delta)
    if not np.all(np.isfinite(f)):
        raise Diverged("The features hold NaN or infinite numbers: the encoder has diverged.")
    means = np.mean(f, axis=1, dtype="float64")  # (images, dim)
    within = delta * np.eye(f.shape[2])
    for start in range(0, len(f), 64):  # in pieces: float64 of all would double the memory
        apart = (f[start:start + 64] - means[start:start + 64, None]).reshape(-1, f.shape[2])
        within += apart.T @ apart / (f.shape[0] * f.shape[1])
    # With W = L L^T, the eigenvalues are those of L^-1 B L^-T: the squared singular values of L^-1 (means)^T.
    white = np.linalg.solve(np.linalg.cholesky(within), (means - means.mean(axis=0)).T)
    values = np.linalg.svd(white, compute_uv=False) ** 2
    if not values.sum():
        return 0.0
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-np.sum(p * np.log(p))))


def align_uniform(encoder, data, augment, images=2048, seed=0, batch_size=256):
    """`alignment` and `uniformity` of the features of two views of each image.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        data: images as an array or a finite `tf.data.Dataset`, see `features`.
        augment: layer or function from a batch of images to a list of views or one view, see `lidar`.
        images: int of 2 or more, the first so many are taken. The time grows with its square.
        seed: int from 0, of the views, for layers of `keras_ssl.augment`.
        batch_size: int, images per step of the encoder.

    Returns:
        `Result` with the measures `"alignment"` and `"uniformity"`, the mean of that of the first and of the second
        views; both are better the lower they are.

    Raises:
        ValueError: fewer than two images, or features with NaN.
        TypeError: `augment` returns no views.

    Example:
        >>> images = np.arange(48, dtype="uint8").reshape(4, 2, 2, 3)
        >>> float(align_uniform(None, images, lambda batch: [batch, batch]))
        0.0
    """
    check(images=(images, 2), seed=(seed, 0))
    one, other = view_features(encoder, data, augment, images, 2, seed, batch_size).transpose(1, 0, 2)
    found = {"alignment": alignment(one, other), "uniformity": (uniformity(one) + uniformity(other)) / 2}
    return single("alignment and uniformity", found, one.shape, seed=seed)


def single(name, found, shape, **settings):
    """A `Result` of numbers that belong to a set of images as a whole, and have no interval."""
    measures = {key: Measure(float(value), n=shape[0], over="images") for key, value in found.items()}
    return Result(name, measures, settings={"dim": shape[1], **settings})


def view_features(encoder, data, augment, images, views, seed, batch_size):
    """The features `(images, views, dim)` of so many views of the first images."""
    state = [np.array(keras.ops.convert_to_numpy(v)) for v in getattr(augment, "variables", ())]
    parts, begin, encode = [], 0, encoding(encoder, batch_size)
    for part in first(data, images, batch_size, encoder):
        made = several(augment, part, views, seed, begin)
        parts.append(np.stack([encode(view) for view in made], axis=1))
        begin += count(part)
    for variable, value in zip(getattr(augment, "variables", ()), state):
        variable.assign(value)
    return np.concatenate(parts)


def several(augment, samples, number, seed, begin):
    """Yield so many views of the samples, as arrays of one shape, or dicts of them."""
    made, call, shape = 0, 0, None
    while made < number:
        for view in once(augment, samples, [seed, call], begin):
            view = each(lambda x: np.asarray(keras.ops.convert_to_numpy(x)), view)
            found = {name: x.shape for name, x in view.items()} if isinstance(view, dict) else view.shape
            shape = shape or found
            if found == shape and made < number:
                made += 1
                yield view
        call += 1


def once(augment, samples, key, begin):
    """The views of one call of the augmentation, a list or tuple."""
    if hasattr(augment, "own_seeds"):  # a layer of this package takes a seed for each sample
        numbers = np.arange(begin, begin + count(samples), dtype="int32")
        drawn = np.random.default_rng(key).integers(2**31, dtype="int32")
        columns = samples if isinstance(samples, dict) else {"image": samples}
        views = augment({**columns, "seed": np.stack([np.full_like(numbers, drawn), numbers], axis=1)})
    elif isinstance(augment, keras.layers.Layer):
        views = augment(samples, training=True)
    else:
        views = augment(samples)
    views = views if isinstance(views, (list, tuple)) else [views]
    if not views or any(not is_view(view, samples) for view in views):
        raise TypeError(
            "augment must return views of shape (batch, height, width, channels), or of the kind of the samples, a "
            f"list or one. Received: {[getattr(view, 'shape', type(view).__name__) for view in views]}"
        )
    return views


def is_view(view, samples):
    if isinstance(view, dict):
        return kind_of(view) is not None and count(view) == count(samples)
    rank = 4 if not isinstance(samples, dict) else len(kind_of(samples).tensor(samples).shape)
    return np.ndim(view) == rank and len(view) == count(samples)


def first(data, number, batch_size, encoder=None):
    """Yield the first so many samples in pieces; two at least."""
    found, pieces = 0, chunks(data, batch_size, encoder)
    for sample, _ in pieces:
        sample = cut(sample, slice(number - found))
        found += count(sample)
        yield sample
        if found >= number:
            pieces.close()
            break
    if found < 2:
        raise ValueError(f"At least two images are needed, or samples of another kind. Received: {found}")


def check(**numbers):
    for name, (value, least) in numbers.items():
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} must be an int of {least} or more. Received: {name}={value!r}")
