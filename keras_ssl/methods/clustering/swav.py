r"""SwAV: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (Caron et al., 2020).

https://arxiv.org/abs/2006.09882

Objective:
    \mathcal{L} = -\operatorname{mean}_i \operatorname{mean}_{v \ne i} \frac{1}{N} \sum_b \sum_k q_{ibk} \log
    \operatorname{softmax}(s_{vb} / \tau)_k
    where $s_{vb}$ are the cosines of view $v$ of image $b$ and the prototypes, and $q_i$ are the assignments that
    Sinkhorn makes of $s_i$, as many images to each prototype.

Flow:
    view 1 -> encoder -> projector -> prototypes -> swapped prediction
    view 2 -> encoder
    small views -> encoder
    prototypes ~Sinkhorn~> swapped prediction

Take it when multi-crop should help: small views are cheap, and large batches are not needed with a queue.

Leave it when the data is far from balanced: each prototype gets an equal share of the images.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute, heads, memory
from keras_ssl.encoders.multi_crop import multi_crop
from keras_ssl.losses import sinkhorn, swapped_prediction
from keras_ssl.losses.vectors import unit
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class SwAV(Method):
    """The assignment of one view to prototypes, as many images to each, is predicted from every other view.

    The first views are assigned, by Sinkhorn over the global batch and the queue; all views predict. With views of
    several sizes (multi-crop) the encoder must take them: `input_shape=(None, None, 3)`. The queues fill from the
    first step on and are used from `queue_start` on; in the authors' code they begin to fill there.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to views, those that are assigned first; `keras_ssl.augment.swav`.
        hidden: int, units of the projector's hidden layer (2048).
        dim: int, size of the embedding (128).
        prototype_count: int (K, 3000).
        temperature: float > 0, of the predictions (tau, 0.1).
        epsilon: float > 0, how soft the assignments are (0.05; 0.03 for some).
        iterations: int, of Sinkhorn (3); with 0 it is a softmax, and the prototypes collapse.
        assigned_views: int, how many of the views are assigned (2).
        freeze_steps: int, the first steps, in which the prototypes stay (313 with a batch of 4096, one epoch; 5005
            with 256).
        queue_size: int, embeddings of earlier images that take part in the assignment, for each assigned view (0;
            3840 with a batch of 256, where the batch alone is too small for the prototypes).
        queue_start: int, the first step with the queue (that of epoch 15), once it is full.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((None, None, 3), stem="cifar")
    >>> model = keras_ssl.SwAV(encoder, keras_ssl.augment.swav_cifar(32), prototype_count=512, queue_size=3840)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.6, weight_decay=1e-6))
    """

    view_counts = (2, None)

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "prototype_count": checks.ints(),
        "temperature": checks.numbers(above=0),
        "epsilon": checks.numbers(above=0),
        "iterations": checks.ints(0),
        "assigned_views": checks.ints(),
        "freeze_steps": checks.ints(0),
        "queue_size": checks.ints(0),
        "queue_start": checks.ints(0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        dim=128,
        prototype_count=3000,
        temperature=0.1,
        epsilon=0.05,
        iterations=3,
        assigned_views=2,
        freeze_steps=0,
        queue_size=0,
        queue_start=0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.prototype_count = hidden, dim, prototype_count
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.assigned_views, self.freeze_steps = assigned_views, freeze_steps
        self.queue_size, self.queue_start = queue_size, queue_start
        self.projector = heads.mlp(encoder.output_shape[-1], hidden, dim, output_bias=True, name="projector")
        self.prototypes = heads.Prototypes(dim, prototype_count, constrained=True, name="prototypes")
        self.queues = [memory.Queue(queue_size, dim) for _ in range(assigned_views if queue_size else 0)]

        self.filled = None
        if queue_size:  # entries of a queue that are embeddings
            self.filled = self.keep("filled", dtype="int32")

    def objective(self, views):
        features = multi_crop(self.encoder, views, training=True)  # (views * batch, features)
        embeddings = unit(self.projector(features, training=True))  # (views * batch, dim)
        frozen = self.step < self.freeze_steps if self.freeze_steps else None
        scores = ops.split(self.prototypes(embeddings, frozen=frozen), len(views))  # (batch, prototypes) each
        assignments = [self.assign(scores[i], i) for i in range(self.assigned_views)]
        loss = swapped_prediction(assignments, scores, self.temperature)
        assigned = ops.split(ops.stop_gradient(embeddings), len(views))[: self.assigned_views]
        return {"loss": loss, "embeddings": assigned}

    def assign(self, scores, number):
        if not self.queues:
            return sinkhorn(scores, self.epsilon, self.iterations)
        queue = self.prototypes(self.queues[number].read())  # (queue_size, prototypes), by today's prototypes
        full = ops.logical_and(self.step >= self.queue_start, self.filled >= self.queue_size)
        return sinkhorn(scores, self.epsilon, self.iterations, queue, use_queue=full)

    def after_step(self, outputs):
        for queue, embeddings in zip(self.queues, outputs["embeddings"]):
            queue.push(embeddings)
        if self.queues:
            rows = distribute.total(ops.cast(ops.shape(outputs["embeddings"][0])[0], "int32"))
            self.filled.assign(ops.minimum(self.filled + rows, self.queue_size))
