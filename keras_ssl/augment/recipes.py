"""Recipes: the views of the papers, each written as the list in its paper.

Every probability and range is a keyword argument; what has probability 0 is left out. All give two views.
The flip stands first because the crop does it in the same resampling; mirroring commutes with all the rest.
"""

from keras_ssl.augment.blur import GaussianBlur
from keras_ssl.augment.colour import ColorJitter, Grayscale, Solarize
from keras_ssl.augment.crop import RandomResizedCrop
from keras_ssl.augment.view import View, Views


def simclr(
    size,
    strength=1.0,
    scale=(0.08, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    jitter=(0.8, 0.8, 0.8, 0.2),
    jitter_p=0.8,
    grayscale_p=0.2,
    kernel=None,
    sigma=(0.1, 2.0),
    blur_p=0.5,
    seed=None,
):
    """SimCLR: A Simple Framework for Contrastive Learning of Visual Representations (Chen et al., 2020),
    arXiv:2002.05709, appendix A.

    Args:
        size: int or pair of ints (height, width), the size of the views in pixels.
        strength: float, the paper's s: a factor of the jitter.
        scale: pair of floats, the range of the crop's area as a part of the image's.
        ratio: pair of floats, the range of the crop's width / height.
        flip: float, the probability of a horizontal flip.
        jitter: brightness, contrast, saturation and hue of `ColorJitter`, times `strength`.
        jitter_p: float, the probability of the jitter.
        grayscale_p: float, the probability of `Grayscale`.
        kernel: odd int, the blur's kernel in pixels, or None for a tenth of the size.
        sigma: pair of floats, the range of the blur's standard deviation in pixels.
        blur_p: float, the probability of `GaussianBlur`.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, two draws of one view.

    Example:
        >>> import numpy as np
        >>> first, second = simclr(32)(np.zeros((4, 48, 64, 3), "uint8"))
    """
    view = present(
        RandomResizedCrop(size, scale, ratio, flip),
        ColorJitter(*[strength * amount for amount in jitter], p=jitter_p),
        Grayscale(grayscale_p),
        GaussianBlur(kernel, sigma, blur_p),
    )
    return Views(view, 2, seed=seed)


def simclr_cifar(size=32, strength=0.5, blur_p=0.0, **kwargs):
    """SimCLR on CIFAR-10 (arXiv:2002.05709, appendix B.9): jitter of half the strength, no blur.

    Args:
        size, strength, blur_p: see `simclr`.
        **kwargs: the other arguments of `simclr`.

    Returns:
        `Views`, two draws of one view.
    """
    return simclr(size, strength=strength, blur_p=blur_p, **kwargs)


def moco_v1(
    size,
    scale=(0.2, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    grayscale_p=0.2,
    jitter=(0.4, 0.4, 0.4, 0.4),
    jitter_p=1.0,
    seed=None,
):
    """MoCo: Momentum Contrast for Unsupervised Visual Representation Learning (He et al., 2019), arXiv:1911.05722.

    The grey scale comes before the jitter, as in the authors' code.

    Args:
        size, scale, ratio, flip, grayscale_p, jitter, jitter_p, seed: see `simclr`.

    Returns:
        `Views`, two draws of one view.
    """
    view = present(
        RandomResizedCrop(size, scale, ratio, flip),
        Grayscale(grayscale_p),
        ColorJitter(*jitter, p=jitter_p),
    )
    return Views(view, 2, seed=seed)


def moco_v2(
    size,
    scale=(0.2, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_p=0.8,
    grayscale_p=0.2,
    kernel=None,
    sigma=(0.1, 2.0),
    blur_p=0.5,
    seed=None,
):
    """MoCo v2: Improved Baselines with Momentum Contrastive Learning (Chen et al., 2020), arXiv:2003.04297.

    Args:
        size, scale, ratio, flip, jitter, jitter_p, grayscale_p, kernel, sigma, blur_p, seed: see `simclr`.

    Returns:
        `Views`, two draws of one view.
    """
    view = present(
        RandomResizedCrop(size, scale, ratio, flip),
        ColorJitter(*jitter, p=jitter_p),
        Grayscale(grayscale_p),
        GaussianBlur(kernel, sigma, blur_p),
    )
    return Views(view, 2, seed=seed)


def moco_cifar(size=32, scale=(0.08, 1.0), blur_p=0.0, **kwargs):
    """MoCo on CIFAR-10, after the demo of MoCo's authors: as MoCo v2 (arXiv:2003.04297), smaller crops, no blur.

    Args:
        size, scale, blur_p: see `simclr`.
        **kwargs: the other arguments of `moco_v2`.

    Returns:
        `Views`, two draws of one view.
    """
    return moco_v2(size, scale=scale, blur_p=blur_p, **kwargs)


def byol(
    size,
    scale=(0.08, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_p=0.8,
    grayscale_p=0.2,
    kernel=None,
    sigma=(0.1, 2.0),
    blur_p=(1.0, 0.1),
    threshold=128,
    solarize_p=(0.0, 0.2),
    seed=None,
):
    """BYOL: Bootstrap Your Own Latent (Grill et al., 2020), arXiv:2006.07733, appendix B: two different views.

    Args:
        size, scale, ratio, flip, jitter, jitter_p, grayscale_p, kernel, sigma, seed: see `simclr`.
        blur_p: pair of floats, the probability of `GaussianBlur` in the first and in the second view.
        threshold: float, see `Solarize`.
        solarize_p: pair of floats, the probability of `Solarize` in the first and in the second view.

    Returns:
        `Views` of two views.
    """
    views = [
        present(
            RandomResizedCrop(size, scale, ratio, flip),
            ColorJitter(*jitter, p=jitter_p),
            Grayscale(grayscale_p),
            GaussianBlur(kernel, sigma, blur),
            Solarize(threshold, solarize),
        )
        for blur, solarize in zip(blur_p, solarize_p, strict=True)
    ]
    return Views(views, seed=seed)


def byol_cifar(size=32, blur_p=(0.0, 0.0), **kwargs):
    """BYOL's views (arXiv:2006.07733) for CIFAR: no blur, the second view solarised.

    The paper has no CIFAR run. To leave out the blur and to keep the rest is the practice of the field.

    Args:
        size, blur_p: see `byol`.
        **kwargs: the other arguments of `byol`.

    Returns:
        `Views` of two views.
    """
    return byol(size, blur_p=blur_p, **kwargs)


def cifar(size=32, blur_p=0.0, **kwargs):
    """Views for CIFAR where a paper names none: those of MoCo v2 (arXiv:2003.04297) without the blur.

    Args:
        size, blur_p: see `simclr`.
        **kwargs: the other arguments of `moco_v2`.

    Returns:
        `Views`, two draws of one view.
    """
    return moco_v2(size, blur_p=blur_p, **kwargs)


def present(*layers):
    """A view of the layers that can happen."""
    return View([layer for layer in layers if getattr(layer, "p", 1)])
