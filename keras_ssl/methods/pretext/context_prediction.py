r"""ContextPrediction: Unsupervised Visual Representation Learning by Context Prediction (Doersch, Gupta, Efros, 2015).

https://arxiv.org/abs/1505.05192

Objective:
    \mathcal{L} = -\operatorname{mean}_{(a, b)} \log p_{r(a, b)} \left( f(a), f(b) \right)
    where $a$ and $b$ are patches next to each other, $r(a, b)$ is which of the eight places around $a$ patch $b$ is
    at, and $f$ is the embedding of a patch.

Flow:
    first patch -> encoder -> tower -> pair head -> cross entropy
    second patch -> encoder -> tower
    place of the second ~> cross entropy

Take it when images show objects with parts in a usual order, and are large enough for patches that show such a part.

Leave it when images are small, or textures that look alike everywhere; `Jigsaw` gets more out of the same patches.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.losses import classification
from keras_ssl.method import Method
from keras_ssl.methods.pretext.tiles import check_tiles, embed, rows_and_columns

# Where the second patch is, seen from the first: (rows down, columns right), in the order of the labels.
PLACES = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


@keras.saving.register_keras_serializable("keras_ssl")
class ContextPrediction(Method):
    """Two neighboring patches of an image are shown, and the network says where the second is, seen from the first.

    A patch is embedded by itself, whatever its partner is, so the embedding alone is of use (`tower`). Each patch goes
    through the encoder once, and its embedding takes part in all of its pairs.

    Where the gap between patches, their jitter and the treatment of their colors are missing, lines across the edges
    and the aberration of lenses give the answer away, and little is learned: `keras_ssl.augment.context_prediction`
    has them, each as an argument.

    The labels 0 to 7 are the places above left, above, above right, left, right, below left, below, below right.

    Args:
        encoder: `keras.Model` from patches to features `(batch, dim)`; `input_shape=(None, None, 3)` where it is to
            take whole images afterwards.
        augment: layer from images to one view, patches `(batch, rows * columns, height, width, channels)`, rows of
            the grid first: `keras_ssl.augment.context_prediction`.
        grid: int or pair of ints (rows, columns), how the patches lie; at least two of them.
        dim: int, size of the embedding of a patch (fc6, 4096).
        hidden: int, units of the two hidden layers that look at a pair (fc7 and fc8, 4096).
        pairs: `"neighbors"` for all neighboring patches, in both orders, as in the authors' code; `"center"` for a
            grid of 3 x 3 whose center comes first, and its eight neighbors second.

    Logs `accuracy`, the share of the pairs whose place was told. Chance is 1/8 with `"center"`; the neighbors in a grid
    of 3 x 3 are more often beside each other than diagonal, and always one answer is right for 0.15 of them.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(None, None, 3), stem="cifar")
    >>> model = keras_ssl.ContextPrediction(encoder, keras_ssl.augment.context_prediction(96), dim=512, hidden=512)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    terms = ("accuracy",)
    view_counts = (1, 1)

    bounds = {
        "dim": checks.ints(),
        "hidden": checks.ints(),
        "pairs": checks.choice("neighbors", "center"),
    }

    def __init__(self, encoder, augment=None, *, grid=3, dim=4096, hidden=4096, pairs="neighbors", **kwargs):
        super().__init__(encoder, augment, **kwargs)
        rows, columns = rows_and_columns(grid)
        if rows * columns < 2 or pairs == "center" and (rows, columns) != (3, 3):
            raise ValueError(
                "grid must have at least two patches, and be 3 x 3 for pairs='center'. Received: "
                f"grid={grid}, pairs={pairs!r}"
            )
        self.grid = tuple(grid) if isinstance(grid, (list, tuple)) else grid
        self.dim, self.hidden, self.pairs = dim, hidden, pairs
        plain = {"center": False, "scale": False}  # the authors' batch normalization has neither
        head = [keras.layers.Dense(dim), heads.batch_normalization(**plain), keras.layers.ReLU()]
        self.tower = heads.attach(encoder, keras.Sequential([keras.Input((encoder.output_shape[-1],)), *head]), "tower")
        pair = [keras.layers.Dense(hidden), heads.batch_normalization(**plain), keras.layers.ReLU()]
        pair += [keras.layers.Dense(hidden), keras.layers.ReLU(), keras.layers.Dense(len(PLACES))]
        self.pair_head = keras.Sequential([keras.Input((2 * dim,)), *pair], name="pair_head")

    @property
    def chance(self):
        """float, the accuracy of always the most frequent answer."""
        *_, places = self.all_pairs()
        return float(np.bincount(places).max() / len(places))

    def check_views(self, views):
        rows, columns = rows_and_columns(self.grid)
        check_tiles(self, views, rows * columns)

    def objective(self, views):
        (patches,) = views
        first, second, places = self.all_pairs()
        each = embed(self.tower, patches)  # (batch, patches, dim)
        pairs = ops.concatenate([ops.take(each, first, axis=1), ops.take(each, second, axis=1)], axis=-1)
        logits = self.pair_head(ops.reshape(pairs, (-1, 2 * self.dim)), training=True)
        loss, accuracy = classification(logits, ops.tile(places, ops.shape(patches)[:1]))
        return {"loss": loss, "accuracy": accuracy}

    def all_pairs(self):
        """The pairs of patches of an image as int32 arrays: the first ones, the second ones, and their labels."""
        rows, columns = rows_and_columns(self.grid)
        found = []
        for row, column in np.ndindex(rows, columns):
            for place, (down, right) in enumerate(PLACES):
                inside = 0 <= row + down < rows and 0 <= column + right < columns
                if inside and (self.pairs == "neighbors" or (row, column) == (1, 1)):
                    found.append((row * columns + column, (row + down) * columns + column + right, place))
        return np.array(found, "int32").T
