r"""MoCo: Momentum Contrast for Unsupervised Visual Representation Learning (He et al., 2019).

https://arxiv.org/abs/1911.05722

Objective:
    \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \log \frac{\exp(q_i \cdot k_i / \tau)}{\exp(q_i \cdot k_i / \tau) +
    \sum_{n \in Q} \exp(q_i \cdot n / \tau)}
    where $q$ are the queries, $k$ their keys, which get no gradient, and $Q$ is the queue of earlier keys.

Flow:
    view 1 -> encoder -> head -> InfoNCE
    view 2 ~> key encoder ~> InfoNCE
    key encoder ~> queue ~> InfoNCE
    head ~EMA~> key encoder

Take it when an old result has to be repeated, or the ablations of the MoCo papers.

Leave it when features are what counts: MoCoV2 is the same machinery with a better head, better views and a better
    schedule.
"""

import keras
from keras import ops

from keras_ssl import checks, heads, memory, teacher
from keras_ssl.losses import info_nce
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class MoCoV1(Method):
    """A query finds its key among a queue of earlier keys, which a slowly moving twin of the encoder makes.

    Batch normalization would give the key away: a query and its key that share a batch share its statistics. The
    paper computes the statistics on each GPU alone and shuffles the keys between the GPUs (`shuffle`). Give the
    encoder statistics of its own for parts of the batch to have the same on one device:
    `encoders.resnet18(..., batch_norm_groups=8)`, or `encoders.with_grouped_batch_norm(encoder, 8)` for any other.

    The paper moves the key encoder before the keys are made; here it moves at the end of the step before, which is
    the same.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f_q).
        augment: layer from images to two views, of the query and of the key; `keras_ssl.augment.moco_v1`.
        hidden: int, units of the head's hidden layer; 0 for a linear head (v1).
        dim: int, size of queries and keys (128).
        queue_size: int, number of keys in the queue (K, 65536; 4096 on CIFAR-10).
        temperature: float > 0 (tau, 0.07).
        momentum: float in [0, 1] (m, 0.999; 0.99 on CIFAR-10).
        shuffle: whether the keys of the batch, of all replicas, change places for the forward pass.
        symmetric: whether each view is once the query and once the key. The loss is the sum of both; both keys
            enter the queue, those of the second view first.
        head_norm: whether the head's hidden layer is batch-normalized, over the whole batch. Without `hidden`, unused.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), batch_norm_groups=8)
    >>> model = keras_ssl.MoCoV1(encoder, keras_ssl.augment.moco_v1(32), queue_size=4096)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    view_counts = (2, 2)

    bounds = {
        "hidden": checks.ints(0),
        "dim": checks.ints(),
        "queue_size": checks.ints(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, most=1),
        "shuffle": checks.flag(),
        "symmetric": checks.flag(),
        "head_norm": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=0,
        dim=128,
        queue_size=65536,
        temperature=0.07,
        momentum=0.999,
        shuffle=True,
        symmetric=False,
        head_norm=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.queue_size, self.temperature = hidden, dim, queue_size, temperature
        self.momentum, self.shuffle, self.symmetric = momentum, shuffle, symmetric
        self.head_norm = head_norm
        features = encoder.output_shape[-1]
        head = heads.mlp(
            features, hidden, dim, depth=2 if hidden else 1, batch_norm=head_norm, output_bias=True, name="head"
        )
        self.query_encoder = heads.attach(encoder, head)
        self.key_encoder = teacher.copy(self.query_encoder)
        self.queue = memory.Queue(queue_size, dim)
        self.order = keras.random.SeedGenerator()

    def objective(self, views):
        first, second = views
        queue = self.queue.read()  # (queue_size, dim)
        loss, keys = self.contrast(first, second, queue)
        if not self.symmetric:
            return {"loss": loss, "keys": [keys]}
        other, other_keys = self.contrast(second, first, queue)
        return {"loss": loss + other, "keys": [keys, other_keys]}

    def contrast(self, query_view, key_view, queue):
        queries = self.query_encoder(query_view, training=True)  # (batch, dim)
        keys = ops.stop_gradient(self.keys(key_view))  # (batch, dim)
        return info_nce(queries, keys, queue, self.temperature), ops.normalize(ops.cast(keys, "float32"), axis=-1)

    def keys(self, view):
        if not self.shuffle:
            return self.key_encoder(view, training=True)
        return teacher.shuffled(self.key_encoder, view, self.order)

    def after_step(self, outputs):
        teacher.follow(self.key_encoder, self.query_encoder, self.momentum)
        for keys in outputs["keys"]:  # one after the other: the same order on any number of replicas
            self.queue.push(keys)
