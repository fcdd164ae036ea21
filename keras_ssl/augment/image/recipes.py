"""Recipes: the views of the papers, each written as the list in its paper.

Every probability and range is a keyword argument; what has probability 0 is left out. Every recipe is a layer that
gives a tuple of views, where sizes differ the large ones first. Many papers took the views of an earlier one: their
recipes name it, show the numbers that differ, and take all its other arguments. The names ending in `_cifar` are for
images of 32 pixels; without an argument they are what was run there.

The flip stands first because the crop does it in the same resampling; mirroring commutes with all the rest. All
resampling is bilinear, also where a paper has bicubic.

Images without three channels go through every recipe that takes `jitter` and `grayscale_p` with
`jitter=(brightness, contrast, 0, 0), grayscale_p=0`: the saturation, the hue and the gray scale are of red, green and
blue. What is left takes any number of channels.
"""

from keras_ssl.augment.image.blur import GaussianBlur
from keras_ssl.augment.image.channels import SplitChannels, ToLab
from keras_ssl.augment.image.color import ColorJitter, Grayscale, Solarize
from keras_ssl.augment.image.crop import RandomResizedCrop
from keras_ssl.augment.image.filters import Sobel
from keras_ssl.augment.layer import check_probability
from keras_ssl.augment.image.policies import AutoAugment
from keras_ssl.augment.shared import SharedViews
from keras_ssl.augment.view import View, Views
from keras_ssl.checks import check_flags, is_int, is_number
from keras_ssl.pixels import check_size

__all__ = [
    "barlow_twins",
    "beit",
    "byol",
    "byol_cifar",
    "cifar",
    "cmc",
    "data2vec",
    "deepcluster",
    "dino",
    "dino_cifar",
    "dino_v2",
    "distill",
    "emp_ssl",
    "ibot",
    "ijepa",
    "imix",
    "instdisc",
    "invaspread",
    "lejepa",
    "mae",
    "mask_feat",
    "moco_cifar",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "msn",
    "msn_cifar",
    "nnclr",
    "pcl",
    "pirl",
    "ressl",
    "simclr",
    "simclr_cifar",
    "simclr_v2",
    "simmim",
    "simsiam",
    "simsiam_cifar",
    "supcon",
    "supcon_cifar",
    "swav",
    "swav_cifar",
    "vicreg",
    "vicreg_cifar",
    "w_mse",
]

# SimCLR and those that took its views.


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
    count=2,
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
        count: int, the number of views.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views`, `count` draws of one view.

    Example:
        >>> import numpy as np
        >>> first, second = simclr(32)(np.zeros((4, 48, 64, 3), "uint8"))
    """
    view = present(
        RandomResizedCrop(size, scale, ratio, flip),
        ColorJitter(*scaled(jitter, strength), p=jitter_p),
        Grayscale(grayscale_p),
        GaussianBlur(kernel, sigma, blur_p),
    )
    return Views(view, count, seed=seed)


def simclr_cifar(size=32, strength=0.5, blur_p=0.0, **kwargs):
    """SimCLR on CIFAR-10 (arXiv:2002.05709, appendix B.9): `simclr` with half the jitter and no blur."""
    return simclr(size, strength=strength, blur_p=blur_p, **kwargs)


def simclr_v2(size, **kwargs):
    """SimCLR v2 (Chen et al., 2020), arXiv:2006.10029: `simclr`."""
    return simclr(size, **kwargs)


def distill(size, scale=(0.14, 1.0), jitter=(0.4, 0.4, 0.2, 0.1), blur_p=0.0, count=1, **kwargs):
    """LightlyTrain's distillation, strong and the same for both networks (see arXiv:2106.05237): `simclr`, one view."""
    return simclr(size, scale=scale, jitter=jitter, blur_p=blur_p, count=count, **kwargs)


def moco_v2(size, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), **kwargs):
    """MoCo v2 (Chen et al., 2020), arXiv:2003.04297: `simclr`, larger crops and less jitter."""
    return simclr(size, scale=scale, jitter=jitter, **kwargs)


def moco_cifar(size=32, scale=(0.08, 1.0), blur_p=0.0, **kwargs):
    """MoCo on CIFAR-10, the authors' demo (see arXiv:2003.04297): `moco_v2`, smaller crops, no blur."""
    return moco_v2(size, scale=scale, blur_p=blur_p, **kwargs)


def simsiam(size, **kwargs):
    """SimSiam (Chen and He, 2020), arXiv:2011.10566, section 3: `moco_v2`."""
    return moco_v2(size, **kwargs)


def ressl(size, scale=(0.2, 1.0), flip=0.5, count=1, seed=None, **kwargs):
    """ReSSL: Relational Self-Supervised Learning with Weak Augmentation (Zheng et al., 2021), arXiv:2107.09282: a weak
    view, crop and flip, and strong ones, those of `moco_v2`.

    Args:
        size, scale, flip, seed: see `simclr`.
        count: int, the number of strong views.
        **kwargs: the other arguments of `moco_v2`.

    Returns:
        `Views` of the weak view and then `count` draws of the strong one.
    """
    strong = moco_v2(size, scale=scale, flip=flip, count=count, **kwargs).views
    return Views([View(strong.layers[:1]), *[strong] * count], seed=seed)


def pcl(size, **kwargs):
    """PCL v2 (Li et al., 2020), arXiv:2005.04966: `moco_v2`. PCL v1 has `moco_v1`."""
    return moco_v2(size, **kwargs)


def cifar(size=32, blur_p=0.0, **kwargs):
    """CIFAR where a paper names no views: `moco_v2` (arXiv:2003.04297) without the blur."""
    return moco_v2(size, blur_p=blur_p, **kwargs)


def simsiam_cifar(size=32, **kwargs):
    """SimSiam on CIFAR-10 (arXiv:2011.10566, appendix D): `cifar`."""
    return cifar(size, **kwargs)


def supcon_cifar(size=32, **kwargs):
    """SupCon on CIFAR, after its authors' code (arXiv:2004.11362): `cifar`."""
    return cifar(size, **kwargs)


def imix(size=32, **kwargs):
    """i-Mix (Lee et al., 2020), arXiv:2010.08887: `cifar`. The mixing is the method's."""
    return cifar(size, **kwargs)


def w_mse(size=32, grayscale_p=0.1, **kwargs):
    """W-MSE (Ermolov et al., 2020), arXiv:2007.06346: `cifar`, fewer gray images. W-MSE 4 takes `count=4`."""
    return cifar(size, grayscale_p=grayscale_p, **kwargs)


# MoCo and those that took its views, and labels.


def moco_v1(
    size,
    scale=(0.2, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    grayscale_p=0.2,
    jitter=(0.4, 0.4, 0.4, 0.4),
    jitter_p=1.0,
    count=2,
    seed=None,
):
    """MoCo: Momentum Contrast for Unsupervised Visual Representation Learning (He et al., 2019), arXiv:1911.05722.

    The gray scale comes before the jitter, as in the authors' code.

    Args:
        size, scale, ratio, flip, grayscale_p, jitter, jitter_p, count, seed: see `simclr`.

    Returns:
        `Views`, `count` draws of one view.
    """
    view = present(
        RandomResizedCrop(size, scale, ratio, flip),
        Grayscale(grayscale_p),
        ColorJitter(*scaled(jitter), p=jitter_p),
    )
    return Views(view, count, seed=seed)


def instdisc(size, count=1, **kwargs):
    """InstDisc (Wu et al., 2018), arXiv:1805.01978, after its authors' code: one view of `moco_v1`."""
    return moco_v1(size, count=count, **kwargs)


def invaspread(size, **kwargs):
    """Invariant and spreading features (Ye et al., 2019), arXiv:1904.03436, after its authors' code: `moco_v1`."""
    return moco_v1(size, **kwargs)


def pirl(size, count=1, **kwargs):
    """PIRL (Misra and van der Maaten, 2019), arXiv:1912.01991: one view of `moco_v1`. The jigsaw is the method's."""
    return moco_v1(size, count=count, **kwargs)


def supcon(size, policy=None, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, count=2, seed=None):
    """SupCon: Supervised Contrastive Learning (Khosla et al., 2020), arXiv:2004.11362: AutoAugment, the
    best of the four that it compares for ResNet-50.

    Others of the four are `RandAugment` as `policy` and "SimAugment", which is `simclr`.

    Args:
        size, scale, ratio, flip, count, seed: see `simclr`.
        policy: layer that follows the crop, None for `AutoAugment()`.

    Returns:
        `Views`, `count` draws of one view.
    """
    view = View([RandomResizedCrop(size, scale, ratio, flip), AutoAugment() if policy is None else policy])
    return Views(view, count, seed=seed)


# BYOL and those that took its views.


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

    The numbers are the paper's, the color operations those of `ColorJitter`, which are torchvision's, as in most code
    that followed. The authors' own differ: a number from -0.4 to 0.4 of the full range is added as brightness, the
    contrast is about the mean of each channel, and the saturation is scaled in HSV space.

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
            ColorJitter(*scaled(jitter), p=jitter_p),
            Grayscale(grayscale_p),
            GaussianBlur(kernel, sigma, blur),
            Solarize(threshold, solarize),
        )
        for blur, solarize in chances(2, blur_p=blur_p, solarize_p=solarize_p)
    ]
    return Views(views, seed=seed)


def byol_cifar(size=32, blur_p=(0.0, 0.0), **kwargs):
    """CIFAR, where the paper of BYOL (arXiv:2006.07733) has no run: `byol` without the blur, as is usual."""
    return byol(size, blur_p=blur_p, **kwargs)


def moco_v3(size, scale=(0.08, 1.0), **kwargs):
    """MoCo v3 (Chen et al., 2021), arXiv:2104.02057: `byol`. For ResNet-50 the authors have `scale=(0.2, 1.0)`."""
    return byol(size, scale=scale, **kwargs)


def barlow_twins(size, **kwargs):
    """Barlow Twins (Zbontar et al., 2021), arXiv:2103.03230, section 2.2: `byol`."""
    return byol(size, **kwargs)


def nnclr(size, **kwargs):
    """NNCLR (Dwibedi et al., 2021), arXiv:2104.14548: `byol`."""
    return byol(size, **kwargs)


def vicreg(size, blur_p=(0.5, 0.5), solarize_p=(0.1, 0.1), **kwargs):
    """VICReg (Bardes et al., 2021), arXiv:2105.04906: `byol` with two views that are alike.

    So says the paper's text. The authors' code has the pair of `byol`.
    """
    return byol(size, blur_p=blur_p, solarize_p=solarize_p, **kwargs)


def vicreg_cifar(size=32, scale=(0.2, 1.0), blur_p=(0.0, 0.0), **kwargs):
    """CIFAR, where the paper of VICReg (arXiv:2105.04906) has no run: `vicreg`, larger crops, no blur, as is usual."""
    return vicreg(size, scale=scale, blur_p=blur_p, **kwargs)


# Several sizes: two global views, then local ones.


def swav(
    size=224,
    local_size=None,
    local_count=6,
    strength=1.0,
    scale=(0.14, 1.0),
    local_scale=(0.05, 0.14),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    jitter=(0.8, 0.8, 0.8, 0.2),
    jitter_p=0.8,
    grayscale_p=0.2,
    kernel=None,
    sigma=(0.1, 2.0),
    blur_p=0.5,
    count=2,
    seed=None,
):
    """SwAV: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (Caron et al., 2020),
    arXiv:2006.09882: multi-crop, also of DeepCluster v2.

    Args:
        size, strength, scale, ratio, flip, jitter, jitter_p, grayscale_p, kernel, sigma, blur_p, seed: see `simclr`.
        local_size: int or pair of ints, the size of the local views; None for 3/7 of `size`, in steps of 8 pixels:
            96 of 224.
        local_count: int, the number of local views.
        local_scale: pair of floats, the range of the local crops' area as a part of the image's.
        count: int, the number of global views.

    Returns:
        `Views` of `count` global views and then `local_count` local ones.

    Example:
        >>> import numpy as np
        >>> views = swav(32, 16, local_count=2)(np.zeros((4, 48, 64, 3), "uint8"))
        >>> [view.shape[1] for view in views]
        [32, 32, 16, 16]
    """
    large, small = (
        present(
            RandomResizedCrop(side, area, ratio, flip),
            ColorJitter(*scaled(jitter, strength), p=jitter_p),
            Grayscale(grayscale_p),
            GaussianBlur(kernel, sigma, blur_p),
        )
        for side, area in [(size, scale), (local_of(size, local_size), local_scale)]
    )
    check_counts(count=count, local_count=local_count)
    return Views([large] * count + [small] * local_count, seed=seed)


def swav_cifar(size=32, local_size=None, local_count=4, scale=(0.3, 1.0), local_scale=(0.1, 0.3), blur_p=0.0, **kwargs):
    """CIFAR, where the paper of SwAV (arXiv:2006.09882) has no run: `swav` without the blur, with larger crops.

    Local views have half of `size`.
    """
    local_size = half(size, local_size)
    return swav(size, local_size, local_count, scale=scale, local_scale=local_scale, blur_p=blur_p, **kwargs)


def msn(size=224, local_size=None, local_count=10, strength=0.5, scale=(0.3, 1.0), local_scale=(0.05, 0.3), **kwargs):
    """MSN (Assran et al., 2022), arXiv:2204.07141: `swav`, half the jitter, larger crops, more local views.

    The first view is the target's; the second, whose patches the method drops, and the local ones are the anchors.
    """
    return swav(size, local_size, local_count, strength, scale, local_scale, **kwargs)


def msn_cifar(size=32, local_size=None, local_count=4, local_scale=(0.1, 0.3), blur_p=0.0, **kwargs):
    """CIFAR, where the paper of MSN (arXiv:2204.07141) has no run: `msn` without the blur, with larger local crops.

    Local views have half of `size`.
    """
    return msn(size, half(size, local_size), local_count, local_scale=local_scale, blur_p=blur_p, **kwargs)


def dino(
    size=224,
    local_size=None,
    local_count=8,
    scale=(0.4, 1.0),
    local_scale=(0.05, 0.4),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_p=0.8,
    grayscale_p=0.2,
    kernel=None,
    sigma=(0.1, 2.0),
    blur_p=(1.0, 0.1, 0.5),
    threshold=128,
    solarize_p=(0.0, 0.2, 0.0),
    seed=None,
):
    """DINO: Emerging Properties in Self-Supervised Vision Transformers (Caron et al., 2021), arXiv:2104.14294, after
    its authors' code.

    For a ResNet-50 it has `scale=(0.14, 1.0), local_scale=(0.05, 0.14)`.

    Args:
        size, scale, ratio, flip, jitter, jitter_p, grayscale_p, kernel, sigma, seed: see `simclr`.
        local_size: int or pair of ints, the size of the local views; None for 3/7 of `size`, in steps of 8 pixels:
            96 of 224.
        local_count: int, the number of local views.
        local_scale: pair of floats, the range of the local crops' area as a part of the image's.
        blur_p: three floats, the probability of `GaussianBlur` in the first global view, in the second, and in the
            local ones.
        threshold: float, see `Solarize`.
        solarize_p: three floats, the probabilities of `Solarize`.

    Returns:
        `Views` of two global views and then `local_count` local ones.
    """
    sizes = [(size, scale), (size, scale), (local_of(size, local_size), local_scale)]
    first, second, local = (
        present(
            RandomResizedCrop(side, area, ratio, flip),
            ColorJitter(*scaled(jitter), p=jitter_p),
            Grayscale(grayscale_p),
            GaussianBlur(kernel, sigma, blur),
            Solarize(threshold, solarize),
        )
        for (side, area), (blur, solarize) in zip(sizes, chances(3, blur_p=blur_p, solarize_p=solarize_p))
    )
    check_counts(local_count=local_count)
    return Views([first, second] + [local] * local_count, seed=seed)


def dino_cifar(size=32, local_size=None, local_count=4, local_scale=(0.1, 0.4), blur_p=(0.0, 0.0, 0.0), **kwargs):
    """CIFAR, where the paper of DINO (arXiv:2104.14294) has no run: `dino` without the blur, with larger local crops.

    Local views have half of `size`.
    """
    return dino(size, half(size, local_size), local_count, local_scale=local_scale, blur_p=blur_p, **kwargs)


def dino_v2(size=224, local_size=None, local_count=8, scale=(0.32, 1.0), local_scale=(0.05, 0.32), kernel=9, **kwargs):
    """DINOv2 (Oquab et al., 2023), arXiv:2304.07193, after its authors' code: `dino` with other crops and blur.

    Local views have 7/16 of `size` in steps of 14 pixels, the side of a patch: 98 of 224. The authors' code has DINO's
    probabilities of the blur, and blurs with one minus them: `blur_p=(0.0, 0.9, 0.5)` does the same.
    """
    local_size = part(size, 7 / 16, 14) if local_size is None else local_size
    return dino(size, local_size, local_count, scale, local_scale, kernel=kernel, **kwargs)


def ibot(size=224, local_size=None, local_count=10, scale=(0.25, 1.0), local_scale=(0.05, 0.25), **kwargs):
    """iBOT (Zhou et al., 2021), arXiv:2111.07832, its authors' code for ViT-S: `dino` with other crops.

    The masks are the method's.
    """
    return dino(size, local_size, local_count, scale, local_scale, **kwargs)


def lejepa(
    size=128,
    solarize_p=0.2,
    threshold=128,
    kernel=None,
    count=4,
    local_size=None,
    local_count=0,
    local_scale=(0.05, 0.3),
    seed=None,
    **kwargs,
):
    """LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics (Balestriero and LeCun, 2025),
    arXiv:2511.08544, the authors' minimal example: four views of SimCLR with solarization.

    For ImageNet they have two global views and six local ones, and less jitter: `size=224, count=2, local_count=6,
    scale=(0.3, 1.0), jitter=(0.4, 0.4, 0.2, 0.1)`.

    Args:
        size, seed: see `simclr`.
        count: int, the number of global views.
        kernel: odd int, the blur's kernel in pixels, or None for 7 of 128 pixels and in proportion.
        solarize_p, threshold: floats, the probability and the threshold of `Solarize`.
        local_size: int or pair of ints, the size of the local views; None for 7/16 of `size`, in steps of 14 pixels:
            98 of 224.
        local_count: int, the number of local views.
        local_scale: pair of floats, the range of the local crops' area as a part of the image's.
        **kwargs: the other arguments of `simclr`.

    Returns:
        `Views`, `count` draws of one view, and then `local_count` draws of a local one.
    """
    check_counts(local_count=local_count)
    local_size = part(size, 7 / 16, 14) if local_size is None else local_size
    large = simclr(size, kernel=kernel_of(size, kernel), **kwargs).views
    local = simclr(local_size, kernel=kernel_of(local_size, kernel), **kwargs | {"scale": local_scale}).views
    large, local = (present(*view.layers, Solarize(threshold, solarize_p)) for view in (large, local))
    views = Views(large, count, seed=seed)
    return Views(views.each() + [local] * local_count, seed=seed) if local_count else views


# Many patches.


def emp_ssl(
    size=32,
    count=20,
    scale=(0.25, 0.25),
    ratio=(1.0, 1.0),
    jitter=(0.4, 0.4, 0.4, 0.2),
    kernel=9,
    blur_p=0.1,
    solarize_p=0.1,
    threshold=128,
    seed=None,
    **kwargs,
):
    """EMP-SSL: Towards Self-Supervised Learning in One Training Epoch (Tong et al., 2023), arXiv:2304.03977, after its
    authors' code: many patches of a quarter of the image, enlarged.

    Args:
        size, scale, ratio, jitter, kernel, blur_p, seed: see `simclr`.
        count: int, the number of patches; 20 to 200.
        solarize_p, threshold: floats, the probability and the threshold of `Solarize`.
        **kwargs: the other arguments of `simclr`.

    Returns:
        `Views`, `count` draws of one patch.
    """
    view = simclr(size, scale=scale, ratio=ratio, jitter=jitter, kernel=kernel, blur_p=blur_p, **kwargs).views
    return Views(present(*view.layers, Solarize(threshold, solarize_p)), count, seed=seed)


# Masked images: one view, hardly changed. The masks are the methods'.


def mae(size, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, seed=None):
    """MAE: Masked Autoencoders Are Scalable Vision Learners (He et al., 2021), arXiv:2111.06377: crop
    and flip.

    Args:
        size, scale, ratio, flip, seed: see `simclr`.

    Returns:
        `Views` of one view.
    """
    return Views(View([RandomResizedCrop(size, scale, ratio, flip)]), 1, seed=seed)


def simmim(size, scale=(0.67, 1.0), **kwargs):
    """SimMIM (Xie et al., 2021), arXiv:2111.09886: `mae` with larger crops."""
    return mae(size, scale, **kwargs)


def mask_feat(size, scale=(0.5, 1.0), **kwargs):
    """MaskFeat (Wei et al., 2021), arXiv:2112.09133: `mae` with larger crops."""
    return mae(size, scale, **kwargs)


def ijepa(size, scale=(0.3, 1.0), flip=0.0, **kwargs):
    """I-JEPA (Assran et al., 2023), arXiv:2301.08243, after its authors' code: `mae` without the flip."""
    return mae(size, scale, flip=flip, **kwargs)


def beit(
    size=224,
    token_size=None,
    jitter=(0.4, 0.4, 0.4, 0.0),
    jitter_p=1.0,
    scale=(0.08, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    seed=None,
):
    """BEiT: BERT Pre-Training of Image Transformers (Bao et al., 2021), arXiv:2106.08254, after its authors' code:
    the same crop at two sizes, for the encoder and for the tokenizer.

    Args:
        size, scale, ratio, flip, jitter, jitter_p, seed: see `simclr`.
        token_size: int or pair of ints, the size of the tokenizer's view; None for half of `size`.

    Returns:
        A layer that gives two views.
    """
    sizes = size, half(size, token_size)
    crops = SharedViews([RandomResizedCrop(side, scale, ratio, flip) for side in sizes])
    return present(ColorJitter(*scaled(jitter), p=jitter_p), crops, seed=seed)


def data2vec(
    size=224, jitter=(0.4, 0.4, 0.4, 0.0), jitter_p=1.0, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, seed=None
):  # fmt: skip
    """data2vec (Baevski et al., 2022), arXiv:2202.03555, after its authors' code: the crop of `beit` at one size.

    Args:
        size, jitter, jitter_p, scale, ratio, flip, seed: see `simclr`.

    Returns:
        `Views` of one view.
    """
    view = present(ColorJitter(*scaled(jitter), p=jitter_p), RandomResizedCrop(size, scale, ratio, flip))
    return Views(view, 1, seed=seed)


# Clusters and channels.


def deepcluster(size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, sobel=True, seed=None):
    """DeepCluster: Deep Clustering for Unsupervised Learning of Visual Features (Caron et al., 2018),
    arXiv:1807.05520 and its authors' code: crop, flip, and the fixed `Sobel` of its networks.

    Args:
        size, scale, ratio, flip, seed: see `simclr`.
        sobel: whether the view is the two slopes of the image. False where the encoder itself starts with `Sobel`.

    Returns:
        `Views` of one view.
    """
    check_flags(sobel=sobel)
    crop = RandomResizedCrop(size, scale, ratio, flip)
    return Views(View([crop, Sobel(fill=115)] if sobel else [crop]), 1, seed=seed)


def cmc(size, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, policy=None, convert=None, seed=None):
    """CMC: Contrastive Multiview Coding (Tian et al., 2019), arXiv:1906.05849: the lightness and the
    color of the same crop.

    Args:
        size, scale, ratio, flip, seed: see `simclr`.
        policy: layer between the crop and the split, as `RandAugment`, or None. It must not change colors.
        convert: layer that makes of red, green and blue a lightness and two colors, None for `ToLab(pixels=True)`.

    Returns:
        A layer that gives two views, of 1 and of 2 channels.
    """
    convert = ToLab(pixels=True) if convert is None else convert
    layers = [RandomResizedCrop(size, scale, ratio, flip), policy, convert, SplitChannels((1, 2))]
    return View([layer for layer in layers if layer is not None], seed=seed)


def part(size, share, step=1):
    """A share of a size, in multiples of `step` pixels where it has so many, as an int or as a pair."""
    sides = [share * side for side in check_size("size", size)]
    sides = [max(1, round(side / step) * step or round(side)) for side in sides]
    return sides[0] if isinstance(size, int) else tuple(sides)


def half(size, own):
    """The size of the smaller views: their own, or half of `size`."""
    return part(size, 1 / 2) if own is None else own


def kernel_of(size, kernel):
    """The kernel of LeJEPA's blur: `kernel`, or 7 of 128 pixels in proportion, an odd int."""
    if kernel is not None:
        return kernel
    return max(3, round((7 * min(check_size("size", size)) / 128 - 1) / 2) * 2 + 1)


def local_of(size, local_size):
    """The size of local views: `local_size`, or what the papers have for 224 pixels, in proportion."""
    return part(size, 3 / 7, 8) if local_size is None else local_size


def present(*layers, seed=None):
    """A view of the layers that can happen."""
    return View([layer for layer in layers if getattr(layer, "p", 1)], seed=seed)


def scaled(jitter, strength=1.0):
    """The four strengths of `ColorJitter`, each times `strength`."""
    if not isinstance(jitter, (tuple, list)) or len(jitter) != 4 or not all(is_number(amount, 0) for amount in jitter):
        raise ValueError(
            f"jitter must be four numbers from 0: brightness, contrast, saturation, hue. Received: jitter={jitter!r}"
        )
    if not is_number(strength, 0):
        raise ValueError(f"strength must be a number from 0. Received: strength={strength!r}")
    return [strength * amount for amount in jitter]


def chances(count, **arguments):
    """The probabilities of each of `count` views, one of each argument."""
    for name, values in arguments.items():
        if not isinstance(values, (tuple, list)) or len(values) != count:
            raise ValueError(f"{name} must be {count} probabilities, one for each kind of view. Received: {values!r}")
        for value in values:
            check_probability(name, value)
    return zip(*arguments.values(), strict=True)


def check_counts(**arguments):
    for name, value in arguments.items():
        if not is_int(value, 0):
            raise ValueError(f"{name} must be an int from 0. Received: {name}={value!r}")
