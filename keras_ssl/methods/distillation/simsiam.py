r"""SimSiam: Exploring Simple Siamese Representation Learning (Chen, He, 2020).

https://arxiv.org/abs/2011.10566

Objective:
    \mathcal{L} = -\frac{1}{2} \cos(p_1, \operatorname{sg}(z_2)) - \frac{1}{2} \cos(p_2, \operatorname{sg}(z_1))
    where $z$ are the projections of the two views, $p$ their predictions, and sg stops the gradient.

Flow:
    view 1 -> encoder -> projector -> predictor -> distance, both ways
    view 2 -> encoder
    projector ~stop gradient~> distance, both ways

Take it when the simplest method without negatives is wanted: no teacher, no queue, batches of 256 are enough.

Leave it when minutes are all there is, or nobody watches: without predictor or stop-gradient it collapses.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.losses import negative_cosine, softmax_cross_entropy
from keras_ssl.method import Method

SIMILARITIES = {"cosine": negative_cosine, "cross_entropy": softmax_cross_entropy}


@keras.saving.register_keras_serializable("keras_ssl")
class SimSiam(Method):
    """One network predicts from a view what it makes of the other view, with no gradient through what is predicted.

    The arguments after `dim` are those of the paper's ablations. Layers without batch normalization after them get a
    bias.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f, without its projection MLP).
        augment: layer from images to two views; `keras_ssl.augment.simsiam`.
        hidden: int, units of the projector's hidden layers (2048).
        dim: int, size of projection and prediction (d, 2048).
        depth: int >= 1, Dense layers of the projector (3; 2 on CIFAR-10).
        predictor_hidden: int, units of the predictor's hidden layer (512); None for no predictor, which collapses.
        predictor_trainable: whether the predictor learns; False keeps it at its random start, and training fails.
        stop_gradient: whether the gradient stops at what is predicted; without, the outputs collapse.
        symmetric: whether each view predicts the other; False is the first view alone.
        similarity: `"cosine"`, or `"cross_entropy"` of the softmax over the channels.
        hidden_norm: whether the hidden layers of both heads are batch-normalized.
        projection_norm: whether the output of the projector is, without scale and offset.
        prediction_norm: whether the output of the predictor is; unstable (False).

    Raises:
        ValueError: `similarity` is neither of the two.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.SimSiam(encoder, keras_ssl.augment.simsiam_cifar(32), depth=2)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.06, momentum=0.9, weight_decay=5e-4))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(),
        "dim": checks.ints(),
        "depth": checks.ints(),
        "predictor_hidden": checks.ints(optional=True),
        "predictor_trainable": checks.flag(),
        "stop_gradient": checks.flag(),
        "symmetric": checks.flag(),
        "hidden_norm": checks.flag(),
        "projection_norm": checks.flag(),
        "prediction_norm": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=2048,
        dim=2048,
        depth=3,
        predictor_hidden=512,
        predictor_trainable=True,
        stop_gradient=True,
        symmetric=True,
        similarity="cosine",
        hidden_norm=True,
        projection_norm=True,
        prediction_norm=False,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        if not isinstance(similarity, str) or similarity not in SIMILARITIES:
            raise ValueError(f"similarity must be 'cosine' or 'cross_entropy'. Received: similarity={similarity!r}")
        self.hidden, self.dim, self.depth = hidden, dim, depth
        self.predictor_hidden, self.predictor_trainable = predictor_hidden, predictor_trainable
        self.stop_gradient, self.symmetric, self.similarity = stop_gradient, symmetric, similarity
        self.hidden_norm, self.projection_norm, self.prediction_norm = hidden_norm, projection_norm, prediction_norm
        projector = heads.mlp(
            encoder.output_shape[-1],
            hidden,
            dim,
            depth=depth,
            batch_norm=hidden_norm,
            hidden_bias=not hidden_norm,
            output_bias=not projection_norm,
            output_norm=heads.batch_normalization(center=False, scale=False) if projection_norm else None,
            name="projector",
        )
        self.projection = heads.attach(encoder, projector)
        self.predictor = None
        if predictor_hidden is not None:
            self.predictor = heads.mlp(
                dim,
                predictor_hidden,
                dim,
                batch_norm=hidden_norm,
                hidden_bias=not hidden_norm,
                output_bias=not prediction_norm,
                output_norm=heads.batch_normalization() if prediction_norm else None,
                name="predictor",
            )
            if not predictor_trainable:  # one by one: `predictor.trainable` would also freeze its batch statistics
                self.predictor.stays_frozen = True  # `compile` sees to it, also when the whole model was thawed
                for variable in self.predictor.trainable_variables:
                    variable.trainable = False

    def objective(self, views):
        first, second = (self.projection(view, training=True) for view in views)  # z, (batch, dim)
        if not self.symmetric:
            return self.distance(first, onto=second)
        return (self.distance(first, onto=second) + self.distance(second, onto=first)) / 2

    def distance(self, projection, onto):
        prediction = projection if self.predictor is None else self.predictor(projection, training=True)  # p
        target = ops.stop_gradient(onto) if self.stop_gradient else onto
        return SIMILARITIES[self.similarity](prediction, target)
