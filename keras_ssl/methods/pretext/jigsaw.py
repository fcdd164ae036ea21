r"""Jigsaw: Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles (Noroozi, Favaro, 2016).

https://arxiv.org/abs/1603.09246

Objective:
    \mathcal{L} = -\log p_k \left( f(t_{\pi_k(1)}), \dots, f(t_{\pi_k(9)}) \right)
    where $t$ are the tiles of an image, $f$ embeds a tile by itself, and $\pi_k$ is the order they were put into, one
    of a fixed set.

Flow:
    tiles -> encoder -> tower -> shuffle -> all tiles -> cross entropy
    random order ~> shuffle
    random order ~> cross entropy

Take it when images show objects whose parts tell where they belong, and are large enough to be cut into nine.

Leave it when images are small: a tile must show something. Few orders make an easy puzzle, too many a slow one.
"""

import functools

import keras
import numpy as np
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.augment import permutations, select, uniform
from keras_ssl.augment.random import choose
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import classification
from keras_ssl.method import Method
from keras_ssl.methods.pretext.tiles import check_tiles, embed

permutations = functools.cache(permutations)


@keras.saving.register_keras_serializable("keras_ssl")
class Jigsaw(Method):
    """The tiles of an image are put into one of many fixed orders, and the network says into which.

    A tile is embedded by itself, and the embeddings stand side by side in the order in which the tiles came. As the
    encoder does not know the order, the embeddings are shuffled in place of the tiles: it is the same, and several
    puzzles of an image cost hardly more than one. The orders differ in as many places as can be, see
    `keras_ssl.augment.permutations`, and are saved with the model.

    Where the gaps between tiles, their jitter and their own mean and deviation are missing, edges and brightness solve
    the puzzle, and little is learned: `keras_ssl.augment.jigsaw` has them, each as an argument.

    Args:
        encoder: `keras.Model` from tiles to features `(batch, dim)`; `input_shape=(None, None, 3)` where it is to take
            whole images afterwards.
        augment: layer from images to one view, their tiles `(batch, tiles, height, width, channels)` in order:
            `keras_ssl.augment.jigsaw`.
        orders: int, the number of permutations (N, 1000; 64 and 100 elsewhere in the paper and its successors); or a
            list of permutations of 0, 1, 2 ... of one length, such as a published set.
        tiles: int from 2 to 10, the number of tiles (9).
        puzzles: int, the orders that an image is put into in one step (1; 8 in "Revisiting Self-Supervised Visual
            Representation Learning", arXiv 1901.09005).
        dim: int, size of the embedding of a tile (fc6, 1024).
        hidden: int, units of the layer that looks at all tiles (fc7, 4096).
        dropout: float in [0, 1), after both of these layers (0.5).
        batch_norm: whether the layer that looks at all tiles is batch-normalized, as in "Revisiting".
        linear: whether the embedding of a tile is a linear layer alone, without ReLU and dropout, as in "Revisiting".

    Logs `accuracy`, the share of the puzzles whose order was told; chance is one divided by the number of orders. With
    dropout it is lower than that of the same network without.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(None, None, 3), stem="cifar")
    >>> model = keras_ssl.Jigsaw(encoder, keras_ssl.augment.jigsaw(96), orders=100, dim=256, hidden=512)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=5e-4))
    """

    terms = ("accuracy",)
    view_counts = (1, 1)

    bounds = {
        "tiles": checks.ints(2),
        "puzzles": checks.ints(),
        "dim": checks.ints(),
        "hidden": checks.ints(),
        "dropout": checks.numbers(least=0, below=1),
        "batch_norm": checks.flag(),
        "linear": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        orders=1000,
        tiles=9,
        puzzles=1,
        dim=1024,
        hidden=4096,
        dropout=0.5,
        batch_norm=False,
        linear=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        table = check_orders(orders, tiles)
        self.orders = orders if isinstance(orders, int) else tuple(map(tuple, table.tolist()))
        self.tiles, self.puzzles, self.dim, self.hidden = tiles, puzzles, dim, hidden
        self.dropout, self.batch_norm, self.linear = dropout, batch_norm, linear
        self.table = self.keep("orders", table.shape, lambda shape, dtype=None: ops.cast(table, dtype), "int32")
        after = [] if linear else [keras.layers.ReLU(), keras.layers.Dropout(dropout)]
        head = [keras.layers.Dense(dim), *after]
        self.tower = heads.attach(encoder, keras.Sequential([keras.Input((encoder.output_shape[-1],)), *head]), "tower")
        solver = [keras.layers.Dense(hidden), *([heads.batch_normalization()] if batch_norm else [])]
        solver += [keras.layers.ReLU(), keras.layers.Dropout(dropout), keras.layers.Dense(len(table))]
        self.solver = keras.Sequential([keras.Input((tiles * dim,)), *solver], name="solver")
        self.draws = keras.random.SeedGenerator()

    @property
    def chance(self):
        """float, the accuracy of guessing."""
        return 1 / self.table.shape[0]

    def check_views(self, views):
        check_tiles(self, views, self.tiles)

    def objective(self, views):
        (tiles,) = views
        labels = self.draw_orders(ops.shape(tiles)[0])  # (batch, puzzles)
        logits = self.solve(embed(self.tower, tiles), ops.take(self.table, labels, axis=0))
        loss, accuracy = classification(logits, labels)
        return {"loss": loss, "accuracy": accuracy}

    def draw_orders(self, rows):
        draws = uniform(local_seeds(self.draws, rows), self.puzzles)
        return ops.cast(choose(draws, self.table.shape[0] - 1), "int32")

    def solve(self, embeddings, orders, training=True):
        """What the solver says of each puzzle, `(batch, puzzles, orders)`.

        Args:
            embeddings: `(batch, tiles, dim)`, of the tiles in the order of the image.
            orders: int32 `(batch, puzzles, tiles)`; place i of a puzzle holds tile `order[i]`.
            training: whether dropout acts.
        """
        puzzles = orders.shape[1]
        shuffled = select(embeddings, ops.reshape(orders, (-1, puzzles * self.tiles)))
        logits = self.solver(ops.reshape(shuffled, (-1, self.tiles * self.dim)), training=training)
        return ops.reshape(logits, (-1, puzzles, logits.shape[-1]))


def check_orders(orders, tiles):
    """The permutations as an int32 array `(orders, tiles)`; an error where there are none of so many tiles."""
    if checks.is_int(orders, 2):
        return permutations(tiles, orders)
    orders = orders.tolist() if hasattr(orders, "tolist") else orders
    several = isinstance(orders, (list, tuple)) and len(orders) > 1
    if not several or not all(is_permutation(order, tiles) for order in orders):
        raise ValueError(
            f"orders must be an int from 2, or two or more permutations of the {tiles} tiles 0 to {tiles - 1}. "
            f"Received: orders={orders!r}"
        )
    return np.array(orders, "int32")


def is_permutation(order, tiles):
    ints = isinstance(order, (list, tuple)) and all(checks.is_int(place) for place in order)
    return ints and sorted(order) == list(range(tiles))
