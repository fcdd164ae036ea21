r"""NNBYOL: BYOL with the nearest neighbors of NNCLR, as solo-learn has it (Dwibedi et al., 2021).

https://arxiv.org/abs/2104.14548

Objective:
    \mathcal{L} = \left( 2 - 2 \cos(p_1, \operatorname{nn}(t_2)) \right) + \left( 2 - 2 \cos(p_2,
    \operatorname{nn}(t_1)) \right)
    where $p$ are the predictions of the online network, $t$ the projections of the target, and nn is the nearest of
    the target's earlier projections in the queue.

Flow:
    view 1 -> encoder -> projector -> predictor -> distance, both ways
    view 2 ~> target network ~> nearest in the queue ~> distance, both ways
    projector ~EMA~> target network

Take it when views alone say too little and negatives would be false: what is predicted is another, similar image.

Leave it when the run is short: at first the nearest neighbor is a random image.
"""

import keras
from keras import ops

from keras_ssl import checks, memory
from keras_ssl.losses import cosine_regression
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.distillation.byol import BYOL


@keras.saving.register_keras_serializable("keras_ssl")
class NNBYOL(BYOL):
    """The online network predicts not the target of the other view, but its nearest among earlier targets.

    The targets of the first views of all replicas enter the queue after the step. The paper of NNCLR names the idea;
    the form is that of solo-learn.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.byol`.
        queue_size: int, number of earlier targets (65536).
        **kwargs: the other arguments of `BYOL`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.NNBYOL(encoder, keras_ssl.augment.byol_cifar(32), queue_size=16384, momentum=0.99)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-5))
    """

    bounds = {"queue_size": checks.ints()}

    def __init__(self, encoder, augment=None, *, queue_size=65536, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.queue_size = queue_size
        self.queue = memory.Queue(queue_size, self.dim)

    def objective(self, views):
        targets = [unit(self.target(view, training=True)) for view in views]  # (batch, dim) each
        predictions = [self.predictor(self.online(view, training=True), training=True) for view in views]
        pairs = zip(predictions, reversed(targets))
        loss = sum(cosine_regression(prediction, self.queue.nearest(target)) for prediction, target in pairs)
        return {"loss": loss, "targets": ops.stop_gradient(targets[0])}

    def after_step(self, outputs):
        super().after_step(outputs)
        self.queue.push(outputs["targets"])
