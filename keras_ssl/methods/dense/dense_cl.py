r"""DenseCL: Dense Contrastive Learning for Self-Supervised Visual Pre-Training (Wang, Zhang, Shen, Kong, Li, 2020).

https://arxiv.org/abs/2011.09157

Objective:
    \mathcal{L} = (1 - \lambda) \, \mathcal{L}_{\text{MoCo}} - \frac{\lambda}{N P} \sum_{i, p} \log \frac{\exp(g_{ip}
    \cdot k_{i m(p)} / \tau)}{\exp(g_{ip} \cdot k_{i m(p)} / \tau) + \sum_{n \in Q} \exp(g_{ip} \cdot n / \tau)}
    where $g_{ip}$ and $k_{ip}$ are the embeddings of place $p$ of the two views of image $i$, $m(p)$ is the place of
    the second view whose backbone feature is most like that of $p$, and $Q$ holds the mean of $k$ of each of earlier
    images.

Flow:
    view 1 -> encoder -> global head -> InfoNCE
    encoder -> dense head -> InfoNCE of places
    view 2 ~> key encoder ~> InfoNCE
    key encoder ~most similar place~> InfoNCE of places
    key encoder ~> queue of images ~> InfoNCE
    key encoder ~> queue of means ~> InfoNCE of places

Take it when the encoder is for segmentation or detection, and MoCoV2 would be taken otherwise: it costs little more,
    and needs to know nothing of where the views lie.

Leave it when whole images are to be classified.
"""

import keras
from keras import ops

from keras_ssl import checks, encoders, heads, memory, teacher
from keras_ssl.augment import select
from keras_ssl.losses import info_nce, most_similar
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method
from keras_ssl.methods.dense.located import as_places


@keras.saving.register_keras_serializable("keras_ssl")
class DenseCL(Method):
    """MoCo v2, and the same for places: each finds, among earlier images, the place that looks most like it.

    The partner of a place is the one of the other view whose feature, as the encoder gives it, is nearest in direction.
    The negatives of places are means of earlier images' dense keys, one vector an image. With `dense_weight=0` it is
    `MoCoV2`, and what it says of batch normalization, of the key encoder and of `shuffle` holds here.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` that ends with its pooling (f_q): those of
            `keras_ssl.encoders`, or `keras_ssl.encoders.pool(backbone)`.
        augment: layer from images to two views, of the query and of the key; `keras_ssl.augment.moco_v2`.
        hidden: int, units of the hidden layer of both heads (2048).
        dim: int, size of queries and keys (128).
        queue_size: int, number of keys in each of the two queues (K, 65536).
        temperature: float > 0 (tau, 0.2).
        momentum: float in [0, 1], how slowly the key encoder follows (m, 0.999).
        dense_weight: float in [0, 1], the share of the places in the loss (lambda, 0.5).
        shuffle: whether the keys of the batch, of all replicas, change places for the forward pass.

    Raises:
        ValueError: the encoder has no map of features.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(64, 64, 3), stem="cifar", batch_norm_groups=8)
    >>> model = keras_ssl.DenseCL(encoder, keras_ssl.augment.moco_v2(64), hidden=512, queue_size=4096, momentum=0.99)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    """

    terms = ("global_loss", "dense_loss")
    view_counts = (2, 2)

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "queue_size": checks.ints(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, most=1),
        "dense_weight": checks.numbers(least=0, most=1),
        "shuffle": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        dim=128,
        queue_size=65536,
        temperature=0.2,
        momentum=0.999,
        dense_weight=0.5,
        shuffle=True,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.queue_size, self.temperature = hidden, dim, queue_size, temperature
        self.momentum, self.dense_weight, self.shuffle = momentum, dense_weight, shuffle
        self.query_encoder = self.branch(encoder)
        self.key_encoder = teacher.copy(self.query_encoder)
        self.queue, self.dense_queue = memory.Queue(queue_size, dim), memory.Queue(queue_size, dim)
        self.order = keras.random.SeedGenerator()

    def branch(self, encoder):
        """From images to the query, the queries of all places, and the features of all places."""
        images = heads.inputs_like(encoder)
        features, places = encoders.with_map(encoder)(images)
        options = {"batch_norm": False, "output_bias": True}
        head = heads.mlp(features.shape[-1], self.hidden, self.dim, name="head", **options)
        dense_head = heads.mlp((None, None, places.shape[-1]), self.hidden, self.dim, name="dense_head", **options)
        return keras.Model(images, [head(features), dense_head(places), places])

    def objective(self, views):
        first, second = views
        query, queries, places = self.query_encoder(first, training=True)
        key, keys, key_places = map(ops.stop_gradient, self.keys(second))
        global_loss = info_nce(query, key, self.queue.read(), self.temperature)
        queries, keys, places, key_places = map(as_places, (queries, keys, places, key_places))
        partners = select(keys, most_similar(places, key_places))  # (batch, places, dim)
        rows = [ops.reshape(x, (-1, self.dim)) for x in (queries, partners)]
        dense_loss = info_nce(*rows, self.dense_queue.read(), self.temperature)
        loss = (1.0 - self.dense_weight) * global_loss + self.dense_weight * dense_loss
        mean = ops.mean(ops.cast(keys, "float32"), axis=1)
        found = {"keys": unit(key), "dense_keys": unit(mean)}
        return {"loss": loss, "global_loss": global_loss, "dense_loss": dense_loss, **found}

    def keys(self, view):
        if not self.shuffle:
            return self.key_encoder(view, training=True)
        return teacher.shuffled(self.key_encoder, view, self.order)

    def after_step(self, outputs):
        teacher.follow(self.key_encoder, self.query_encoder, self.momentum)
        self.queue.push(outputs["keys"])
        self.dense_queue.push(outputs["dense_keys"])
