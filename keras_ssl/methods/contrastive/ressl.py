r"""ReSSL: Relational Self-Supervised Learning with Weak Augmentation (Zheng, You, Wang, Qian, Zhang, Wang, Xu, 2021).

https://arxiv.org/abs/2107.09282

Objective:
    \mathcal{L} = -\frac{1}{N} \sum_{i=1}^{N} \sum_{n \in Q} p_{in} \log q_{in}, \quad p_{in} \propto \exp(k_i \cdot n /
    \tau_t), \quad q_{in} \propto \exp(q_i \cdot n / \tau_s)
    where $q$ are the queries of the strong views, $k$ the keys of the weak ones, which get no gradient, and $Q$ is the
    queue of earlier keys.

Flow:
    strong views -> encoder -> head -> similarities -> cross-entropy
    weak view ~> key encoder ~> sharper similarities ~> cross-entropy
    key encoder ~> queue ~> similarities
    queue ~> sharper similarities
    head ~EMA~> key encoder

Take it when many images are alike: no image is a negative, only its likeness to others has to be the same.

Leave it when the run is short: the first relations are those of a random network.
"""

import keras
from keras import ops

from keras_ssl import checks, teacher
from keras_ssl.losses import soft_cross_entropy
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.contrastive.moco_v1 import MoCoV1


@keras.saving.register_keras_serializable("keras_ssl")
class ReSSL(MoCoV1):
    """A strong view is as similar to each image of a queue as the weak view of the same image is.

    It has the networks, the queue and the momentum of `MoCoV1`, and no positive pair: the softmax of the query's
    similarities to the queue meets that of the key's, which is sharper. The weak view comes first, all others are
    strong; several of them, also of other sizes, are averaged (the authors' five crops).

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f_q), of any size where the views have several.
        augment: layer from images to a weak view and one or more strong ones; `keras_ssl.augment.ressl`.
        hidden: int, units of the head's hidden layer (4096); 0 for a linear head.
        dim: int, size of queries and keys (512; 256 on CIFAR-10).
        queue_size: int, number of keys in the queue (131072).
        temperature: float > 0, of the queries (tau_s, 0.1).
        key_temperature: float > 0, of the keys, lower than that of the queries (tau_t, 0.04).
        symmetric: False; the views have roles.
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1, as in solo-learn; None keeps
            it constant, as in the authors' code.
        **kwargs: the other arguments of `MoCoV1`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), batch_norm_groups=8)
    >>> model = keras_ssl.ReSSL(encoder, keras_ssl.augment.ressl(32), dim=256, queue_size=4096, momentum=0.99)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-4))
    """

    view_counts = (2, None)

    bounds = {
        "key_temperature": checks.numbers(above=0),
        "symmetric": checks.choice(False),
        "steps": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=4096,
        dim=512,
        queue_size=131072,
        temperature=0.1,
        key_temperature=0.04,
        symmetric=False,
        steps=None,
        **kwargs,
    ):
        super().__init__(
            encoder, augment, hidden=hidden, dim=dim, queue_size=queue_size, temperature=temperature,
            symmetric=symmetric, **kwargs,
        )  # fmt: skip
        self.key_temperature, self.steps = key_temperature, steps

    def objective(self, views):
        weak, *strong = views
        queue = ops.transpose(self.queue.read())  # (dim, queue_size)
        keys = ops.stop_gradient(unit(self.keys(weak)))  # (batch, dim)
        relations = ops.softmax(ops.matmul(keys, queue) / self.key_temperature, axis=-1)
        losses = [self.relate(view, queue, relations) for view in strong]
        return {"loss": sum(losses) / len(losses), "keys": [keys]}

    def relate(self, view, queue, relations):
        queries = unit(self.query_encoder(view, training=True))
        return soft_cross_entropy(relations, ops.matmul(queries, queue), self.temperature)

    def after_step(self, outputs):
        momentum = teacher.cosine(self.momentum, 1.0, self.step, self.steps)
        teacher.follow(self.key_encoder, self.query_encoder, momentum)
        self.queue.push(outputs["keys"][0])
