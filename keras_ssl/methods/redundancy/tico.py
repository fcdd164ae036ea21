r"""TiCo: Transformation Invariance and Covariance Contrast (Zhu, Moraes, Karakulak, Sobol, Canziani, LeCun, 2022).

https://arxiv.org/abs/2206.10698

Objective:
    \mathcal{L} = 1 - \operatorname{mean}_i \, z_i \cdot t_i + \rho \operatorname{mean}_i \, z_i^{\top} C z_i, \quad
    C \leftarrow \beta C + (1 - \beta) \operatorname{mean}_i \, z_i z_i^{\top}
    where $z$ are the unit embeddings of the first views, $t$ those that the target network makes of the second ones,
    and $C$, which gets no gradient, is the moving average of the second moment.

Flow:
    view 1 -> encoder -> projector -> similarity
    view 2 ~> target network ~> similarity
    projector ~> moving second moment ~> crowding
    projector -> crowding
    projector ~EMA~> target network

Take it when negatives are wanted and batches are small: the moving average holds those of earlier steps in one matrix.

Leave it when the numbers of the field count: it trails in the tables of others.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute, heads, teacher
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class TiCo(Method):
    """An embedding meets its moving target, and leaves the directions that earlier embeddings crowd.

    The second moment includes the batch itself. It is of all replicas, equal on each, and gets no gradient. As others
    train it the loss is of one direction: the first views are trained, the second ones are the target's.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two views; `keras_ssl.augment.byol`.
        hidden: int, units of the projector's hidden layer (4096).
        dim: int, size of the embedding (256).
        covariance_weight: float >= 0, of the crowding (rho, 8).
        decay: float in [0, 1), share of the old second moment that is kept (beta, 0.9).
        momentum: float in [0, 1], how slowly the target follows at the start (0.99).
        steps: int, optimizer steps of the whole run, over which the momentum rises to 1; None keeps it constant.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.TiCo(encoder, keras_ssl.augment.byol_cifar(32), steps=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.06, momentum=0.9, weight_decay=5e-4))
    """

    terms = ("similarity", "crowding")
    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "covariance_weight": checks.numbers(least=0),
        "decay": checks.numbers(least=0, below=1),
        "momentum": checks.numbers(least=0, most=1),
        "steps": checks.ints(optional=True),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=4096,
        dim=256,
        covariance_weight=8.0,
        decay=0.9,
        momentum=0.99,
        steps=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.covariance_weight = hidden, dim, covariance_weight
        self.decay, self.momentum, self.steps = decay, momentum, steps
        projector = heads.mlp(encoder.output_shape[-1], hidden, dim, name="projector")
        self.online = heads.attach(encoder, projector, name="online")
        self.target = teacher.copy(self.online, name="target")
        self.moment = self.keep("moment", (dim, dim))

    def objective(self, views):
        first, second = views
        embeddings = unit(self.online(first, training=True))  # (batch, dim)
        targets = ops.stop_gradient(unit(self.target(second, training=True)))
        moment = self.decay * ops.stop_gradient(self.moment) + (1.0 - self.decay) * second_moment(embeddings)
        similarity = ops.mean(ops.sum(embeddings * targets, axis=-1))
        crowding = ops.mean(ops.sum(ops.matmul(embeddings, moment) * embeddings, axis=-1))
        loss = 1.0 - similarity + self.covariance_weight * crowding
        return {"loss": loss, "similarity": similarity, "crowding": crowding, "moment": moment}

    def after_step(self, outputs):
        self.moment.assign(outputs["moment"])
        teacher.follow(self.target, self.online, teacher.cosine(self.momentum, 1.0, self.step, self.steps))


def second_moment(embeddings):
    """`mean_i z_i z_i^T` over the rows of all replicas, without a gradient."""
    embeddings = distribute.gather(embeddings, gradient=False)
    return ops.matmul(ops.transpose(embeddings), embeddings) / ops.cast(ops.shape(embeddings)[0], embeddings.dtype)
