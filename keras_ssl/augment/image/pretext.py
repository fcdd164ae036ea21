"""Pretext: the pieces of an image that methods ask about, and what keeps them from giving the answer away.

Neighboring pieces share lines, brightness and the aberration of the lens. A network finds these before it finds what
the image shows. Each guard is an argument, on by default.
"""

from keras_ssl.augment.image.color import Grayscale
from keras_ssl.augment.image.crop import RandomFlip, RandomResizedCrop
from keras_ssl.augment.image.drop import ChannelDrop
from keras_ssl.augment.image.exemplar import ChangeHSV, RandomAffine, ScaleComponents
from keras_ssl.augment.image.geometry import Resize
from keras_ssl.augment.image.patches import (
    Coarsen,
    Downsample,
    PatchGrid,
    PerPatch,
    ProjectColors,
    ShiftChannels,
    Standardize,
)
from keras_ssl.augment.view import View, Views
from keras_ssl.checks import check_flags, check_ints, choice
from keras_ssl.pixels import check_size

COLORS = {
    # The mean of the channel that is kept is that of the others, so that it does not tell how bright the patch was.
    "drop": lambda: [Standardize(), ChannelDrop(keep=1, fill=127.5)],
    "project": lambda: [ProjectColors()],
    "gray": lambda: [Grayscale(p=1.0)],
    "keep": lambda: [],
}


def context_prediction(
    size,
    grid=3,
    patch=None,
    gap=None,
    jitter=None,
    scale=(0.35, 1.0),
    colors="drop",
    coarsen_p=1 / 3,
    standardize=True,
    seed=None,
):
    """Context Prediction (Doersch et al., 2015), arXiv:1505.05192: patches on a grid, for `ContextPrediction`.

    The authors cut patches of 96 pixels, 48 apart and each moved by up to 7, from images of 150,000 to 450,000 pixels:
    squares of 398 pixels hold 3 x 3 of them. Here a square crop of the image gets `size` pixels, and patches, gaps and
    moves have these proportions.

    Args:
        size: int, the side of the crop that the grid lies in, in pixels.
        grid: int or pair of ints (rows, columns), the number of patches.
        patch: int, the side of a patch in pixels; None for as large as fits.
        gap: int, pixels between patches; None for half a patch. Without one, edges go on from patch to patch.
        jitter: int, pixels by which each patch moves up or down and left or right; None for 7/96 of a patch, at least
            1. Without it, edges are at the same place in both patches.
        scale: pair of floats, the range of the crop's area as a part of the image's.
        colors: what hides the aberration of lenses: `"drop"` for one channel of a patch, drawn, and two flat ones, as
            in the authors' code (where they have noise of half a level), at one brightness; `"project"` for colors
            without the axis from green to magenta; `"gray"`; or `"keep"`.
        coarsen_p: float, the share of the patches that are made smaller and large again.
        standardize: whether every patch gets the same mean and deviation. Without it, brightness tells the sky.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views` of one view, `(batch, rows * columns, patch, patch, channels)`.

    Raises:
        ValueError: for patches that do not fit into the crop, and other invalid arguments.

    Example:
        >>> import numpy as np
        >>> (patches,) = context_prediction(96)(np.zeros((2, 96, 96, 3), "uint8"))
        >>> patches.shape
        TensorShape([2, 9, 23, 23, 3])
    """
    check_ints(size=size)
    most = max(check_size("grid", grid))
    if patch is None:
        patch = next(side for side in range(size, 0, -1) if needed(most, side, gap, jitter) <= size or side == 1)
    check_ints(patch=patch)
    gap, jitter = usual(patch, gap, jitter)
    choice(*COLORS)("colors", colors)
    check_flags(standardize=standardize)
    if most * patch + (most - 1) * gap + 2 * jitter > size:
        raise ValueError(
            f"{most} patches of {patch} pixels, {gap} apart and moved by up to {jitter}, must fit into the crop. "
            f"Received: size={size}"
        )
    ratio = (patch / 96) ** 2
    coarsen = Coarsen((max(1.0, 100 * ratio), max(1.0, 10_000 * ratio)), p=coarsen_p)
    guards = [coarsen, *COLORS[colors](), *([Standardize(per_channel=False)] if standardize else [])]
    layers = [RandomResizedCrop(size, scale, ratio=(1.0, 1.0)), PatchGrid(grid, patch, gap=gap, jitter=jitter)]
    return Views([View([*layers, PerPatch(View(guards))])], seed=seed)


def usual(patch, gap, jitter):
    """Gap and jitter of a patch, where they are None."""
    gap = patch // 2 if gap is None else gap
    jitter = max(1, round(patch * 7 / 96)) if jitter is None else jitter
    check_ints(0, gap=gap, jitter=jitter)
    return gap, jitter


def needed(count, patch, gap, jitter):
    gap, jitter = usual(patch, gap, jitter)
    return count * patch + (count - 1) * gap + 2 * jitter


def jigsaw(
    size, grid=3, patch=None, jitter=None, scale=(0.6, 1.0), grayscale_p=0.3, shift=None, standardize=True, seed=None
):
    """Jigsaw (Noroozi and Favaro, 2016), arXiv:1603.09246: the tiles of a puzzle in order, for `keras_ssl.Jigsaw`.

    The authors cut a crop of 255 pixels (225 in the paper) into nine cells of 85 and take from each a tile of 64, at a
    random place: between tiles there are 0 to 42 pixels. Here the cells are those of the crop of `size` pixels.

    Args:
        size: int, the side of the crop in pixels.
        grid: int, the number of tiles along a side.
        patch: int, the side of a tile in pixels; None for 64/85 of its cell.
        jitter: int, the pixels by which the cell is larger than the tile, which lies anywhere in it: gap and jitter
            are one. None for all that is left. With 0, edges go on from tile to tile.
        scale: pair of floats, the range of the crop's area as a part of the image's.
        grayscale_p: float, the share of the tiles that are gray (0.3 in the paper, of the images; 0.5 in its code,
            where half of the others lack the axis from green to magenta).
        shift: int, the largest shift of the color channels against each other, in pixels, which hides the aberration
            of lenses; None for 2 of 64, at least 1.
        standardize: whether every tile gets the same mean and deviation in each channel. Without it, brightness and
            color order the tiles.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views` of one view, `(batch, grid * grid, patch, patch, channels)`.

    Raises:
        ValueError: for tiles that do not fit into the crop, and other invalid arguments.

    Example:
        >>> import numpy as np
        >>> (tiles,) = jigsaw(96)(np.zeros((2, 96, 96, 3), "uint8"))
        >>> tiles.shape
        TensorShape([2, 9, 24, 24, 3])
    """
    check_ints(size=size, grid=grid)
    cell = size // grid
    patch = max(1, round(cell * 64 / 85)) if patch is None else patch
    check_ints(patch=patch)
    shift = max(1, round(patch * 2 / 64)) if shift is None else shift
    jitter = max(0, cell - patch) if jitter is None else jitter
    check_ints(0, shift=shift, jitter=jitter)
    check_flags(standardize=standardize)
    if grid * (patch + jitter) > size:
        raise ValueError(
            f"{grid} cells of {patch} + {jitter} pixels must fit into the crop. Received: size={size}"
        )
    # The channels move within the cell, or at the border of the crop within a margin.
    crop = RandomResizedCrop(size + shift, scale, ratio=(1.0, 1.0))
    tiles = PatchGrid(grid, patch + shift, stride=patch + jitter, jitter=(0, jitter))
    guards = [ShiftChannels(shift) if shift else None, Grayscale(grayscale_p) if grayscale_p else None]
    guards += [Standardize() if standardize else None]
    guards = [guard for guard in guards if guard]
    return Views([View([crop, tiles, *([PerPatch(View(guards))] if guards else [])])], seed=seed)


def counting(size, scale=(0.6, 1.0), flip=0.5, grayscale_p=0.5, kernels=True, seed=None):
    """Learning to Count (Noroozi et al., 2017), arXiv:1708.06734: an image and its quarters, for `LearningToCount`.

    A crop of `size` pixels (228) is made half as large, each by one of four kernels; and cut into its four quarters,
    which have that size too.

    Args:
        size: int, the side of the crop in pixels, an even number.
        scale: pair of floats, the range of the crop's area as a part of the image's.
        flip: float, the probability to mirror left and right.
        grayscale_p: float, the share of the images that are gray, against cues of the aberration of lenses.
        kernels: whether the kernel is drawn. A fixed one (bilinear) leaves a trace that a network finds.
        seed: int or None, see `Augmentation`.

    Returns:
        `View` that makes two: the whole images `(batch, size / 2, size / 2, channels)`, and their quarters, rows first,
        `(batch, 4, size / 2, size / 2, channels)`.

    Raises:
        ValueError: for an odd size, and other invalid arguments.

    Example:
        >>> import numpy as np
        >>> whole, parts = counting(32)(np.zeros((2, 40, 40, 3), "uint8"))
        >>> whole.shape, parts.shape
        (TensorShape([2, 16, 16, 3]), TensorShape([2, 4, 16, 16, 3]))
    """
    check_ints(2, size=size)
    check_flags(kernels=kernels)
    if size % 2:
        raise ValueError(f"size must be even, for quarters of half the size. Received: size={size}")
    crop = RandomResizedCrop(size, scale, ratio=(1.0, 1.0), flip=flip)
    gray = [Grayscale(grayscale_p)] if grayscale_p else []
    smaller = Downsample(2) if kernels else Resize(size // 2)
    return View([crop, *gray, Views([smaller, PatchGrid(2, size // 2)])], seed=seed)


def exemplar(
    count=1, degrees=20.0, translate=0.2, scale=(0.7, 1.4), components=(0.5, 2.0), colors=True, flip=0.0, seed=None
):
    """Exemplar-CNN (Dosovitskiy et al., 2014), arXiv:1406.6909: strongly changed views of an image, for `ExemplarCNN`.

    Args:
        count: int, the number of views of an image.
        degrees: float, the largest rotation to either side.
        translate: float, the largest shift as a part of the side.
        scale: pair of floats, the range of how much larger things get.
        components: pair of floats, the range of the factors of the three components of color; None for none.
        colors: whether hue, saturation and value change, too.
        flip: float, the probability to mirror left and right; the paper does not.
        seed: int or None, see `Augmentation`.

    Returns:
        `Views` of `count` views of the size of the images.

    Raises:
        ValueError: for invalid ranges.

    Example:
        >>> import numpy as np
        >>> (view,) = exemplar()(np.zeros((4, 32, 32, 3), "uint8"))
        >>> view.shape
        TensorShape([4, 32, 32, 3])
    """
    check_flags(colors=colors)
    layers = [RandomAffine(degrees, translate, scale)]
    layers += [RandomFlip(flip)] if flip else []
    layers += [ScaleComponents(components)] if components is not None else []
    layers += [ChangeHSV()] if colors else []
    return Views(View(layers), count, seed=seed)
