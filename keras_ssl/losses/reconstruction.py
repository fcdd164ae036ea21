"""Reconstruction losses: the pixels of hidden patches, and how far a prediction is from them."""

from keras import ops

from keras_ssl import distribute, pixels
from keras_ssl.losses.vectors import precise, unit


def standard_pixels(images):
    """`(images / 255 - mean) / std`, as the encoders see them.

    Args:
        images: `(batch, height, width, channels)` of 0..255, any dtype.

    Returns:
        float32 tensor of the same shape; mean and standard deviation are ImageNet's for 3 channels, 0.5 and 0.25 for
        any other number.

    Example:

    >>> float(standard_pixels(np.full((1, 2, 2, 1), 127.5))[0, 0, 0, 0])
    0.0
    """
    images = precise(images)
    mean, std = pixel_statistics(images)
    return (images / 255.0 - mean) / std


def plain_pixels(standard):
    """The images of which `standard_pixels` made these; what lies outside of 0..255 stays there.

    Args:
        standard: float tensor `(batch, height, width, channels)`.

    Returns:
        float32 tensor of the same shape.
    """
    standard = precise(standard)
    mean, std = pixel_statistics(standard)
    return (standard * std + mean) * 255.0


def patch_pixels(images, patch, normalize=False):
    """Images as rows of patches, patches as vectors of numbers: the target of MAE and its kin.

    Args:
        images: `(batch, height, width, channels)` of any dtype and scale; `standard_pixels` of them, as in the papers.
        patch: int, the side of a patch in pixels; it divides height and width.
        normalize: whether each patch becomes `(x - mean) / sqrt(variance + 1e-6)` over all its numbers, with the
            variance of n - 1. All-zero predictions then have a squared error of (n - 1) / n.

    Returns:
        float32 tensor `(batch, patches, patch * patch * channels)`, patches row by row; inside a patch by row, column
        and channel.

    Raises:
        ValueError: the patch does not divide the images.

    Reference: Masked Autoencoders Are Scalable Vision Learners (He, Chen, Xie, Li, Dollar, Girshick, 2021),
    https://arxiv.org/abs/2111.06377

    Example:

    >>> patch_pixels(np.zeros((2, 32, 32, 3), "uint8"), 4).shape
    TensorShape([2, 64, 48])
    """
    height, width = images.shape[1:3]
    if not isinstance(patch, int) or patch < 1 or height is None or width is None or height % patch or width % patch:
        raise ValueError(
            "patch must be a positive int that divides the height and the width of the images. Received: "
            f"patch={patch} and images of shape {tuple(images.shape)}"
        )
    patches = pixels.patchify(precise(images), patch)
    if not normalize:
        return patches
    mean, deviation = patch_statistics(patches)
    return (patches - mean) / deviation


def patch_statistics(patches):
    """What `patch_pixels` normalizes by, of patches that are not normalized.

    Args:
        patches: `(batch, patches, numbers)`.

    Returns:
        two float32 tensors `(batch, patches, 1)`: the mean, and `sqrt(variance + 1e-6)` with the variance of n - 1.
    """
    patches = precise(patches)
    mean = ops.mean(patches, axis=-1, keepdims=True)
    variance = ops.sum(ops.square(patches - mean), axis=-1, keepdims=True) / max(patches.shape[-1] - 1, 1)
    return mean, ops.sqrt(variance + 1e-6)


def masked_error(prediction, target, mask, power=2):
    """The error of the predictions where the mask is: `sum_i m_i * mean_d |p_id - t_id|^power / sum_i m_i`.

    Both sums run over the images and patches of the global batch: images that hide more count more. What the mask
    leaves out gets a gradient of exactly 0.

    Args:
        prediction: `(batch, patches, numbers)`; float32 inside.
        target: the same shape; it gets no gradient.
        mask: `(batch, patches)`, bool, True where hidden, or float weights from 0.
        power: 2 for the squared error (MAE), 1 for the absolute error (SimMIM).

    Returns:
        float32 scalar, 0 where nothing is hidden. Its mean over replicas is the loss of the global batch.

    Raises:
        ValueError: the shapes do not belong together, or another power.

    Reference: Masked Autoencoders Are Scalable Vision Learners (He, Chen, Xie, Li, Dollar, Girshick, 2021),
    https://arxiv.org/abs/2111.06377

    Example:

    >>> float(masked_error(np.zeros((1, 2, 3)), np.array([[[2.0] * 3, [9.0] * 3]]), np.array([[True, False]])))
    4.0
    """
    shapes = [tuple(x.shape) for x in (prediction, target, mask)]
    if power not in (1, 2):
        raise ValueError(f"power must be 1 or 2. Received: power={power}")
    if len(shapes[0]) != 3 or shapes[0][1:] != shapes[1][1:] or shapes[0][1:2] != shapes[2][1:]:
        raise ValueError(
            "prediction and target must be (batch, patches, numbers), and the mask (batch, patches). "
            f"Received: shapes {', '.join(map(str, shapes))}"
        )
    difference = precise(prediction) - ops.stop_gradient(precise(target))
    error = ops.mean(ops.square(difference) if power == 2 else ops.abs(difference), axis=-1)  # (batch, patches)
    return masked_mean(error, mask)


def masked_cosine(prediction, target, mask):
    """The squared distance of the directions where the mask is: `sum_i m_i * (2 - 2 cos(p_i, t_i)) / sum_i m_i`.

    Both sums run over the images and patches of the global batch.

    Args:
        prediction: `(batch, patches, dim)`; float32 inside.
        target: the same shape, features of a frozen model; it gets no gradient.
        mask: `(batch, patches)`, bool, or float weights from 0.

    Returns:
        float32 scalar from 0 to 4. Its mean over replicas is the loss of the global batch.

    Reference: DeepMIM: Deep Supervision for Masked Image Modeling (Ren, Wei, Albanie, Zhang, Hu, 2023),
    https://arxiv.org/abs/2303.08817

    Example:

    >>> float(masked_cosine(np.array([[[3.0, 0.0]]]), np.array([[[0.0, 1.0]]]), np.array([[True]])))
    2.0
    """
    cosine = ops.sum(unit(precise(prediction)) * ops.stop_gradient(unit(precise(target))), axis=-1)
    return masked_mean(2.0 - 2.0 * cosine, mask)


def masked_mean(values, mask):
    """The mean of the values where the mask is, over the global batch: `sum_i m_i * v_i / sum_i m_i`.

    Args:
        values: `(batch, patches)`; float32 inside.
        mask: `(batch, patches)`, bool, or float weights from 0.

    Returns:
        float32 scalar, 0 where the mask is nowhere. Its mean over replicas is that of the global batch.
    """
    values = precise(values)
    mask = ops.cast(mask, values.dtype)
    weight = distribute.total(ops.sum(mask)) / distribute.replicas()
    return ops.sum(mask * values) / ops.where(weight > 0, weight, 1.0)


def pixel_statistics(images):
    return [ops.convert_to_tensor(values, dtype=images.dtype) for values in pixels.statistics(images.shape[-1])]
