"""Patches: images cut into pieces, the pieces changed each by itself, put into another order or into other images.

Patches are a tensor `(batch, patches, height, width, channels)`, rows of the grid first. The layers that take them
stand behind `PatchGrid` in a `View`.
"""

import itertools
import math
import operator

import keras
import numpy as np
from keras import ops

from keras_ssl import distribute
from keras_ssl.augment.image.color import check_colors
from keras_ssl.augment.image.crop import resample
from keras_ssl.augment.image.filters import Filter
from keras_ssl.augment.image.layer import ImageLayer
from keras_ssl.augment.layer import Augmentation, change, check_probability, check_range
from keras_ssl.augment.image.mixing import partners
from keras_ssl.augment.places import lowest, select
from keras_ssl.augment.random import choose, split, uniform
from keras_ssl.checks import check_flags, check_ints, is_int, is_number
from keras_ssl.pixels import check_size, cubic


@keras.saving.register_keras_serializable("keras_ssl")
class PatchGrid(ImageLayer):
    """Patches on a grid that lies at a random place of the image, each moved a little by itself.

    Gaps and jitter keep a network from solving a puzzle by the edges of its pieces. Where the papers place a grid
    that does not quite fit, and move single patches back into the image, this layer places grids that fit.

    Context Prediction (Doersch et al., 2015), arXiv:1505.05192: `PatchGrid(3, 96, gap=48, jitter=7)`. Jigsaw (Noroozi
    and Favaro, 2016), arXiv:1603.09246, also PIRL's: `PatchGrid(3, 64, stride=85, jitter=(0, 21))` of 255 pixels.
    CPC (van den Oord et al., 2018), arXiv:1807.03748: `PatchGrid(7, 64, stride=32)` of 256 pixels; its second version,
    arXiv:1905.09272: `PatchGrid(6, 80, stride=36)` of 260. Learning to Count (Noroozi et al., 2017),
    arXiv:1708.06734: `PatchGrid(2, 114)` of 228. JigClu (Chen et al., 2021), arXiv:2104.00323: `PatchGrid(2, 179,
    stride=45)` of 224.

    Args:
        grid: int or pair of ints (rows, columns), the number of patches.
        size: int or pair of ints (height, width), the size of a patch in pixels.
        stride: int, pixels from a patch to the next one, before they move; smaller than `size` they overlap. None
            for `size` and `gap`.
        gap: int, pixels between the patches, before they move.
        jitter: int j, every patch moves by -j to j pixels down and across; or the pair (low, high) of ints that it
            moves by, for example to a place in its cell.
        seed, name: see `Augmentation`.

    Returns:
        float32 tensor `(batch, rows * columns, height, width, channels)`.

    Raises:
        ValueError: for invalid sizes, and for images that are smaller than the grid.

    Example:
        >>> import numpy as np
        >>> PatchGrid(3, 64, stride=85, jitter=(0, 21))(np.zeros((2, 255, 255, 3), "uint8")).shape
        TensorShape([2, 9, 64, 64, 3])
    """

    def __init__(self, grid, size, stride=None, gap=0, jitter=0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_size("grid", grid)
        check_size("size", size)
        if stride is not None and not is_int(stride, 1):
            raise ValueError(f"stride must be a positive int or None. Received: stride={stride!r}")
        if not is_int(gap, 0) or (gap and stride is not None):
            raise ValueError(f"gap must be an int from 0, and goes without a stride. Received: gap={gap!r}")
        self.grid = tuple(grid) if isinstance(grid, list) else grid
        self.size = tuple(size) if isinstance(size, list) else size
        self.stride, self.gap = stride, gap
        self.jitter = tuple(jitter) if isinstance(jitter, list) else jitter
        pair = self.jitter if isinstance(self.jitter, tuple) else (0, self.jitter)
        if len(pair) != 2 or not all(is_int(pixels, -(2**31)) for pixels in pair) or pair[0] > pair[1]:
            raise ValueError(
                f"jitter must be an int from 0, or a pair of ints low <= high. Received: jitter={jitter!r}"
            )

    @property
    def moves(self):
        return self.jitter if isinstance(self.jitter, tuple) else (-self.jitter, self.jitter)

    def draw(self, seeds, size):
        rows, columns = check_size("grid", self.grid)
        places = np.indices((rows, columns)).reshape(2, -1).astype("float32")  # the row and the column of the patches
        draws = ops.split(uniform(seeds, 2 + 2 * rows * columns), [2, 2 + rows * columns], axis=1)
        starts = []
        for axis, (side, high) in enumerate(zip(size, check_size("size", self.size))):
            low, most = self.moves
            stride = self.stride or high + self.gap
            needed = (check_size("grid", self.grid)[axis] - 1) * stride + high + most - low
            if not isinstance(side, int) or side < needed:
                raise ValueError(
                    f"PatchGrid needs images of a known size, here of at least {needed} pixels along the "
                    f"{('height', 'width')[axis]}: crop them, or take smaller patches. Received: {size} pixels"
                )
            origin = choose(draws[0][:, axis : axis + 1], side - needed)
            moved = origin + choose(draws[1 + axis], most - low)  # from the place that is furthest up and left
            starts.append(ops.cast(moved + stride * places[axis], "int32"))
        return {"down": starts[0], "across": starts[1]}

    def transform(self, images, down, across):
        width, channels = images.shape[2:]
        (high, wide), patches = check_size("size", self.size), down.shape[1]
        y = down[:, :, None, None] + np.arange(high, dtype="int32")[:, None]
        x = across[:, :, None, None] + np.arange(wide, dtype="int32")
        pixels = ops.reshape(y * width + x, (-1, patches * high * wide))
        found = select(ops.reshape(images, (-1, images.shape[1] * width, channels)), pixels)
        return ops.reshape(found, (-1, patches, high, wide, channels))

    def resized(self, size):
        return check_size("size", self.size)

    def get_config(self):
        config = {"grid": self.grid, "size": self.size, "stride": self.stride, "gap": self.gap}
        return {**super().get_config(), **config, "jitter": self.jitter}


class PatchAugmentation(Augmentation):
    """Base of the layers that take patches `(batch, patches, height, width, channels)` in place of images."""

    def prepare(self, columns):
        if isinstance(columns, dict) or len(columns.shape) != 5:
            received = sorted(columns) if isinstance(columns, dict) else f"shape={tuple(columns.shape)}"
            raise ValueError(
                f"{type(self).__name__} expects patches of shape (batch, patches, height, width, channels): put it "
                f"behind a PatchGrid. Received: {received}"
            )
        return ops.cast(columns, "float32")

    def extents(self, sample):
        return ops.shape(sample)[2:4]

    @property
    def separable(self):
        return False  # most make several tensors, or mix the images of a batch


@keras.saving.register_keras_serializable("keras_ssl")
class PerPatch(PatchAugmentation):
    """Every patch is an image of its own for a layer, with draws of its own.

    Args:
        layer: augmentation layer of images; a `View` for several.
        seed, name: see `Augmentation`.

    Returns:
        what the layer makes of the patches: float32 tensor `(batch, patches, height, width, channels)`.

    Raises:
        ValueError: for an invalid layer, and for a tensor that holds no patches.

    Example:
        >>> import numpy as np
        >>> view = View([PatchGrid(2, 16), PerPatch(RandomResizedCrop(12))])
        >>> view(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 4, 12, 12, 3])
    """

    def __init__(self, layer, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not isinstance(layer, Augmentation):
            raise ValueError(f"layer must be an augmentation layer of this package. Received: layer={layer}")
        self.layer = layer

    @property
    def separable(self):
        return self.layer.separable

    def resized(self, size):
        return self.layer.resized(size)

    def transform(self, patches, seeds):
        count = patches.shape[1]
        seeds = ops.reshape(ops.stack(split(seeds, range(count)), axis=1), (-1, 2))
        changed = self.layer(ops.reshape(patches, (-1, *patches.shape[2:])), seeds=seeds)
        return keras.tree.map_structure(lambda x: ops.reshape(x, (-1, count, *x.shape[1:])), changed)

    def get_config(self):
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})


@keras.saving.register_keras_serializable("keras_ssl")
class ShufflePatches(PatchAugmentation):
    """The patches of an image come in another order, which a network may have to name.

    Jigsaw (Noroozi and Favaro, 2016), arXiv:1603.09246: one order of a fixed set. PIRL (Misra and van der Maaten,
    2019), arXiv:1912.01991, and MP3 (Zhai et al., 2022), arXiv:2207.07611: any order.

    Args:
        orders: int array or lists of ints `(orders, patches)`, each of them a permutation: see `permutations`. None
            for any order.
        seed, name: see `Augmentation`.

    Returns:
        the patches, of which place i holds what stood at place `order[i]`; and as int32 either the number of the
        order `(batch,)`, or without `orders` the order itself `(batch, patches)`.

    Raises:
        ValueError: for orders that are no permutations, or none of the number of patches that there are.

    Example:
        >>> import numpy as np
        >>> view = View([PatchGrid(3, 8), ShufflePatches(permutations(9, 16))])
        >>> patches, labels = view(np.zeros((4, 24, 24, 3), "uint8"))
        >>> patches.shape, labels.shape
        (TensorShape([4, 9, 8, 8, 3]), TensorShape([4]))
    """

    def __init__(self, orders=None, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        try:
            self.orders = None if orders is None else [[operator.index(place) for place in order] for order in orders]
        except TypeError:
            self.orders = []
        if orders is not None and (
            not self.orders or any(sorted(order) != list(range(len(self.orders[0]))) for order in self.orders)
        ):
            raise ValueError(f"orders must be permutations of 0, 1, 2 ... of one length. Received: orders={orders}")

    def transform(self, patches, seeds):
        count = patches.shape[1]
        if self.orders is None:
            label = order = ops.cast(ops.argsort(uniform(seeds, count), axis=1), "int32")
        elif len(self.orders[0]) != count:
            raise ValueError(
                f"orders must be permutations of the {count} patches there are. Received: {len(self.orders[0])} places"
            )
        else:
            label = ops.cast(choose(uniform(seeds, 1)[:, 0], len(self.orders) - 1), "int32")
            order = ops.take(np.array(self.orders, "int32"), label, axis=0)
        return select(patches, order), label

    def get_config(self):
        return {**super().get_config(), "orders": self.orders}


@keras.saving.register_keras_serializable("keras_ssl")
class ReplacePatches(PatchAugmentation):
    """Some patches of an image are those of another image, at the same places.

    Jigsaw++: Boosting Self-Supervised Learning via Knowledge Transfer (Noroozi et al., 2018), arXiv:1805.00385: of
    9 patches 0, 1 or 2. The other image is another one of the batch, under `tf.distribute` of this replica.

    Args:
        max_patches: int, the largest number of patches that are replaced; all numbers from 0 on are equally likely.
        seed, name: see `Augmentation`.

    Returns:
        float32 tensor `(batch, patches, height, width, channels)`.

    Raises:
        ValueError: for an invalid number, or one above the number of patches.

    Example:
        >>> import numpy as np
        >>> view = View([PatchGrid(3, 8), ReplacePatches(2), ShufflePatches(permutations(9, 16))])
        >>> patches, labels = view(np.zeros((4, 24, 24, 3), "uint8"))
    """

    def __init__(self, max_patches=2, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_ints(0, max_patches=max_patches)
        self.max_patches = max_patches

    def transform(self, patches, seeds):
        count = patches.shape[1]
        if self.max_patches > count:
            raise ValueError(
                f"max_patches must not be larger than the {count} patches there are. Received: "
                f"max_patches={self.max_patches}"
            )
        draws = uniform(seeds, 2 + count)
        number = ops.cast(choose(draws[:, :1], self.max_patches), "int32")
        replaced = lowest(draws[:, 2:], number)[:, :, None, None, None]
        return ops.where(replaced, ops.take(patches, partners(draws[:, 1]), axis=0), patches)

    def get_config(self):
        return {**super().get_config(), "max_patches": self.max_patches}


@keras.saving.register_keras_serializable("keras_ssl")
class Montage(PatchAugmentation):
    """Images made of the patches of all images of the batch.

    JigClu: Jigsaw Clustering for Unsupervised Visual Representation Learning (Chen et al., 2021), arXiv:2104.00323:
    2 x 2 patches per montage. Every montage has as many patches as an image, taken by one random permutation of all
    patches of the batch. Under `tf.distribute` it is the batch of all replicas, as in the paper, and the rows of this
    replica are returned.

    Args:
        grid: int or pair of ints (rows, columns), how the patches are laid out; None for a square.
        seed, name: see `Augmentation`.

    Returns:
        the montages, float32 `(batch, rows * height, columns * width, channels)`; and as int32 `(batch, patches)`,
        for each of their cells, rows first: the image of the batch (of all replicas, in the order of
        `keras_ssl.distribute.gather`) that the patch is from, and its number in this image.

    Raises:
        ValueError: for patches that do not fill the grid.

    Example:
        >>> import numpy as np
        >>> view = View([PatchGrid(2, 26, stride=6), PerPatch(RandomResizedCrop(16, scale=(0.2, 1.0))), Montage()])
        >>> montages, images, places = view(np.zeros((4, 32, 32, 3), "uint8"))
        >>> montages.shape, images.shape
        (TensorShape([4, 32, 32, 3]), TensorShape([4, 4]))
    """

    def __init__(self, grid=None, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if grid is not None:
            check_size("grid", grid)
        self.grid = tuple(grid) if isinstance(grid, list) else grid

    def transform(self, patches, seeds):
        batch, (count, high, wide, channels) = ops.shape(patches)[0], patches.shape[1:]
        rows, columns = check_size("grid", math.isqrt(count) if self.grid is None else self.grid)
        if rows * columns != count:
            raise ValueError(
                f"the patches must fill the grid of {rows} x {columns}. Received: shape={tuple(patches.shape)}"
            )
        patches = distribute.gather(patches, gradient=False)
        # Every patch has a random number by the seed of its image: the order of these numbers is the permutation.
        numbers = distribute.gather(uniform(seeds, count), gradient=False)
        order = ops.cast(ops.argsort(ops.reshape(numbers, (-1,))), "int32")
        order = distribute.local(ops.reshape(order, (-1, count)), batch)
        cells = ops.take(ops.reshape(patches, (-1, high, wide, channels)), order, axis=0)
        cells = ops.transpose(ops.reshape(cells, (-1, rows, columns, high, wide, channels)), (0, 1, 3, 2, 4, 5))
        images = ops.reshape(cells, (-1, rows * high, columns * wide, channels))
        return images, order // count, order % count

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}


@keras.saving.register_keras_serializable("keras_ssl")
class ProjectColors(ImageLayer):
    """The axis from green to magenta is taken out of the colors, along which the aberration of lenses is seen.

    Context Prediction (Doersch et al., 2015), arXiv:1505.05192. The gray value stays; values may leave 0 to 255.

    Args:
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for images without 3 channels.

    Example:
        >>> import numpy as np
        >>> ProjectColors()(np.full((1, 1, 1, 3), [0.0, 90.0, 0.0]))[0, 0, 0].numpy().round().tolist()
        [30.0, 30.0, 30.0]
    """

    def __init__(self, p=1.0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.p = p

    def draw(self, seeds, size):
        return {"chosen": uniform(seeds, 1)[:, 0] < self.p}

    def transform(self, images, chosen):
        check_colors(self, images)
        axis = np.array([[-1.0, 2.0, -1.0]])
        matrix = (np.eye(3) - axis.T @ axis / 6).astype("float32")
        return change(images, chosen, lambda images: ops.matmul(images, matrix))

    def get_config(self):
        return {**super().get_config(), "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class ShiftChannels(ImageLayer):
    """Every channel is cut out at a place of its own, so that the shifts of the colors by a lens tell nothing.

    Jigsaw (Noroozi and Favaro, 2016), arXiv:1603.09246: by 0 to 2 pixels.

    Args:
        pixels: int, the largest shift; the images become smaller by so many pixels along both sides.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid shift, and for images not larger than it.

    Example:
        >>> import numpy as np
        >>> ShiftChannels(2)(np.zeros((2, 66, 66, 3), "uint8")).shape
        TensorShape([2, 64, 64, 3])
    """

    def __init__(self, pixels=2, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not is_int(pixels, 0):
            raise ValueError(f"pixels must be an int from 0. Received: pixels={pixels!r}")
        self.pixels = pixels

    def transform(self, images, seeds):
        height, width, channels = images.shape[1:]
        if height is None or width is None or min(height, width) <= self.pixels:
            raise ValueError(
                f"the images must be larger than {self.pixels} pixels, and their size known. "
                f"Received: images.shape={tuple(images.shape)}"
            )
        down, across = ops.split(choose(uniform(seeds, 2 * channels), self.pixels)[:, None, None, :], 2, axis=3)
        for axis, start in [(1, down), (2, across)]:
            length = images.shape[axis] - self.pixels
            cuts = [images[:, i : i + length] if axis == 1 else images[:, :, i : i + length] for i in self.range]
            images = sum(ops.where(start == i, cut, 0.0) for i, cut in zip(self.range, cuts))
        return images

    @property
    def range(self):
        return range(self.pixels + 1)

    def resized(self, size):
        return tuple(side - self.pixels for side in size)

    def get_config(self):
        return {**super().get_config(), "pixels": self.pixels}


@keras.saving.register_keras_serializable("keras_ssl")
class Standardize(Filter):
    """Every image gets the same mean and the same standard deviation; behind `PerPatch`, every patch.

    Jigsaw (Noroozi and Favaro, 2016), arXiv:1603.09246: each patch by its own statistics, or their brightness tells
    their order. Context Prediction, arXiv:1505.05192, and Jigsaw++, arXiv:1805.00385: to a deviation of 50, over all
    channels. The mean makes pixels of it again, because encoders expect these; values may leave 0 to 255.

    Args:
        mean: float, the mean of the result in pixel values.
        deviation: float, the standard deviation of the result in pixel values.
        per_channel: bool, whether every channel has its own statistics.
        name: str, the name of the layer.

    Raises:
        ValueError: for an invalid deviation.

    Example:
        >>> import numpy as np
        >>> float(np.mean(Standardize()(np.random.rand(1, 8, 8, 3)))).__round__(2)
        127.5
    """

    def __init__(self, mean=127.5, deviation=50.0, per_channel=True, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        if not is_number(mean):
            raise ValueError(f"mean must be a finite number. Received: mean={mean!r}")
        if not is_number(deviation, 0) or deviation == 0:
            raise ValueError(f"deviation must be positive. Received: deviation={deviation!r}")
        check_flags(per_channel=per_channel)
        self.mean, self.deviation, self.per_channel = mean, deviation, per_channel

    def transform(self, images):
        axes = (1, 2) if self.per_channel else (1, 2, 3)
        images = images - ops.mean(images, axis=axes, keepdims=True)
        deviation = ops.sqrt(ops.mean(images**2, axis=axes, keepdims=True))
        return self.mean + self.deviation * images / ops.maximum(deviation, 1e-3)  # flat patches stay flat

    def get_config(self):
        config = {"mean": self.mean, "deviation": self.deviation, "per_channel": self.per_channel}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_ssl")
class Coarsen(ImageLayer):
    """Images are made smaller and large again, so that a network cannot live on the finest details.

    Context Prediction (Doersch et al., 2015), arXiv:1505.05192: a third of the patches, to a number of pixels from
    100 to 10000. Bilinear, antialiased on the way down.

    Args:
        pixels: pair of numbers, the range of the number of pixels of the small image, uniform. An image that has less
            stays as it is.
        p: float, the probability of an image to be changed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid range or probability.

    Example:
        >>> import numpy as np
        >>> Coarsen(p=1.0)(np.zeros((2, 96, 96, 3), "uint8")).shape
        TensorShape([2, 96, 96, 3])
    """

    def __init__(self, pixels=(100, 10000), p=1 / 3, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.pixels = check_range("pixels", pixels)
        self.p = p

    def draw(self, seeds, size):
        draws = uniform(seeds, 2)
        low, high = self.pixels
        height, width = (ops.cast(side, "float32") for side in size)
        part = ops.sqrt((low + (high - low) * draws[:, :1]) / (height * width))
        small = [ops.clip(ops.round(part * side), 1, side) for side in (height, width)]
        return {"chosen": draws[:, 1] < self.p, "height": small[0], "width": small[1]}

    def transform(self, images, chosen, height, width):
        sides = zip(ops.shape(images)[1:3], (height, width))
        rows, columns = ((None, coarsening(side, small)[:, None]) for side, small in sides)
        return change(images, chosen, lambda images: resample(images, rows, columns))

    def get_config(self):
        return {**super().get_config(), "pixels": self.pixels, "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class Downsample(ImageLayer):
    """Images become smaller by a whole factor, each by one of four kernels: box, triangle, bicubic or Lanczos.

    Learning to Count (Noroozi et al., 2017), arXiv:1708.06734: by 2. With a single kernel a network recognizes it.

    Args:
        factor: int, it divides the sides of the images.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for an invalid factor, and for images that it does not divide.

    Example:
        >>> import numpy as np
        >>> Downsample(2)(np.zeros((2, 228, 228, 3), "uint8")).shape
        TensorShape([2, 114, 114, 3])
    """

    def __init__(self, factor=2, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not is_int(factor, 1):
            raise ValueError(f"factor must be a positive int. Received: factor={factor!r}")
        self.factor = factor

    def draw(self, seeds, size):
        return {"kernel": ops.cast(choose(uniform(seeds, 1)[:, 0], len(KERNELS) - 1), "int32")}

    def transform(self, images, kernel):
        height, width = images.shape[1:3]
        if height is None or width is None or height % self.factor or width % self.factor:
            raise ValueError(
                f"factor must divide the sides of the images, and they must be known. Received: factor={self.factor} "
                f"and images.shape={tuple(images.shape)}"
            )
        matrices = (ops.take(downsampling(side, self.factor), kernel, axis=0) for side in (height, width))
        rows, columns = ((None, matrix[:, None]) for matrix in matrices)
        return ops.clip(resample(images, rows, columns), 0, 255)

    def resized(self, size):
        return tuple(side // self.factor for side in size)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def permutations(tiles, count, average=False):
    """Permutations that are as different from each other as can be, always the same ones.

    Jigsaw (Noroozi and Favaro, 2016), arXiv:1603.09246: one after the other is added that has the largest distance to
    those chosen before. The distance is the number of places with another tile (Hamming). The largest minimum counts
    first, and among these the largest mean, so that no two orders of 9 tiles, of 1000, have less than 5 places
    unlike; the authors' own sets go by the mean alone. The order of an untouched image is never one of them.

    Args:
        tiles: int from 2 to 10, the number of tiles.
        count: int, the number of permutations (64 to 1000 for 9 tiles).
        average: bool, whether the largest mean counts alone.

    Returns:
        int32 array `(count, tiles)`.

    Raises:
        ValueError: for a number of tiles out of this range, and for more permutations than there are.

    Example:
        >>> permutations(3, 2).tolist()
        [[1, 2, 0], [2, 0, 1]]
    """
    if not is_int(tiles, 2) or tiles > 10:
        raise ValueError(f"tiles must be an int from 2 to 10: all their orders are compared. Received: tiles={tiles}")
    if not is_int(count, 1) or count >= math.factorial(tiles):
        raise ValueError(
            f"count must be an int from 1 to {math.factorial(tiles) - 1}, the orders of {tiles} tiles but the first. "
            f"Received: count={count}"
        )
    candidates = np.array(list(itertools.permutations(range(tiles))), "uint8").T.copy()[:, 1:]  # (tiles, orders)
    chosen = [int(np.flatnonzero((candidates == np.roll(np.arange(tiles), -1)[:, None]).all(axis=0))[0])]
    least = np.full(candidates.shape[1], tiles, "int64")
    total = np.zeros(candidates.shape[1], "int64")
    while len(chosen) < count:
        equal = np.zeros(candidates.shape[1], "uint8")
        for place, tile in zip(candidates, candidates[:, chosen[-1]]):
            equal += place == tile
        total += tiles - equal
        np.minimum(least, tiles - equal, out=least)
        total[chosen[-1]] = least[chosen[-1]] = -1
        chosen.append(int(np.argmax(total if average else np.where(least == least.max(), total, -1))))
    return candidates[:, chosen].T.astype("int32")


def coarsening(side, small):
    """Matrices `(batch, side, side)` that resize a side to `small` `(batch, 1)` pixels, at most `side`, and back."""
    step = (side / small)[:, :, None]
    pixel = ops.arange(side, dtype="float32")[None, None, :]
    number = ops.arange(side, dtype="float32")[None, :, None]
    down = ops.relu(1 - ops.abs((number + 0.5) - (pixel + 0.5) / step))
    down = down / ops.maximum(ops.sum(down, axis=2, keepdims=True), 1e-6)
    place = ops.clip((ops.transpose(pixel, (0, 2, 1)) + 0.5) / step - 0.5, 0, small[:, :, None] - 1)
    up = ops.relu(1 - ops.abs(place - ops.transpose(number, (0, 2, 1))))
    return ops.matmul(up, down)


KERNELS = [  # functions of the distance in pixels of the small image
    lambda x: (x < 0.5).astype(float),
    lambda x: np.maximum(1 - x, 0.0),
    cubic,
    lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0.0),
]


def downsampling(side, factor):
    """Matrices `(kernels, side // factor, side)` that make a side smaller."""
    center = (np.arange(side // factor)[:, None] + 0.5) * factor
    distance = np.abs(np.arange(side)[None, :] + 0.5 - center) / factor
    weights = np.stack([kernel(distance) for kernel in KERNELS])
    return (weights / weights.sum(axis=2, keepdims=True)).astype("float32")
