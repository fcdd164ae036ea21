r"""FastSiam: Resource-Efficient Self-supervised Learning on a Single GPU (Pototzky, Sultan, Schmidt-Thieme, 2022).

https://doi.org/10.1007/978-3-031-16788-1_4

Objective:
    \mathcal{L} = -\frac{1}{V} \sum_{i=1}^{V} \cos\left(p_i, \operatorname{sg}\left( \frac{1}{V - 1} \sum_{j \ne i}
    z_j \right) \right)
    where $z$ are the projections of the $V$ views, $p$ their predictions, and sg stops the gradient.

Flow:
    each view -> encoder -> projector -> predictor -> distance
    other views -> encoder
    projector ~mean, stop gradient~> distance

Take it when SimSiam is wanted with small batches or few epochs: the mean of several views is a steadier target.

Leave it when a step is what costs: four views take twice the time of SimSiam's two.
"""

import keras

from keras_ssl.losses.vectors import precise
from keras_ssl.methods.distillation.simsiam import SimSiam


@keras.saving.register_keras_serializable("keras_ssl")
class FastSiam(SimSiam):
    """SimSiam of several views: each predicts the mean of what the network makes of all the others.

    The mean is of the projections as they are, before any normalization, and float32. Of two views it is `SimSiam`.

    Args:
        augment: layer from images to two or more views, four in the paper; `keras_ssl.augment.simsiam` with `count=4`.
        symmetric: whether each view predicts the others; False is the first view alone.
        **kwargs: the other arguments of `SimSiam`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.FastSiam(encoder, keras_ssl.augment.simsiam_cifar(32, count=4), depth=2)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.06, momentum=0.9, weight_decay=5e-4))
    """

    view_counts = (2, None)

    def objective(self, views):
        projections = [self.projection(view, training=True) for view in views]  # z, (batch, dim) each
        total = sum(precise(z) for z in projections)
        predicting = projections if self.symmetric else projections[:1]
        return sum(self.distance(z, onto=(total - precise(z)) / (len(views) - 1)) for z in predicting) / len(predicting)
