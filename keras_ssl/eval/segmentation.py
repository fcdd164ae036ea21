"""Segmentation: a small head on the maps of an encoder that names every pixel.

The head is that of Panoptic Feature Pyramid Networks (Kirillov et al., 2019), https://arxiv.org/abs/1901.02446, for
one resolution; mean intersection over union is the measure of PASCAL VOC and ADE20K.
"""

import keras
import numpy as np

from keras_ssl.eval.fine_tuning import check_size
from keras_ssl.eval.maps import names_of, outputs, pyramid, resized, train as fit, with_masks
from keras_ssl.eval.result import Measure, Result


def segment(
    encoder, train, test, classes, frozen=True, levels=4, width=64, epochs=30, batch_size=16, learning_rate=1e-3,
    weight_decay=0.01, layer_decay=1.0, flip=0.5, ignore=255, seed=0, verbose=0, return_model=False,
):
    """How well a small head on the maps of an encoder tells which class each pixel is of.

    The last map of each resolution is projected to `width` channels, resized to a quarter of the image and added up;
    two 3x3 convolutions and a linear one follow, and the logits are resized to the image. AdamW with half a cosine. A
    copy of the encoder is used: the given one stays as it is. All images are read into memory.

    Args:
        encoder: functional or sequential `keras.Model` from images: a ResNet, a `vit`, a `conv_vit` or a network of
            `keras.applications`, whose pooling is left out; a model of your own whose output is a map `(batch, height,
            width, channels)`; or of a list of maps, as from `keras_ssl.pretrained.load(name, features=[3, 6, 9, 12])`.
        train: images and masks to fit: a pair of arrays `(n, height, width, channels)` of 0..255 and
            `(n, height, width)` of class numbers from 0, or a `tf.data.Dataset` of such pairs `(image, mask)`.
        test: images and masks to score, as `train`.
        classes: list of the names of the classes, the background too, where it is one; or their number.
        frozen: whether the encoder stays as it is; False fine-tunes the copy with the head.
        levels: positive int, most resolutions that the head sees, the coarsest ones; 1 is the last map alone. A ViT
            has one; a list of maps is taken whole.
        width: positive int, channels of the head.
        epochs: positive int, passes over the training images.
        batch_size: positive int, images per step. A smaller training set is one batch.
        learning_rate: positive float, the highest one.
        weight_decay: float >= 0.
        layer_decay: float in (0, 1], how the rate falls from layer to layer of the encoder where it is fine-tuned, see
            `keras_ssl.optimizers.layer_decay`; 1 is not at all.
        flip: float from 0 to 1, the share of images that are mirrored in training.
        ignore: int, the number of pixels that count nowhere; 255 in PASCAL VOC.
        seed: int from 0, of the head, the order and the flips: on one machine, same seed, same result.
        verbose: 0, 1 or 2, as in `fit`.
        return_model: whether to return the trained model, too.

    Returns:
        `Result` with the measures `"mIoU"`, the mean over the classes that are in the test masks or in the
        predictions; `"pixel accuracy"`; and `"IoU of NAME"` for each of these classes. With `return_model` a pair of it
        and the `keras.Model` from images to logits `(batch, height, width, classes)`.

    Raises:
        TypeError: the encoder is not functional, or cannot be copied.
        ValueError: it has no maps, images or masks do not fit, a bad number, or the training has diverged.

    Example:
    ```python
    result = keras_ssl.eval.segment(encoder, (images, masks), (test_images, test_masks), ["ground", "cat", "dog"])
    print(result)
    ```
    """
    names = names_of(classes)
    images, masks = checked(*with_masks(train, batch_size, "train"), len(names), ignore, "train")
    test_images, test_masks = checked(*with_masks(test, batch_size, "test"), len(names), ignore, "test")
    if test_images.shape[1:] != images.shape[1:]:
        raise ValueError(
            "train and test images must have one size. Received: images of shapes "
            f"{images.shape[1:]} and {test_images.shape[1:]}"
        )
    check_size(encoder, test_images, "test")
    body, draw = pyramid(encoder, images, levels, width, frozen, seed)
    x = keras.layers.Conv2D(
        len(names), 1, kernel_initializer=draw(), data_format="channels_last", dtype="float32", name="logits"
    )(body.output)
    model = keras.Model(body.input, resized(x, images.shape[1:3]), name="segmentation")
    fit(
        model, keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore), images,
        lambda i, flipped: masks[i][:, ::-1] if flipped else masks[i],
        epochs, batch_size, learning_rate, weight_decay, layer_decay, flip, seed, verbose,
    )

    counts = np.zeros((len(names), len(names)), "int64")
    for start, logits in outputs(model, test_images, batch_size):
        counts += confusion(test_masks[start:start + len(logits)], logits.argmax(axis=-1), len(names), ignore)
    found = Result(
        "segmentation", measures(counts, names, len(test_images)),
        settings={"frozen": frozen, "levels": levels, "epochs": epochs, "seed": seed},
    )
    return (found, model) if return_model else found


def confusion(masks, predictions, classes, ignore):
    """How many pixels of each class (rows) were given to each class (columns): int64 `(classes, classes)`."""
    known = masks != ignore
    pairs = masks[known].astype("int64") * classes + predictions[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def measures(counts, names, images):
    """The measures of a matrix as `confusion` makes it."""
    both = np.diag(counts)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    of_classes = {name: both[i] / either[i] for i, name in enumerate(names) if either[i]}
    numbers = {
        "mIoU": np.mean(list(of_classes.values())),
        "pixel accuracy": both.sum() / counts.sum(),
        **{f"IoU of {name}": value for name, value in of_classes.items()},
    }
    return {key: Measure(float(value), n=images, over="images") for key, value in numbers.items()}


def checked(images, masks, classes, ignore, name):
    """Images and masks that fit, the masks as int32 `(n, height, width)`."""
    if not isinstance(ignore, int) or 0 <= ignore < classes:
        raise ValueError(f"ignore must be an int that is no class. Received: ignore={ignore!r}, classes={classes}")
    masks = masks[..., 0] if masks.ndim == 4 and masks.shape[-1] == 1 else masks
    if masks.shape != images.shape[:3] or masks.dtype.kind not in "iub":
        raise ValueError(
            "Masks must be ints of shape (n, height, width), as the images. Received: "
            f"{name} masks of shape {masks.shape}, dtype={masks.dtype}, and images of shape {images.shape}"
        )
    masks = masks.astype("int32")
    known = masks[masks != ignore]
    if not len(known) or known.min() < 0 or known.max() >= classes:
        raise ValueError(
            f"Masks must hold class numbers from 0 to {classes - 1}, and {ignore} for pixels that do not count. "
            f"Received: {name} masks with the numbers {np.unique(masks)[:20].tolist()}"
        )
    return images, masks
