"""Patches: what a masked image model makes of those it does not see, and which ones a transformer looks at."""

import numpy as np

from keras_ssl.checks import check_ints
from keras_ssl.encoders import attention_maps
from keras_ssl.visualize.figure import finish
from keras_ssl.visualize.grids import as_images, grid, show

HIDDEN = 128  # gray


def reconstruction(model, images, rows=6, path=None):
    """What a masked image model makes of images of which it sees a part: image, visible patches, reconstruction.

    Args:
        model: whatever has a method `reconstruct(images)`, as the masked image models of this package have. It returns
            masks `(n, rows, columns)`, True where a patch is hidden, and images `(n, height, width, channels)`, 0..255.
        images: array or tensor `(n, height, width, channels)` of the model's size, 0..255, 1 or 3 channels.
        rows: positive int, the number of images shown.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`, a row an image: the original, the visible patches, the reconstruction.

    Raises:
        ImportError: Matplotlib is missing.
        TypeError: the model has no `reconstruct`.
        ValueError: shapes that are not images, or masks and results that do not fit the images.

    Example:
    ```python
    model = keras_ssl.MAE(encoder, keras_ssl.augment.mae(32))  # compile and fit it, and then:
    keras_ssl.visualize.reconstruction(model, test_images, path="reconstruction.png")
    ```
    """
    if not callable(getattr(model, "reconstruct", None)):
        raise TypeError(
            "model must have a method reconstruct(images), as masked image models that predict pixels have. Received: "
            f"model={model!r}"
        )
    images = first(images, rows)
    masks, made = model.reconstruct(images)
    masks, made = np.asarray(masks), as_images(made, "The reconstructions")
    if made.shape != images.shape:
        raise ValueError(f"The reconstructions must be of the images' shape {images.shape}. Received: {made.shape}")
    hidden = in_pixels(masks, images)
    drawn, axes = grid(len(images), 3)
    titles = ("image", "visible", "reconstruction")
    for title, axis, column in zip(titles, axes.T, (images, np.where(hidden, np.uint8(HIDDEN), images), made)):
        axis[0].set_title(title, fontsize=9)
        for place, image in zip(axis, column):
            show(place, image)
    return finish(drawn, path)


def attention(encoder, images, block=-1, rows=6, path=None):
    """Which patches the class token of a vision transformer looks at, head by head.

    The map of each head lies over the image without its colors. Every map has a scale of its own: dark is 0, bright
    its largest weight. The weights are those of the model: what the class token takes from itself and from registers is
    not shown, and the rest is not made to sum to 1.

    Args:
        encoder: `keras.Model` from `keras_ssl.encoders.vit`, with a class token; or a dict from titles to such models,
            whose heads are shown beside each other: the same before and after training, for instance.
        images: array or tensor `(n, height, width, channels)`, 0..255, 1 or 3 channels, of a size the encoder takes.
        block: int, number of the block from 0, or from the end where it is negative.
        rows: positive int, the number of images shown.
        path: where to save the picture as well; the ending says the format.

    Returns:
        `matplotlib.figure.Figure`, a row an image: the image, and then a map for each head of each encoder.

    Raises:
        ImportError: Matplotlib is missing.
        ValueError: shapes that are not images, an encoder that is no `vit` or has no class token, or no such block.

    Example:
    ```python
    encoder = keras_ssl.encoders.vit_tiny((None, None, 3), patch=4, grid=8)
    before = keras_ssl.teacher.copy(encoder)  # train the encoder, and then:
    drawn = keras_ssl.visualize.attention({"before": before, "after": encoder}, test_images, path="attention.png")
    ```
    """
    images = first(images, rows)
    encoders = encoder if isinstance(encoder, dict) else {"head": encoder}
    found = [(title, of_class_token(network, images, block)) for title, network in encoders.items()]
    drawn, axes = grid(len(images), 1 + sum(maps.shape[1] for _, maps in found))
    axes[0][0].set_title("image", fontsize=9)
    for axis, image in zip(axes[:, 0], images):
        show(axis, image)
    height, width = images.shape[1:3]
    columns = ((title, head, maps[:, head]) for title, maps in found for head in range(maps.shape[1]))
    for axis, (title, head, column) in zip(axes.T[1:], columns):
        axis[0].set_title(f"{title} {head + 1}", fontsize=9)
        for place, image, weights in zip(axis, images, column):
            show(place, np.mean(image, axis=-1, keepdims=True))
            place.imshow(weights, cmap="viridis", vmin=0, alpha=0.75, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    return finish(drawn, path)


def of_class_token(encoder, images, block):
    """The weights of the patches for the class token, `(n, heads, rows, columns)`."""
    maps = attention_maps(encoder, block)
    if "class_token" not in [layer.name for layer in encoder.get_layer("positions").layers]:
        raise ValueError(f"The encoder '{encoder.name}' has no class token: build it with class_token=True.")
    maps = maps.predict(images, batch_size=1, verbose=0)  # one image at a time: they are of all tokens, and large
    sides = [size // step for size, step in zip(images.shape[1:3], encoder.get_layer("patches").strides)]
    patches = maps[:, :, 0, 1 : 1 + np.prod(sides)]  # registers come after them
    return patches.reshape(*maps.shape[:2], *sides)


def first(images, rows):
    check_ints(rows=rows)
    return as_images(images, "images")[:rows]


def in_pixels(masks, images):
    """Masks of patches as masks of pixels, `(n, height, width, 1)`."""
    sizes = images.shape[:3]
    if masks.ndim != 3 or len(masks) != len(images) or any(size % side for size, side in zip(sizes, masks.shape)):
        raise ValueError(
            f"The masks must be (n, rows, columns) for images of shape {images.shape}, with rows and columns that "
            f"divide height and width. Received: {masks.shape}"
        )
    for axis in (1, 2):
        masks = masks.repeat(sizes[axis] // masks.shape[axis], axis=axis)
    return masks.astype(bool)[..., None]
