r"""NNSiam: SimSiam with the nearest neighbors of NNCLR, as solo-learn has it (Dwibedi et al., 2021).

https://arxiv.org/abs/2104.14548

Objective:
    \mathcal{L} = -\frac{1}{2} \cos(p_1, \operatorname{nn}(z_2)) - \frac{1}{2} \cos(p_2, \operatorname{nn}(z_1))
    where $z$ are the projections of the two views, $p$ their predictions, and nn is the nearest of the earlier
    projections in the queue.

Flow:
    view 1 -> encoder -> projector -> predictor -> distance, both ways
    view 2 -> encoder
    projector ~> nearest in the queue ~> distance, both ways

Take it when NNCLR is wanted without negatives, or SimSiam with a positive that is another, similar image.

Leave it when the run is short, or nobody watches: it can collapse as SimSiam can.
"""

import keras
from keras import ops

from keras_ssl import checks, memory
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.distillation.simsiam import SimSiam


@keras.saving.register_keras_serializable("keras_ssl")
class NNSiam(SimSiam):
    """One network predicts from a view the nearest among earlier projections to what it makes of the other view.

    The projections of the first views of all replicas enter the queue after the step. The form is that of solo-learn.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f, without its projection MLP).
        augment: layer from images to two views; `keras_ssl.augment.byol`.
        predictor_hidden: int, units of the predictor's hidden layer (4096); None for no predictor.
        stop_gradient: True: what is predicted comes from the queue.
        queue_size: int, number of earlier projections (65536).
        **kwargs: the other arguments of `SimSiam`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.NNSiam(encoder, keras_ssl.augment.byol_cifar(32), queue_size=16384)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.5, momentum=0.9, weight_decay=1e-5))
    """

    bounds = {"queue_size": checks.ints(), "stop_gradient": checks.choice(True)}

    def __init__(
        self, encoder, augment=None, *, predictor_hidden=4096, stop_gradient=True, queue_size=65536, **kwargs
    ):
        super().__init__(encoder, augment, predictor_hidden=predictor_hidden, stop_gradient=stop_gradient, **kwargs)
        self.queue_size = queue_size
        self.queue = memory.Queue(queue_size, self.dim)

    def objective(self, views):
        first, second = (self.projection(view, training=True) for view in views)  # z, (batch, dim)
        loss = self.distance(first, onto=self.queue.nearest(second))
        if self.symmetric:
            loss = (loss + self.distance(second, onto=self.queue.nearest(first))) / 2
        return {"loss": loss, "projections": ops.stop_gradient(unit(first))}

    def after_step(self, outputs):
        self.queue.push(outputs["projections"])
