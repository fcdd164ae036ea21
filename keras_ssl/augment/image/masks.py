"""Masks: which patches of an image a method hides, drawn for every image and by its seed.

A mask is a bool tensor `(batch, rows, columns)` over the patches of an image (or over its pixels), True where it is
hidden. How many are hidden is known when the step is compiled, so that `partition` makes index lists of it, which
take the visible patches to an encoder, and the predictions back to their places.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_ssl.augment.layer import Augmentation, check_probability, check_range
from keras_ssl.augment.places import flat, lowest, masked_indices
from keras_ssl.augment.random import choose, uniform
from keras_ssl.checks import check_flags, is_int, is_number
from keras_ssl.inputs import kind_of
from keras_ssl.pixels import check_size, cubic

TRIES = 40  # blocks tried for a mask; BEiT's loop ends earlier (of 4000 masks of 75 patches of 196, all by 36)
FAILURES = 10  # tries in a row that add nothing, after which BEiT's loop gives up
STEPS = 64  # I-JEPA's blocks are drawn from so many areas times so many shapes, so that the smallest is known


class Mask(Augmentation):
    """Base of the masks.

    A mask takes from the images no more than their number. There are two ways to draw it: as one of the views,
    `images, masks = Views([view, RandomMask(14)])(batch)`, by the pipeline's seeds and also within `tf.data`; or in
    the objective of a method, `masks = self.mask(images)`, by the layer's own seeds.
    A subclass implements `masks(seeds)` with int32 seeds `(batch, 2)`.

    Call arguments:
        inputs: tensor `(batch, ...)` of any shape, or the pipeline's dict with the column of the samples and, where
            there is one, `"seed"`.
        seeds: int32 tensor `(batch, 2)`, or None.

    Args:
        grid: int or pair of ints (rows, columns), the number of patches along the sides of an image.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid grid.
    """

    def __init__(self, grid, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_size("grid", grid)
        self.grid = tuple(grid) if isinstance(grid, list) else grid

    def prepare(self, columns):
        kind = kind_of(columns) if isinstance(columns, dict) else None
        return columns[kind.column] if kind else columns

    def extents(self, sample):
        return ()

    def rest(self, sample):
        raise ValueError(f"{type(self).__name__} was called with training=False: there is no mask outside of training.")

    def draw(self, seeds, size=None):
        return {"masks": self.masks(seeds)}

    def transform(self, images, masks):
        return masks

    def masks(self, seeds):
        raise NotImplementedError(f"{type(self).__name__} must implement masks(seeds).")

    @property
    def sides(self):
        return check_size("grid", self.grid)

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}


class CountedMask(Mask):
    """Base of the masks that hide a given part of the patches.

    Args:
        grid, seed, name: see `Mask`.
        ratio: float from 0 to 1, the part that is hidden, rounded up to whole patches; or a pair of floats (low,
            high), between which every image draws its own part, rounded down.
        count: int, the number of hidden patches, instead of `ratio`; or None.
        p: float, the probability of an image to be masked at all.

    Raises:
        ValueError: for an invalid grid, ratio, count or probability.
    """

    def __init__(self, grid, ratio, count=None, p=1.0, seed=None, name=None, **kwargs):
        super().__init__(grid, seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.ratio = check_ratio(ratio)
        self.count = count
        self.p = p
        if count is not None and not (is_int(count, 0) and count <= self.cells):
            raise ValueError(f"count must be an int from 0 to {self.cells}, the patches. Received: count={count}")

    @property
    def cells(self):
        """int, how many cells a mask is drawn of."""
        return math.prod(self.sides)

    @property
    def masked(self):
        """int, the hidden patches of an image: exactly so many, or at most where `ratio` is a pair or `p` below 1."""
        return self.most_cells

    @property
    def most_cells(self):
        if self.count is not None:
            return self.count
        if isinstance(self.ratio, tuple):
            return math.floor(self.cells * self.ratio[1] + 1e-6)
        return math.ceil(self.cells * self.ratio - 1e-6)

    def counts(self, draws):
        """How many cells to hide, int32 `(batch, 1)`, by two draws `(batch, 2)`."""
        counts = ops.full_like(draws[:, :1], self.most_cells, dtype="int32")
        if self.count is None and isinstance(self.ratio, tuple):
            low, high = self.ratio
            drawn = ops.floor((low + (high - low) * draws[:, :1]) * self.cells)
            counts = ops.minimum(ops.cast(drawn, "int32"), counts)
        return counts if self.p == 1 else ops.where(draws[:, 1:] < self.p, counts, 0)

    def even_counts(self, draws):
        """How many cells to hide of all images of a batch together, int32 `(batch, 1)`, by two draws `(batch, 2)`.

        Not each image for itself: exactly `floor(p * batch)` of them are masked, and where `ratio` is a pair, each of
        these draws its part of the cells from an equal part of the range of its own.
        """
        images = ops.cast(ops.shape(draws)[0], "float32")
        masked = ops.floor(self.p * images + 1e-4)
        order = ops.cast(ops.argsort(ops.argsort(draws[:, 1])), "float32")[:, None]
        spread = (order + draws[:, :1]) / ops.maximum(masked, 1.0)
        every = ops.concatenate([spread, ops.zeros_like(spread)], axis=1)  # a second draw of 0: below every p
        return ops.where(order < masked, self.counts(every), 0)

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio, "count": self.count, "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class RandomMask(CountedMask):
    """Every set of patches of the given size is equally likely to be hidden.

    MAE: Masked Autoencoders Are Scalable Vision Learners (He et al., 2021), arXiv:2111.06377: `ratio=0.75`.
    SimMIM: A Simple Framework for Masked Image Modeling (Xie et al., 2021), arXiv:2111.09886: `ratio=0.6`, in units
    of 32 pixels. MSN, arXiv:2204.07141, drops a part of 0.15. iBOT, arXiv:2111.07832, has a random form with
    `ratio=(0.1, 0.5), p=0.5`.

    Args:
        grid: int or pair of ints (rows, columns), the patches along the sides: 14 for 224 pixels in patches of 16.
        ratio: float from 0 to 1, the part that is hidden, rounded up to whole units; or a pair of floats (low,
            high), between which every image draws its own part, rounded down.
        count: int, the number of hidden units, instead of `ratio`; or None.
        unit: int, patches along the side of the squares that are hidden as one: 8 for SimMIM's 32 pixels in patches
            of 4. It divides the grid.
        p: float, the probability of an image to be masked at all.
        seed, name: see `Augmentation`.

    Returns:
        bool tensor `(batch, rows, columns)`, True where hidden: `masked` patches of every image.

    Raises:
        ValueError: for other arguments than these, and for a unit that does not divide the grid.

    Example:
        >>> import numpy as np
        >>> mask = RandomMask(14, ratio=0.75)
        >>> mask(np.zeros((4, 224, 224, 3), "uint8")).shape, mask.masked
        (TensorShape([4, 14, 14]), 147)
    """

    def __init__(self, grid, ratio=0.75, count=None, unit=1, p=1.0, seed=None, name=None, **kwargs):
        if not is_int(unit, 1) or any(side % unit for side in check_size("grid", grid)):
            raise ValueError(f"unit must be a positive int that divides the grid. Received: unit={unit}, grid={grid}")
        self.unit = unit
        super().__init__(grid, ratio, count, p, seed=seed, name=name, **kwargs)

    @property
    def cells(self):
        return math.prod(self.sides) // self.unit**2

    @property
    def masked(self):
        return self.most_cells * self.unit**2

    def masks(self, seeds, counts=None):
        rows, columns = (side // self.unit for side in self.sides)
        draws = uniform(seeds, 2 + self.cells)
        hidden = lowest(draws[:, 2:], self.counts(draws[:, :2]) if counts is None else counts)
        return enlarge(ops.reshape(hidden, (-1, rows, columns)), self.unit)

    def get_config(self):
        return {**super().get_config(), "unit": self.unit}


@keras.saving.register_keras_serializable("keras_ssl")
class BlockMask(CountedMask):
    """Blocks of random area, shape and place are hidden until the count is reached.

    BEiT: BERT Pre-Training of Image Transformers (Bao et al., 2021), arXiv:2106.08254, algorithm 1: 75 of 14 x 14
    patches. iBOT, arXiv:2111.07832: `ratio=(0.1, 0.5), p=0.5`, so that half of the images stay whole; DINOv2,
    arXiv:2304.07193, the same with `min_patches=4`. The random blocks of Context Encoders, arXiv:1604.07379:
    `ratio=0.25` on a grid of pixels.

    This is the authors' loop: the area of a block is uniform between `min_patches` and what is still to be hidden, its
    aspect log-uniform, its place uniform, and it counts if it hides something new and not too much. Their loop gives
    up after 10 tries in a row without a block, and then hides a few patches less: for 75 of 196 one in three masks,
    0.5 patches on average. Here the missing ones are chosen at random among the neighbors of hidden patches.
    The loop has 40 tries, more than theirs takes.

    Args:
        grid: int or pair of ints (rows, columns), the patches along the sides, at least 2.
        ratio: float from 0 to 1, the part that is hidden, rounded up to whole patches; or a pair of floats (low,
            high), between which every image draws its own part, rounded down.
        count: int, the number of hidden patches, instead of `ratio`; or None.
        min_patches: float, the smallest area of a block in patches, or None for (shorter side // 3)^2: 16 of 14 x 14.
        max_patches: float, the largest area of a block in patches, or None for no limit.
        aspect: pair of floats, the range of height / width.
        p: float, the probability of an image to be masked at all.
        seed, name: see `Augmentation`.

    Returns:
        bool tensor `(batch, rows, columns)`, True where hidden: `masked` patches of every image.

    Raises:
        ValueError: for other arguments than these.

    Example:
        >>> import numpy as np
        >>> mask = BlockMask(14, count=75)
        >>> int(np.sum(mask(np.zeros((2, 224, 224, 3), "uint8"))))
        150
    """

    def __init__(
        self, grid, ratio=0.4, count=None, min_patches=None, max_patches=None, aspect=(0.3, 1 / 0.3), p=1.0, seed=None,
        name=None, **kwargs,
    ):  # fmt: skip
        super().__init__(grid, ratio, count, p, seed=seed, name=name, **kwargs)
        if min(self.sides) < 2:
            raise ValueError(f"grid must have at least 2 rows and 2 columns for blocks. Received: grid={grid}")
        if min_patches is not None and not is_number(min_patches, 1):
            raise ValueError(f"min_patches must be a number from 1, or None. Received: min_patches={min_patches}")
        if max_patches is not None and not is_number(max_patches, min_patches or 1):
            raise ValueError(
                f"max_patches must be a number from min_patches={min_patches or 1}, or None. Received: "
                f"max_patches={max_patches}"
            )
        self.min_patches, self.max_patches = min_patches, max_patches
        self.aspect = check_range("aspect", aspect)

    def masks(self, seeds, counts=None):
        rows, columns = self.sides
        draws = uniform(seeds, 2 + 4 * TRIES + rows * columns)
        counts = self.counts(draws[:, :2]) if counts is None else counts
        tries = ops.reshape(draws[:, 2 : 2 + 4 * TRIES], (-1, TRIES, 4))
        rest = draws[:, 2 + 4 * TRIES :]

        def add(number, state):
            hidden, failures = state
            block = self.block(ops.take(tries, number, axis=1), counts - total(hidden))
            new = total(block & ~hidden)
            counting = (new > 0) & (new <= counts - total(hidden)) & (failures < FAILURES)
            return hidden | (block & counting[:, :, None]), ops.where(counting, 0, failures + 1)

        nothing = ops.reshape(rest, (-1, rows, columns)) < 0, ops.zeros_like(counts)
        hidden, _ = ops.fori_loop(0, TRIES, add, nothing)
        scores = rest + ops.where(flat(hidden), 0.0, ops.where(flat(neighbors(hidden)), 1.0, 2.0))
        return ops.reshape(lowest(scores, counts), (-1, rows, columns))

    def block(self, draws, left):
        """A block for each image by four draws `(batch, 4)`; `left` `(batch, 1)` patches are still to be hidden."""
        rows, columns = self.sides
        smallest = max(1, (min(rows, columns) // 3) ** 2) if self.min_patches is None else self.min_patches
        left = ops.cast(left, "float32")
        largest = left if self.max_patches is None else ops.minimum(left, self.max_patches)
        area = smallest + (largest - smallest) * draws[:, :1]
        low, high = map(math.log, self.aspect)
        aspect = ops.exp(low + (high - low) * draws[:, 1:2])
        height = ops.round(ops.sqrt(area * aspect))
        width = ops.round(ops.sqrt(area / aspect))
        top, left = choose(draws[:, 2:3], rows - height), choose(draws[:, 3:], columns - width)
        return box(top, left, height, width, rows, columns) & ((height < rows) & (width < columns))[:, :, None]

    def get_config(self):
        config = {"min_patches": self.min_patches, "max_patches": self.max_patches, "aspect": self.aspect}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_ssl")
class RegionMask(CountedMask):
    """Regions of arbitrary shape are hidden: where smooth noise is low.

    The random regions of Context Encoders: Feature Learning by Inpainting (Pathak et al., 2016), arXiv:1604.07379:
    noise of one number per 17 x 17 pixels, enlarged by bicubic interpolation. The authors cut the noise off at a
    quarter of its range and draw until a part from 0.2 to 0.3 is hidden. Here the part is drawn between the two, and
    the noise is cut off where it gives this part, for every image at the first try.

    Args:
        grid: int or pair of ints (rows, columns), mostly the pixels of the image.
        ratio: float from 0 to 1, the part that is hidden; or a pair of floats (low, high), between which every image
            draws its own part.
        count: int, the number of hidden pixels, instead of `ratio`; or None.
        cell: float, at least 1: the pixels along a side for one number of the noise.
        p: float, the probability of an image to be masked at all.
        seed, name: see `Augmentation`.

    Returns:
        bool tensor `(batch, rows, columns)`, True where hidden.

    Raises:
        ValueError: for other arguments than these.

    Example:
        >>> import numpy as np
        >>> RegionMask(128)(np.zeros((2, 128, 128, 3), "uint8")).shape
        TensorShape([2, 128, 128])
    """

    def __init__(
        self, grid, ratio=(0.2, 0.3), count=None, cell=1 / 0.06, p=1.0, seed=None, name=None, **kwargs
    ):  # fmt: skip
        super().__init__(grid, ratio, count, p, seed=seed, name=name, **kwargs)
        if not is_number(cell, 1):
            raise ValueError(f"cell must be a number of pixels of at least 1. Received: cell={cell}")
        self.cell = cell

    def masks(self, seeds, counts=None):
        rows, columns = self.sides
        down, across = (math.ceil(side / self.cell) + 4 for side in (rows, columns))
        draws = uniform(seeds, 4 + down * across)
        noise = ops.reshape(draws[:, 4:], (-1, down, across))
        to_rows = bicubic(rows, down, self.cell, draws[:, 2:3])  # (batch, rows, down)
        to_columns = bicubic(columns, across, self.cell, draws[:, 3:4])
        scores = ops.matmul(ops.matmul(to_rows, noise), ops.transpose(to_columns, (0, 2, 1)))
        counts = self.counts(draws[:, :2]) if counts is None else counts
        hidden = lowest(ops.reshape(scores, (-1, rows * columns)), counts)
        return ops.reshape(hidden, (-1, rows, columns))

    def get_config(self):
        return {**super().get_config(), "cell": self.cell}


@keras.saving.register_keras_serializable("keras_ssl")
class HoleMask(Mask):
    """One rectangle is hidden, at a random place or in the middle; or all but this rectangle.

    Context Encoders: Feature Learning by Inpainting (Pathak et al., 2016), arXiv:1604.07379: `HoleMask(128, 56,
    center=True)`, which is 64 pixels to be predicted less a visible band of 4. QB-Heat: Self-Supervised Learning
    based on Heat Equation (Chen et al., 2022), arXiv:2211.13228: `HoleMask(14, 7, step=7, inverse=True)` leaves one
    quarter, at one of the four corners.

    Args:
        grid: int or pair of ints (rows, columns), the patches or pixels along the sides.
        size: int or pair of ints (rows, columns), the size of the rectangle in patches or pixels.
        center: bool, whether the rectangle is in the middle of every image.
        step: int, the raster of the random places: every `step`-th row and column.
        inverse: bool, whether everything but the rectangle is hidden.
        seed, name: see `Augmentation`.

    Returns:
        bool tensor `(batch, rows, columns)`, True where hidden: `masked` patches of every image.

    Raises:
        ValueError: for a rectangle larger than the grid, and for an invalid step.

    Example:
        >>> import numpy as np
        >>> HoleMask(4, 2, center=True)(np.zeros((1, 64, 64, 3)))[0].numpy().astype(int).tolist()
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """

    def __init__(self, grid, size, center=False, step=1, inverse=False, seed=None, name=None, **kwargs):
        super().__init__(grid, seed=seed, name=name, **kwargs)
        if any(hole > side for hole, side in zip(check_size("size", size), self.sides)):
            raise ValueError(f"size must not be larger than the grid. Received: size={size}, grid={grid}")
        if not is_int(step, 1):
            raise ValueError(f"step must be a positive int. Received: step={step}")
        self.size = tuple(size) if isinstance(size, list) else size
        check_flags(center=center, inverse=inverse)
        self.center, self.step, self.inverse = center, step, inverse

    @property
    def masked(self):
        """int, the number of hidden patches of an image."""
        hole = math.prod(check_size("size", self.size))
        return math.prod(self.sides) - hole if self.inverse else hole

    def masks(self, seeds):
        height, width = check_size("size", self.size)
        hole = box(*self.places(seeds), height, width, *self.sides)
        return ~hole if self.inverse else hole

    def places(self, seeds):
        """Top row and left column of the rectangles: two float32 tensors `(batch, 1)`."""
        draws = uniform(seeds, 2)
        places = []
        for axis, (side, hole) in enumerate(zip(self.sides, check_size("size", self.size))):
            draw = draws[:, axis : axis + 1]
            if self.center:
                places.append(ops.full_like(draw, (side - hole) // 2))
            else:
                places.append(self.step * choose(draw, (side - hole) // self.step))
        return places

    def get_config(self):
        config = {"size": self.size, "center": self.center, "step": self.step, "inverse": self.inverse}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_ssl")
class MultiBlockMask(Mask):
    """A few blocks to be predicted, and a large block without them to predict from, as index lists.

    I-JEPA: Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture (Assran et al.,
    2023), arXiv:2301.08243. What differs from the authors' sampler, because the length of the lists must be known
    when the step is compiled:

    - Every image draws its own size of target blocks (theirs: one for the batch), and its area and aspect
      independently (their code takes one random number for both). Sizes that rounding makes smaller than the range
      are left out.
    - A block may be at every place where it fits. Theirs never reaches the last row and the last column.
    - Their lists are cut to the shortest of the batch, at the bottom of the image. Here target blocks are cut to the
      smallest possible area and contexts to `keep` patches, from the top, the bottom, the left or the right by
      chance, so that no part of the images is left out more often than its opposite.
    - A context with fewer than `keep` patches gets the missing ones from outside of its block, and never from a
      target. Theirs is drawn again, and in the end takes patches of a target.

    Args:
        grid: int or pair of ints (rows, columns), the patches along the sides.
        targets: int, the number of target blocks of an image, which may overlap.
        scale: pair of floats, the range of a target block's area as a part of the image's.
        aspect: pair of floats, the range of a target block's height / width.
        context: pair of floats, the range of the area of the context's block, which is square, as a part of the
            image's.
        keep: int, the number of patches of a context, at most as many as the targets leave in every case; None for
            this largest number.
        seed, name: see `Augmentation`.

    Returns:
        two int32 tensors of indices in ascending order, rows of patches first: the context `(batch, kept)` and the
        target blocks `(batch, targets, masked)`.

    Raises:
        ValueError: for invalid ranges and numbers, and for targets that may leave no or too little context.

    Example:
        >>> import numpy as np
        >>> context, targets = MultiBlockMask(14)(np.zeros((2, 224, 224, 3), "uint8"))
        >>> context.shape, targets.shape
        (TensorShape([2, 76]), TensorShape([2, 4, 30]))
    """

    def __init__(
        self, grid, targets=4, scale=(0.15, 0.2), aspect=(0.75, 1.5), context=(0.85, 1.0), keep=None, seed=None,
        name=None, **kwargs,
    ):  # fmt: skip
        super().__init__(grid, seed=seed, name=name, **kwargs)
        if not is_int(targets, 1):
            raise ValueError(f"targets must be a positive int. Received: targets={targets}")
        self.targets, self.keep = targets, keep
        self.scale, self.context = check_range("scale", scale), check_range("context", context)
        self.aspect = check_range("aspect", aspect)
        for what, (_, high) in [("scale", self.scale), ("context", self.context)]:
            if high > 1:
                raise ValueError(f"{what} is a part of the image's area, at most 1. Received: {what}=(..., {high})")
        most = math.prod(self.sides) - targets * self.masked
        if most < 1:
            raise ValueError(
                f"the {targets} targets of {self.masked} patches may leave no context of the {math.prod(self.sides)} "
                f"patches: take fewer or smaller targets. Received: targets={targets}, scale={scale}, grid={grid}"
            )
        if keep is not None and not (is_int(keep, 1) and keep <= most):
            raise ValueError(f"keep must be an int from 1 to {most}, what the targets leave. Received: keep={keep}")

    @property
    def masked(self):
        """int, the number of patches of a target block."""
        return int(block_sizes(self.sides, self.scale, self.aspect).prod(axis=1).min())

    @property
    def kept(self):
        """int, the number of patches of a context."""
        return math.prod(self.sides) - self.targets * self.masked if self.keep is None else self.keep

    @property
    def separable(self):
        return False  # a pair of tensors is made of the whole batch

    def draw(self, seeds, size=None):
        context, targets = self.masks(seeds)
        targets, _ = masked_indices(ops.reshape(targets, (-1, *self.sides)), self.masked)
        targets = ops.reshape(targets, (-1, self.targets, self.masked))
        return {"context": masked_indices(context, self.kept)[0], "targets": targets}

    def transform(self, images, context, targets):
        return context, targets

    def masks(self, seeds):
        """The patches of the context `(batch, rows, columns)` and of the targets `(batch, targets, rows, columns)`."""
        draws = uniform(seeds, 5 + 3 * self.targets)
        size = self.size(self.scale, self.aspect, draws[:, 0])
        targets = [
            self.cut([self.place(size, draws[:, n : n + 2])], self.masked, draws[:, n + 2])
            for n in range(5, 5 + 3 * self.targets, 3)
        ]
        targets = ops.stack(targets, axis=1)
        free = ~ops.any(targets, axis=1)
        block = self.place(self.size(self.context, (1.0, 1.0), draws[:, 1]), draws[:, 2:4])
        return self.cut([block & free, free], self.kept, draws[:, 4]), targets

    def size(self, scale, aspect, draw):
        """Height and width of a block: two float32 tensors `(batch, 1)`."""
        sizes = block_sizes(self.sides, scale, aspect)
        rows = ops.cast(ops.floor(draw * len(sizes)), "int32")
        return ops.split(ops.take(ops.convert_to_tensor(sizes, "float32"), rows, axis=0), 2, axis=1)

    def place(self, size, draws):
        (height, width), (rows, columns) = size, self.sides
        top, left = choose(draws[:, :1], rows - height), choose(draws[:, 1:], columns - width)
        return box(top, left, height, width, rows, columns)

    def cut(self, masks, count, draw):
        """`count` patches of the first mask, or of the next where it has too few; the rest is left out at one side."""
        rows, columns = self.sides
        by_row = np.arange(rows * columns).reshape(rows, columns)
        by_column = np.arange(rows * columns).reshape(columns, rows).T
        orders = np.stack([by_row, by_row[::-1, ::-1], by_column, by_column[::-1, ::-1]]).reshape(4, -1).astype("int32")
        scores = ops.take(orders, ops.cast(ops.floor(draw * 4), "int32"), axis=0)
        for mask in masks:
            scores = ops.where(flat(mask), scores, scores + rows * columns)
        return ops.reshape(lowest(scores, count), (-1, rows, columns))

    def get_config(self):
        config = {"targets": self.targets, "scale": self.scale, "aspect": self.aspect}
        return {**super().get_config(), **config, "context": self.context, "keep": self.keep}


def enlarge(mask, factor):
    """A mask on a finer grid: every patch becomes a square of `factor` x `factor` patches, or pixels.

    Args:
        mask: tensor `(batch, rows, columns)` of any dtype.
        factor: int.

    Returns:
        tensor `(batch, rows * factor, columns * factor)`.

    Example:
        >>> import numpy as np
        >>> enlarge(np.array([[[True, False]]]), 2).numpy().astype(int).tolist()
        [[[1, 1, 0, 0], [1, 1, 0, 0]]]
    """
    return mask if factor == 1 else ops.repeat(ops.repeat(mask, factor, axis=1), factor, axis=2)


def box(top, left, height, width, rows, columns):
    """Rectangles on a grid, bool `(batch, rows, columns)`; top and left `(batch, 1)` and the sizes, of one dtype."""
    row = ops.arange(rows, dtype="float32")[None, :]
    column = ops.arange(columns, dtype="float32")[None, :]
    down = (row >= top) & (row < top + height)
    across = (column >= left) & (column < left + width)
    return down[:, :, None] & across[:, None, :]


def block_sizes(sides, scale, aspect):
    """Height and width in patches `(sizes, 2)` of the blocks that are drawn, all equally likely."""
    rows, columns = sides
    middle = (np.arange(STEPS) + 0.5) / STEPS
    area = np.floor(rows * columns * (scale[0] + (scale[1] - scale[0]) * middle) + 1e-6)[:, None]
    aspect = (aspect[0] + (aspect[1] - aspect[0]) * middle)[None, :]
    # As the authors: at least one row and one column less than the image.
    height = np.clip(np.round(np.sqrt(area * aspect)), 1, max(1, rows - 1)).ravel()
    width = np.clip(np.round(np.sqrt(area / aspect)), 1, max(1, columns - 1)).ravel()
    # A block that rounding made smaller than the range is left out: all others would be cut to its size.
    large = height * width >= min(area.min(), (height * width).max())
    return np.stack([height, width], axis=1)[large]


def bicubic(side, numbers, cell, offset):
    """Matrices `(batch, side, numbers)` that enlarge `numbers` by the factor `cell`, at an offset of 0 to 1 cells."""
    pixel = ((ops.arange(side, dtype="float32") + 0.5) / cell)[None, :] + 1 + offset
    distance = ops.abs(pixel[:, :, None] - ops.arange(numbers, dtype="float32")[None, None, :])
    return cubic(distance)


def neighbors(mask):
    """The patches beside, above or below one of the mask, and some of the mask."""
    rows, columns = mask.shape[1:]
    padded = ops.pad(mask, [(0, 0), (1, 1), (1, 1)])
    shifted = [padded[:, 1 + down :, 1 + across :] for down, across in [(-1, 0), (1, 0), (0, -1), (0, 1)]]
    first, *others = [x[:, :rows, :columns] for x in shifted]
    for other in others:
        first = first | other
    return first


def total(mask):
    """The number of patches of a mask, int32 `(batch, 1)`."""
    return ops.sum(ops.cast(mask, "int32"), axis=(1, 2))[:, None]


def check_ratio(value):
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(map(is_number, pair)) or not 0 <= pair[0] <= pair[1] <= 1:
        raise ValueError(
            f"ratio must be a number from 0 to 1, or a pair (low, high) with 0 <= low <= high <= 1. "
            f"Received: ratio={value}"
        )
    return pair if isinstance(value, (tuple, list)) else value
