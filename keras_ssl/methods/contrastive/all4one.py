r"""All4One: Symbiotic Neighbour Contrastive Learning via Self-Attention and Redundancy Reduction (Estepa et al., 2023).

https://arxiv.org/abs/2303.09417

Objective:
    \mathcal{L} = w_1 \ell_\tau(n^1_1, p^2) + w_2 \, \ell_{\tau'}(T(n^1), T(q^2, n^2)) + w_3 \cdot 5 \left(
    \sqrt{\operatorname{mean}_i (1 - C_{ii})^2} + \sqrt{\operatorname{mean}_{i \ne j} C_{ij}^2} \right)
    where $n$ are the nearest entries of the queue to what the momentum encoder makes of a view, $p$ and $q$ two
    predictions of the other view, $\ell$ is InfoNCE, $T$ the first output of a transformer, and $C$ compares each
    dimension of the momentum embeddings with those of the other view; all is meant of both directions.

Flow:
    views -> encoder -> projector -> predictor -> InfoNCE
    projector -> second predictor -> transformer -> InfoNCE of centroids
    views ~> momentum encoder ~> five nearest in the queue ~> InfoNCE
    five nearest in the queue ~> transformer
    projector -> cross-correlation
    momentum encoder ~> cross-correlation

Take it when NNCLR is wanted and one neighbor is not enough: five make a steadier positive.

Leave it when a simple method will do: it has three losses, a momentum encoder, a queue and a transformer.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_ssl import checks, heads, teacher
from keras_ssl.losses import n_pair
from keras_ssl.losses.redundancy import everywhere, off_diagonal
from keras_ssl.losses.vectors import precise, unit
from keras_ssl.methods.contrastive.nnclr import NNCLR


@keras.saving.register_keras_serializable("keras_ssl")
class All4One(NNCLR):
    """Three contrasts: with the nearest neighbor, with a centroid of several neighbors, and between dimensions.

    The centroid is the first output of a small transformer over the neighbors, and its partner that over a prediction
    of the other view followed by all neighbors but the last. The dimensions contrast those of the momentum embeddings
    with those of the other view's, of unit length over the global batch. The queue holds the momentum embeddings of
    the first views. The transformer normalizes after each of its parts; its positions are those of the code of its
    authors in solo-learn, waves along the dimensions of an embedding.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.byol`.
        dim: int, size of embedding and prediction (256); `heads` divides it.
        temperature: float > 0, of the contrast with the neighbor (0.2).
        centroid_temperature: float > 0, of the contrast with the centroid (0.1).
        neighbor_weight: float >= 0 (0.5).
        centroid_weight: float >= 0 (0.5).
        feature_weight: float >= 0, of ten times the mean of the two roots (0.5).
        neighbors: int >= 1, at most `queue_size` (k, 5).
        depth: int >= 1, blocks of the transformer (3).
        heads: int, its attention heads (8).
        dropout: float in [0, 1), of its branches (0.1); solo-learn's drops attention weights as well.
        momentum: float in [0, 1], how slowly the momentum encoder follows at the start (0.99).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1; None keeps it constant.
        **kwargs: the other arguments of `NNCLR`.

    Raises:
        ValueError: `heads` does not divide `dim`, or there are more neighbors than the queue has entries.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.All4One(encoder, keras_ssl.augment.byol_cifar(32), queue_size=16384, steps=10_000)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-5))
    """

    terms = ("neighbor", "centroid", "features")

    bounds = {
        "centroid_temperature": checks.numbers(above=0),
        "neighbor_weight": checks.numbers(least=0),
        "centroid_weight": checks.numbers(least=0),
        "feature_weight": checks.numbers(least=0),
        "neighbors": checks.ints(),
        "depth": checks.ints(),
        "heads": checks.ints(),
        "dropout": checks.numbers(least=0, below=1),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        dim=256,
        temperature=0.2,
        centroid_temperature=0.1,
        neighbor_weight=0.5,
        centroid_weight=0.5,
        feature_weight=0.5,
        neighbors=5,
        depth=3,
        heads=8,
        dropout=0.1,
        momentum=0.99,
        steps=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, dim=dim, temperature=temperature, **kwargs)
        if neighbors > self.queue_size:
            raise ValueError(
                f"neighbors must be at most queue_size. Received: neighbors={neighbors}, queue_size={self.queue_size}"
            )
        self.centroid_temperature, self.neighbor_weight = centroid_temperature, neighbor_weight
        self.centroid_weight, self.feature_weight, self.neighbors = centroid_weight, feature_weight, neighbors
        self.depth, self.heads, self.dropout, self.momentum, self.steps = depth, heads, dropout, momentum, steps
        self.second_predictor = predictor_like(self.predictor)
        self.target = teacher.copy(self.projected, name="target")
        self.transformer = post_norm_transformer(neighbors, dim, depth, heads, dropout)

    def objective(self, views):
        embeddings = [self.projected(view, training=True) for view in views]  # (batch, dim) each
        targets = [ops.stop_gradient(unit(self.target(view, training=True))) for view in views]
        near = [self.queue.nearest(target, self.neighbors) for target in targets]  # (batch, neighbors, dim) each
        predictions = [self.predictor(z, training=True) for z in embeddings]
        neighbor = self.both_ways([x[:, 0] for x in near], predictions, self.temperature)
        seeking = [self.followed(self.second_predictor(z, training=True), x) for z, x in zip(embeddings, near)]
        centroids, partners = ([self.transformer(x, training=True) for x in tokens] for tokens in (near, seeking))
        centroid = self.both_ways(centroids, partners, self.centroid_temperature)
        features = feature_contrast(targets, embeddings)
        loss = self.neighbor_weight * neighbor + self.centroid_weight * centroid + self.feature_weight * features
        terms = {"neighbor": neighbor, "centroid": centroid, "features": features}
        return {"loss": loss, "embeddings": targets[0], **terms}

    def both_ways(self, queries, keys, temperature):
        (first, second), (other, another) = queries, keys
        return (n_pair(first, another, temperature) + n_pair(second, other, temperature)) / 2

    def followed(self, prediction, near):
        """A prediction, and all neighbors but the last: `(batch, neighbors, dim)`."""
        return ops.concatenate([ops.cast(prediction[:, None], near.dtype), near[:, :-1]], axis=1)

    def after_step(self, outputs):
        super().after_step(outputs)
        teacher.follow(self.target, self.projected, teacher.cosine(self.momentum, 1.0, self.step, self.steps))


def predictor_like(predictor):
    """Another predictor of the same layers."""
    dim, hidden = predictor.output_shape[-1], predictor.layers[0].units
    return heads.mlp(dim, hidden, dim, output_bias=True, name="second_predictor")


def feature_contrast(targets, embeddings):
    """Ten times the mean of two roots: of how far each dimension is from itself, and how near to others.

    Args:
        targets: list of two `(batch, dim)`, of the momentum encoder. No gradient.
        embeddings: list of two `(batch, dim)`, of the same views.

    Returns:
        float32 scalar, of the global batch; 0 where the dimensions are orthogonal and equal.
    """
    own, other = ([unit(ops.transpose(everywhere(precise(x)))) for x in z] for z in (targets, embeddings))
    same, apart = 0.0, 0.0
    for first, second in zip(own, reversed(other)):
        matrix = ops.matmul(first, ops.transpose(second))  # (dim, dim)
        pairs = matrix.shape[-1] * (matrix.shape[-1] - 1)
        same += ops.mean(ops.square(ops.diagonal(matrix) - 1.0)) / 2
        apart += ops.sum(ops.square(off_diagonal(matrix))) / max(pairs, 1) / 2
    return 5.0 * (root(same) + root(apart))


def root(x):
    """Its gradient is finite at 0."""
    return ops.sqrt(ops.maximum(x, 1e-12))


def post_norm_transformer(count, width, depth, heads, dropout):
    """From `(batch, count, width)` to the first of as many outputs, `(batch, width)`."""
    if width % heads:
        raise ValueError(f"heads must divide dim. Received: heads={heads}, dim={width}")

    def norm(x):
        return layers.LayerNormalization(epsilon=1e-5)(x)

    def drop(x):
        return layers.Dropout(dropout)(x) if dropout else x

    tokens = keras.Input((count, width))
    x = ops.add(tokens, waves(count, width))
    for _ in range(depth):
        y = ops.reshape(layers.Dense(3 * width)(x), (-1, count, 3, heads, width // heads))
        y = ops.dot_product_attention(y[:, :, 0], y[:, :, 1], y[:, :, 2])
        x = norm(x + drop(layers.Dense(width)(ops.reshape(y, (-1, count, width)))))
        y = drop(layers.Dense(2 * width, activation="relu")(x))
        x = norm(x + drop(layers.Dense(width)(y)))
    return keras.Model(tokens, x[:, 0], name="transformer")


def waves(count, width):
    """float32 `(count, width)`: sines and cosines along the width, in pairs of one frequency, each pair slower."""
    number = np.arange(count)
    frequency = 10000.0 ** (-2.0 * (number // 2) / (2 * ((count + 1) // 2)))
    angles = frequency[:, None] * np.arange(width)
    return np.where(number[:, None] % 2, np.cos(angles), np.sin(angles)).astype("float32")
