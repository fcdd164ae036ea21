r"""NNCLR: With a Little Help from My Friends, Nearest-Neighbor Contrastive Learning (Dwibedi et al., 2021).

https://arxiv.org/abs/2104.14548

Objective:
    \mathcal{L} = \frac{1}{2} \left( \ell(\operatorname{nn}(z^1), p^2) + \ell(\operatorname{nn}(z^2), p^1) \right),
    \quad \ell(q, k) = -\frac{1}{N} \sum_{i=1}^{N} \log \frac{\exp(q_i \cdot k_i / \tau)}{\sum_n \exp(q_i \cdot k_n /
    \tau)}
    where $z$ are the projections of the two views, $p$ their predictions, and nn is the nearest entry of the queue.

Flow:
    view 1 -> encoder -> projector ~> nearest in the queue ~> InfoNCE
    view 2 -> encoder
    projector -> predictor -> InfoNCE

Take it when views alone say too little: the positive is another, similar image.

Leave it when the run is short: at first the nearest neighbor is a random image.
"""

import keras
from keras import ops

from keras_ssl import checks, heads, memory
from keras_ssl.losses import n_pair
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class NNCLR(Method):
    """The positive of a view is not the other view but its nearest neighbor among earlier embeddings.

    The embeddings of the first views of all replicas enter the queue after the step, so that no view finds itself.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.byol`.
        hidden: int, units of the two hidden layers of the projector (2048).
        predictor_hidden: int, units of the hidden layer of the predictor (4096).
        dim: int, size of embedding and prediction (256).
        queue_size: int, number of embeddings in the support set (Q, 98304).
        temperature: float > 0 (tau, 0.1).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.NNCLR(encoder, keras_ssl.augment.byol_cifar(32), queue_size=16384)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-6))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "predictor_hidden": checks.ints(),
        "dim": checks.ints(),
        "queue_size": checks.ints(),
        "temperature": checks.numbers(above=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        predictor_hidden=4096,
        dim=256,
        queue_size=98304,
        temperature=0.1,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.predictor_hidden, self.dim = hidden, predictor_hidden, dim
        self.queue_size, self.temperature = queue_size, temperature
        projector = heads.mlp(
            encoder.output_shape[-1],
            hidden,
            dim,
            depth=3,
            output_norm=heads.batch_normalization(),
            name="projector",
        )
        self.projected = heads.attach(encoder, projector)
        self.predictor = heads.mlp(dim, predictor_hidden, dim, output_bias=True, name="predictor")
        self.queue = memory.Queue(queue_size, dim)

    def objective(self, views):
        z1, z2 = (self.projected(view, training=True) for view in views)  # (batch, dim) each
        p1, p2 = (self.predictor(z, training=True) for z in (z1, z2))
        loss = n_pair(self.nearest(z1), p2, self.temperature) + n_pair(self.nearest(z2), p1, self.temperature)
        return {"loss": loss / 2, "embeddings": ops.stop_gradient(unit(z1))}

    def nearest(self, z):
        """The entry of the queue with the largest cosine, `(batch, dim)`; of equal ones the first."""
        return self.queue.nearest(unit(z))

    def after_step(self, outputs):
        self.queue.push(outputs["embeddings"])
