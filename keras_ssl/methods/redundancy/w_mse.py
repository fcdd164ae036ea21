r"""W-MSE: Whitening for Self-Supervised Representation Learning (Ermolov, Siarohin, Sangineto, Sebe, 2020).

https://arxiv.org/abs/2007.06346

Objective:
    \mathcal{L} = \operatorname{mean}_{i < j} \left( 2 - 2 \cos(w_i, w_j) \right), \quad w = L^{-1} (z - \bar{z}),
    \quad L L^{\top} = \operatorname{Cov}(z)
    where $z$ are the embeddings of a view in a part of the batch, $w$ the whitened ones, and $i, j$ are two views of
    an image.

Flow:
    view 1 -> encoder -> projector -> whitening -> distance
    view 2 -> encoder

Take it when a fast start without negatives is wanted: it was the best of its family in our short runs.

Leave it when the batch is smaller than twice the embedding: whitening needs more rows than dimensions.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.losses import w_mse
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class WMSE(Method):
    """Whitened embeddings of the views of an image attract; whitening leaves them no way to collapse.

    As in the authors' code the encoder gets one view after the other, and the head all of them in one call. The last
    layer has no bias: whitening would take it away.

    Constant features have a singular covariance, which cannot be whitened: the step ends with an error. Under XLA
    (`jit_compile=True`, the default on one GPU and on JAX) it cannot: the loss is NaN, and so are the weights after it.
    There the callback `keras_ssl.StopOnNaN` ends the run, and so does `keras_ssl.Checkpoint`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (E).
        augment: layer from images to two or more views, the positives (d): `keras_ssl.augment.w_mse(size)` for W-MSE 2,
            `keras_ssl.augment.w_mse(size, count=4)` for W-MSE 4.
        hidden: int, units of the head's hidden layer (1024).
        dim: int, size of the embedding (64; 128 on STL-10, Tiny ImageNet and ImageNet-100).
        sub_batch: int > `dim`, rows that are whitened together, best twice `dim` or more (128; 256 for 128 dimensions).
        repeats: int >= 1, draws of the sub-batches in a step, whose losses are averaged (1).
        shuffle: whether the sub-batches are drawn at random, or are rows that follow each other.
        epsilon: float in [0, 1), how much of the identity is mixed into the covariance (0).

    Raises:
        ValueError: `sub_batch` is not greater than `dim`, so that every covariance would be singular.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.WMSE(encoder, keras_ssl.augment.w_mse(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(3e-3, weight_decay=1e-6))
    """

    view_counts = (2, None)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "sub_batch": checks.ints(),
        "repeats": checks.ints(),
        "shuffle": checks.flag(),
        "epsilon": checks.numbers(least=0, below=1),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=1024,
        dim=64,
        sub_batch=128,
        repeats=1,
        shuffle=True,
        epsilon=0.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        if sub_batch <= dim and not epsilon:
            raise ValueError(
                "sub_batch must be greater than dim, best twice as large: fewer rows have a singular covariance. "
                f"Received: sub_batch={sub_batch}, dim={dim}"
            )
        self.hidden, self.dim, self.sub_batch, self.repeats = hidden, dim, sub_batch, repeats
        self.shuffle, self.epsilon = shuffle, epsilon
        self.projector = heads.mlp(encoder.output_shape[-1], hidden, dim, name="projector")
        self.order = keras.random.SeedGenerator()

    def objective(self, views):
        features = ops.concatenate([self.encoder(view, training=True) for view in views])
        embeddings = ops.split(self.projector(features, training=True), len(views))  # (batch, dim) each
        return w_mse(embeddings, self.sub_batch, self.repeats, self.epsilon, self.order if self.shuffle else None)
