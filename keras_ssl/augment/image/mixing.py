"""Mixing: images of the batch in one another, and the shares that a loss mixes its labels by.

A layer of this file returns `(images, partner, share)`: image i has the part `share[i]` of itself and the rest of
image `partner[i]`. A loss with labels of any kind, also the virtual ones of instance discrimination (every image its
own class), is `share * loss(labels) + (1 - share) * loss(labels[partner])`. `InputMix`, which leaves the labels as they
are, returns the images alone.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import distribute
from keras_ssl.augment.image.layer import ImageLayer, per_image
from keras_ssl.augment.image.masks import box
from keras_ssl.augment.random import choose, fold, uniform
from keras_ssl.checks import check_flags, check_ints, check_numbers, is_number

NODES = 1024  # of the table from which beta-distributed numbers are read


class Mixing(ImageLayer):
    """Base of the layers that mix every image with another one of the batch.

    The partners follow each other in a random circle through the batch: each image is the partner of one other and
    never of itself (in the papers, whose permutation is random, one image of a batch is, on average). An image is mixed
    by the seeds of all images, so it is not the same in another batch.

    Args:
        alpha: float from 0, the share is drawn from the beta distribution (alpha, alpha); 0 leaves the images alone.
        per_batch: bool, whether all images of a batch have one share.
        dominant: bool, whether an image keeps the larger share, as in i-Mix: the share s becomes max(s, 1 - s).
        across: bool, whether partners come from all replicas of `tf.distribute`. The images are then gathered, and
            the result is that of one replica; otherwise they come from the replica's own part of the batch.
        seed, name: see `Augmentation`.

    Returns:
        the mixed images, float32 `(batch, height, width, channels)`; the partners, int32 `(batch,)`, as rows of the
        batch of all replicas in the order of `keras_ssl.distribute.gather`; the shares, float32 `(batch,)`.

    Raises:
        ValueError: for a negative alpha.
    """

    def __init__(
        self, alpha=1.0, per_batch=False, dominant=False, across=True, seed=None, name=None, **kwargs
    ):  # fmt: skip
        super().__init__(seed=seed, name=name, **kwargs)
        if not is_number(alpha, 0):
            raise ValueError(f"alpha must not be negative. Received: alpha={alpha!r}")
        check_flags(per_batch=per_batch, dominant=dominant, across=across)
        self.alpha, self.per_batch, self.dominant, self.across = alpha, per_batch, dominant, across

    @property
    def separable(self):
        return False

    def transform(self, images, seeds):
        batch, first = ops.shape(images)[0], 0
        everyone, everything = seeds, images
        if self.across:
            everyone, everything = (distribute.gather(x, gradient=False) for x in (seeds, images))
        else:
            first = distribute.first_row(batch)
        partner = partners(uniform(everyone, 1)[:, 0])
        own = fold(seeds, 0)
        if self.per_batch:
            own = ops.zeros_like(own) + ops.sum(fold(everyone, 0), axis=0, keepdims=True)
        if self.across:
            partner = distribute.local(partner, batch)
        draws = uniform(own, 3)
        share = beta(draws[:, 0], self.alpha) if self.alpha else ops.ones_like(draws[:, 0])
        share = ops.maximum(share, 1 - share) if self.dominant else share
        mixed, share = self.mix(images, ops.take(everything, partner, axis=0), share, draws[:, 1:])
        return mixed, partner + first, share

    def mix(self, images, others, share, draws):
        """The mixed images and the shares they really have, by two further draws `(batch, 2)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement mix(images, others, share, draws).")

    def get_config(self):
        config = {"alpha": self.alpha, "per_batch": self.per_batch, "dominant": self.dominant, "across": self.across}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_ssl")
class MixUp(Mixing):
    """Every pixel is the weighted mean of an image and its partner.

    mixup: Beyond Empirical Risk Minimization (Zhang et al., 2017), arXiv:1710.09412. i-Mix: A Domain-Agnostic
    Strategy for Contrastive Representation Learning (Lee et al., 2020), arXiv:2010.08887: `dominant=True`, a share
    for every image, and only one of the two views is mixed.

    Args:
        alpha: float from 0, the share is drawn from the beta distribution (alpha, alpha); 0 leaves the images alone.
        per_batch: bool, whether all images of a batch have one share.
        dominant: bool, whether an image keeps the larger share.
        across: bool, whether partners come from all replicas of `tf.distribute`, for which the images are gathered.
        seed, name: see `Augmentation`.

    Returns:
        `(images, partner, share)`, see `Mixing`.

    Raises:
        ValueError: for a negative alpha.

    Example:
        >>> import numpy as np
        >>> images, partner, share = MixUp(dominant=True)(np.zeros((4, 32, 32, 3), "uint8"))
        >>> images.shape, partner.shape, share.shape
        (TensorShape([4, 32, 32, 3]), TensorShape([4]), TensorShape([4]))
    """

    def mix(self, images, others, share, draws):
        return mixup(images, others, share), share


@keras.saving.register_keras_serializable("keras_ssl")
class CutMix(Mixing):
    """A rectangle of an image is replaced by that of its partner.

    CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features (Yun et al., 2019),
    arXiv:1905.04899. i-Mix, arXiv:2010.08887: `dominant=True`. The center of the rectangle is uniform and its sides
    are the image's times the root of its share; what lies outside of the image is cut off, and the share returned
    is that of the pixels.

    Args:
        alpha, dominant, across: see `MixUp`.
        per_batch: bool, whether all images of a batch have one share and one rectangle, as in both papers.
        seed, name: see `Augmentation`.

    Returns:
        `(images, partner, share)`, see `Mixing`.

    Raises:
        ValueError: for a negative alpha.

    Example:
        >>> import numpy as np
        >>> images, partner, share = CutMix()(np.zeros((4, 32, 32, 3), "uint8"))
    """

    def __init__(
        self, alpha=1.0, per_batch=True, dominant=False, across=True, seed=None, name=None, **kwargs
    ):  # fmt: skip
        super().__init__(alpha, per_batch, dominant, across, seed=seed, name=name, **kwargs)

    def mix(self, images, others, share, draws):
        height, width = images.shape[1:3]
        if height is None or width is None:
            raise ValueError(
                f"{type(self).__name__} needs images of a known size: put it behind the crop. "
                f"Received: images.shape={tuple(images.shape)}"
            )
        side = ops.sqrt(1 - share)[:, None]
        starts, lengths = [], []
        for axis, pixels in enumerate((height, width)):
            half = ops.floor(ops.floor(pixels * side) / 2)
            center = choose(draws[:, axis : axis + 1], pixels - 1)
            start, end = ops.maximum(center - half, 0), ops.minimum(center + half, pixels)
            starts.append(start)
            lengths.append(end - start)
        cut = box(*starts, *lengths, height, width)
        area = (lengths[0] * lengths[1])[:, 0]
        return ops.where(cut[..., None], others, images), 1 - area / (height * width)


@keras.saving.register_keras_serializable("keras_ssl")
class InputMix(ImageLayer):
    """Further images of the batch shine through every image, which keeps the most weight, and its label.

    i-Mix: A Domain-Agnostic Strategy for Contrastive Representation Learning (Lee et al., 2020), arXiv:2010.08887: an
    augmentation where others are not known, before the views are mixed with their labels. An image x becomes
    `(own + (1 - own) w_0) x + (1 - own) sum_k w_k x_k`. The weights w of each image, which sum to 1, are from the
    Dirichlet distribution whose parameters are all 1, as in the authors' runs: all weights are equally likely. The
    further images x_k are the next ones in a random circle through the batch, so that none of them is x or another one
    again; the authors draw each by a random permutation, which does not exclude that.

    An image is mixed by the seeds of all images, so it is not the same in another batch. To mix images of all views,
    as the methods do, see `mix_views`.

    Args:
        count: int, number of further images (1; the authors' 2).
        own: float from 0 to 1, the least weight of the image itself (0.5).
        across: bool, whether the further images come from all replicas of `tf.distribute`. The images are then
            gathered, and the result is that of one replica; otherwise they come from the replica's own part.
        seed, name: see `Augmentation`.

    Returns:
        the mixed images, float32 `(batch, height, width, channels)`.

    Raises:
        ValueError: count is no positive int, or own is not from 0 to 1.

    Example:
        >>> import numpy as np
        >>> InputMix(2)(np.zeros((4, 32, 32, 3), "uint8")).shape
        TensorShape([4, 32, 32, 3])
    """

    def __init__(self, count=1, own=0.5, across=True, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_ints(count=count)
        check_numbers(least=0, most=1, own=own)
        check_flags(across=across)
        self.count, self.own, self.across = count, own, across

    @property
    def separable(self):
        return False

    def transform(self, images, seeds):
        everyone, everything = seeds, images
        if self.across:
            everyone, everything = (distribute.gather(x, gradient=False) for x in (seeds, images))
        order = uniform(everyone, 1)[:, 0]
        weights = (1 - self.own) * simplex(uniform(fold(seeds, 0), self.count + 1))  # (batch, count + 1)
        mixed = per_image(self.own + weights[:, 0]) * images
        for number in range(1, self.count + 1):
            partner = partners(order, number)
            if self.across:
                partner = distribute.local(partner, ops.shape(images)[0])
            mixed += per_image(weights[:, number]) * ops.take(everything, partner, axis=0)
        return mixed

    def get_config(self):
        return {**super().get_config(), "count": self.count, "own": self.own, "across": self.across}


def mix_views(layer, views, seeds):
    """Mixes all views by one `InputMix`: an image gets images of every view, its own other one too.

    Args:
        layer: `InputMix`.
        views: list of `(batch, height, width, channels)`, all of one shape.
        seeds: int32 tensor `(batch, 2)`.

    Returns:
        list of float32 `(batch, height, width, channels)`, the mixed views.
    """
    each = [fold(seeds, number) for number in range(len(views))]
    return ops.split(layer(ops.concatenate(views), seeds=ops.concatenate(each)), len(views))


def mixup(images, others, share):
    """`share * images + (1 - share) * others`, for two views of an image as for two images.

    Args:
        images, others: tensors `(batch, height, width, channels)` from 0 to 255.
        share: float tensor `(batch,)` from 0 to 1.

    Returns:
        float32 tensor `(batch, height, width, channels)`.

    Example:
        >>> import numpy as np
        >>> float(mixup(np.full((1, 1, 1, 1), 100), np.zeros((1, 1, 1, 1)), np.array([0.75]))[0, 0, 0, 0])
        75.0
    """
    share = per_image(ops.cast(share, "float32"))
    return share * ops.cast(images, "float32") + (1 - share) * ops.cast(others, "float32")


def partners(draws, step=1):
    """For each of `(batch,)` random numbers the row with the next larger one, for the largest that with the smallest.

    Args:
        draws: float tensor `(batch,)`.
        step: int, 2 for the next but one, and so on.

    Returns:
        int32 tensor `(batch,)`: a random circle through all rows.
    """
    order = ops.cast(ops.argsort(draws), "int32")
    return ops.take(ops.roll(order, -step), ops.argsort(order), axis=0)


def simplex(draws):
    """Weights that sum to 1, uniform among all such: of the Dirichlet distribution with all parameters 1.

    Args:
        draws: float32 tensor `(batch, count)` in [0, 1), uniform random numbers.

    Returns:
        float32 tensor `(batch, count)`, from 0.
    """
    exponential = ops.maximum(-ops.log1p(-draws), 1e-7)  # not all of them 0
    return exponential / ops.sum(exponential, axis=-1, keepdims=True)


def beta(draws, alpha):
    """Numbers of the beta distribution (alpha, alpha), symmetric about 1/2.

    The inverse of the distribution function is read from a table: no number of tries has to be foreseen.

    Args:
        draws: float32 tensor in [0, 1), uniform random numbers.
        alpha: positive float.

    Returns:
        float32 tensor of the shape of `draws`, in [0, 1], growing with them.

    Example:
        >>> import numpy as np
        >>> beta(np.array([0.25, 0.5], "float32"), 1.0).numpy().round(4).tolist()
        [0.25, 0.5]
    """
    table = ops.convert_to_tensor(beta_quantiles(alpha), "float32")
    lower = ops.minimum(draws, 1 - draws)  # the table has the lower half
    place = ops.sqrt(2 * lower) * NODES
    node = ops.minimum(ops.floor(place), NODES - 1)
    below = ops.take(table, ops.cast(node, "int32"), axis=0)
    above = ops.take(table, ops.cast(node, "int32") + 1, axis=0)
    value = below + (place - node) * (above - below)
    return ops.where(draws < 0.5, value, 1 - value)


def beta_quantiles(alpha):
    """The quantiles of beta(alpha, alpha) at k^2 / (2 NODES^2) for k = 0 ... NODES: close together at the end."""
    # The density x^(alpha - 1) (1 - x)^(alpha - 1) is infinite at 0 for alpha < 1: integrate over w = x^alpha.
    fine = np.linspace(0, 1, 64 * NODES + 1)
    w = fine ** max(2.0, alpha)  # (2 x)^alpha
    x = 0.5 * w ** (1 / alpha)
    density = (2 * (1 - x)) ** (alpha - 1)
    cumulated = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(w))])
    nodes = np.maximum(0.5 * (np.arange(NODES + 1) / NODES) ** 2, 2.0**-26)  # a draw of 0 stands for 0 to 2^-24
    quantiles = np.interp(nodes, 0.5 * cumulated / cumulated[-1], w)
    return 0.5 * quantiles ** (1 / alpha)
