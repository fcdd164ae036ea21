"""Color losses: the color of a pixel as one of many bins of a and b, the two colors of Lab."""

from keras import ops

from keras_ssl.losses.vectors import precise

GRAY = 5.0  # an image whose colors are all nearer to gray has no part in the loss


def soft_bins(colors, bins, neighbors=10, deviation=5.0):
    """Colors as weights of their nearest bins: a Gaussian of the distance, normalized.

    Args:
        colors: `(..., 2)`, a and b.
        bins: array `(count, 2)`.
        neighbors: int from 1, how many bins share a color (10 in the authors' code, 5 in the paper).
        deviation: float > 0, of the Gaussian (sigma, 5).

    Returns:
        two tensors `(..., neighbors)`: the numbers of the bins, the nearest first, and their float32 weights, which sum
        to 1.

    Reference: Colorful Image Colorization (Zhang, Isola, Efros, 2016), https://arxiv.org/abs/1603.08511

    Example:

    >>> numbers, weights = soft_bins(np.array([0.0, 4.0]), np.array([[0.0, 0.0], [0.0, 10.0], [0.0, 90.0]]), 2)
    >>> numbers.numpy().tolist(), weights.numpy().round(2).tolist()
    ([0, 1], [0.6, 0.4])
    """
    colors = precise(colors)
    bins = ops.convert_to_tensor(bins, dtype=colors.dtype)
    far = sum(ops.square(colors[..., i : i + 1] - bins[:, i]) for i in range(2))
    nearest, numbers = ops.top_k(-far, min(neighbors, bins.shape[0]))
    return numbers, ops.softmax(nearest / (2 * deviation**2), axis=-1)


def color_cross_entropy(logits, colors, bins, weights=None, neighbors=10, deviation=5.0):
    """The cross-entropy of the colors of pixels, as one of the bins, with the softmax of the logits.

    The target of a pixel is `soft_bins`, and its error weighs as much as its nearest bin. Images whose colors are all
    within 5 of gray count 0, and so do their gradients.

    Args:
        logits: `(batch, rows, columns, bins)`; float32 inside.
        colors: `(batch, rows, columns, 2)`, a and b. They get no gradient.
        bins: array `(bins, 2)`.
        weights: `(bins,)`, or None for 1.
        neighbors, deviation: see `soft_bins`.

    Returns:
        float32 scalar, the mean over the pixels of the local batch, of gray images too.

    Raises:
        ValueError: the shapes do not belong together.

    Reference: Colorful Image Colorization (Zhang, Isola, Efros, 2016), https://arxiv.org/abs/1603.08511
    """
    shapes = tuple(logits.shape), tuple(colors.shape), tuple(bins.shape)
    if shapes[0][1:-1] != shapes[1][1:-1] or (shapes[1][-1], shapes[0][-1]) != shapes[2][::-1]:
        raise ValueError(
            "logits must be (batch, rows, columns, bins), colors (batch, rows, columns, 2), and bins (bins, 2). "
            f"Received: shapes {', '.join(map(str, shapes))}"
        )
    colors = ops.stop_gradient(precise(colors))
    numbers, shares = soft_bins(colors, bins, neighbors, deviation)
    found = ops.take_along_axis(ops.log_softmax(precise(logits), axis=-1), numbers, axis=-1)
    each = -ops.sum(ops.cast(shares, found.dtype) * found, axis=-1)  # (batch, rows, columns)
    if weights is not None:
        each = each * ops.take(ops.convert_to_tensor(weights, dtype=each.dtype), numbers[..., 0], axis=0)
    colored = ops.any(ops.abs(colors) > GRAY, axis=(1, 2, 3), keepdims=True)[..., 0]
    return ops.mean(each * ops.cast(colored, each.dtype))
