r"""MoCHi: Hard Negative Mixing for Contrastive Learning (Kalantidis, Sariyildiz, Pion, Weinzaepfel, Larlus, 2020).

https://arxiv.org/abs/2010.01028

Objective:
    \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \log \frac{\exp(q_i \cdot k_i / \tau)}{\exp(q_i \cdot k_i / \tau) +
    \sum_{n \in Q} \exp(q_i \cdot n / \tau) + \sum_h \exp(q_i \cdot h / \tau)}
    where $q$ are the queries, $k$ their keys, $Q$ is the queue, and $h$ are negatives mixed of the hardest ones of
    the queue.

Flow:
    view 1 -> encoder -> head -> InfoNCE
    view 2 ~> key encoder ~> InfoNCE
    queue ~> InfoNCE
    queue ~> mixed hard negatives ~> InfoNCE
    head ~EMA~> key encoder

Take it when MoCo v2 has been trained for long and stands still.

Leave it when the run is short: hard negatives are random ones at first.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import info_nce_synthetic
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.contrastive.moco_v1 import MoCoV1


@keras.saving.register_keras_serializable("keras_ssl")
class MoCHi(MoCoV1):
    """MoCo v2 with further negatives for each query, mixed of the negatives that are hardest for it.

    `mixtures` are mixed of two of them, `query_mixtures` of one of them and, up to a half, the query itself. They are
    new in every step, have unit length and no gradient, and never enter the queue. Without them it is `MoCoV2`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f_q).
        augment: layer from images to two views; `keras_ssl.augment.moco_v2`.
        hardest: int from 1 to `queue_size`, how many negatives are taken for hard (N, 1024).
        mixtures: int, negatives mixed of two hard ones (s, 1024).
        query_mixtures: int, negatives mixed of a hard one and the query (s', 128).
        warmup: int, optimizer steps before the mixtures take part; the paper's 10 to 15 epochs in steps.
        hidden: int, units of the head's hidden layer (2048).
        temperature: float > 0 (tau, 0.2).
        **kwargs: the other arguments of `MoCoV1`.

    Raises:
        ValueError: `hardest` is not from 1 to `queue_size`, or a number of mixtures or `warmup` is negative.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), batch_norm_groups=8)
    >>> model = keras_ssl.MoCHi(encoder, keras_ssl.augment.moco_cifar(32), queue_size=4096, hardest=256, mixtures=128)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    bounds = {
        "hardest": checks.ints(),
        "mixtures": checks.ints(0),
        "query_mixtures": checks.ints(0),
        "warmup": checks.ints(0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hardest=1024,
        mixtures=1024,
        query_mixtures=128,
        warmup=0,
        hidden=2048,
        temperature=0.2,
        **kwargs,
    ):
        super().__init__(encoder, augment, hidden=hidden, temperature=temperature, **kwargs)
        self.hardest, self.mixtures, self.query_mixtures, self.warmup = hardest, mixtures, query_mixtures, warmup
        if hardest > self.queue_size:
            raise ValueError(
                f"hardest must be from 1 to queue_size={self.queue_size}, from which the hard negatives are taken. "
                f"Received: hardest={hardest}"
            )
        self.draws = keras.random.SeedGenerator()

    def contrast(self, query_view, key_view, queue):
        queries = self.query_encoder(query_view, training=True)  # (batch, dim)
        keys = ops.stop_gradient(self.keys(key_view))  # (batch, dim)
        active = self.step >= self.warmup if self.warmup else None
        loss = info_nce_synthetic(queries, keys, queue, self.mix(queries, queue), self.temperature, active)
        return loss, ops.normalize(ops.cast(keys, "float32"), axis=-1)

    def mix(self, queries, queue):
        """The synthetic negatives of each query, unit vectors `(batch, mixtures + query_mixtures, dim)`."""
        queries = ops.stop_gradient(unit(queries))
        hardest = ops.top_k(ops.matmul(queries, ops.transpose(queue)), self.hardest)[1]  # (batch, hardest)
        s, t, rows = self.mixtures, self.query_mixtures, ops.shape(queries)[0]
        draws = uniform(local_seeds(self.draws, rows), 3 * s + 2 * t)[:, :, None]

        def pick(start, count):
            number = ops.cast(draws[:, start:start + count, 0] * self.hardest, "int32")
            return ops.take(queue, ops.take_along_axis(hardest, number, axis=1), axis=0)  # (batch, count, dim)

        a, b = draws[:, 2 * s:3 * s], 0.5 * draws[:, 3 * s + t:]  # b < 1/2: the query may not outweigh the negative
        pairs = a * pick(0, s) + (1.0 - a) * pick(s, s)
        nearer = b * queries[:, None, :] + (1.0 - b) * pick(3 * s, t)
        return unit(ops.concatenate([pairs, nearer], axis=1))
