r"""DirectCLR: Understanding Dimensional Collapse in Contrastive Self-supervised Learning (Jing et al., 2021).

https://arxiv.org/abs/2110.09348

Objective:
    \mathcal{L} = \frac{1}{2} \left( \ell(z^1, z^2) + \ell(z^2, z^1) \right), \quad \ell(q, k) = -\frac{1}{N}
    \sum_{i=1}^{N} \log \frac{\exp(q_i \cdot k_i / \tau)}{\sum_n \exp(q_i \cdot k_n / \tau)}
    where $z$ are the first $d_0$ features of the two views, as unit vectors.

Flow:
    view 1 -> encoder -> first features -> InfoNCE, both ways
    view 2 -> encoder

Take it when a projector is one part too many, or to see what it is good for.

Leave it when features are what counts: SimCLR's projector is better.
"""

import keras

from keras_ssl import checks
from keras_ssl.losses import n_pair
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class DirectCLR(Method):
    """The first features of two views are contrasted directly, without a projector; the others learn from that.

    The loss alone would let the features collapse to few dimensions. Those that it does not see keep what the residual
    connections of the encoder bring them. Negatives are the other images of the other view only; the views go through
    the encoder one after the other.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f); one with residual connections.
        augment: layer from images to two views; `keras_ssl.augment.simclr`.
        dim: int, how many of the features the loss sees, at most all (d_0, 360 of 2048); as many as there are is
            SimCLR without a projector.
        temperature: float > 0 (tau, 0.1).

    Raises:
        ValueError: the encoder has fewer features.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.DirectCLR(encoder, keras_ssl.augment.simclr_cifar(32), dim=encoder.output_shape[-1] // 6)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.3, weight_decay=1e-6))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {"dim": checks.ints(), "temperature": checks.numbers(above=0)}

    def __init__(self, encoder, augment=None, *, dim=360, temperature=0.1, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        features = encoder.output_shape[-1]
        if dim > features:
            raise ValueError(
                "dim must be at most the number of features, of which the loss sees the first ones. Received: "
                f"dim={dim} and an encoder with {features}"
            )
        self.dim, self.temperature = dim, temperature

    def objective(self, views):
        first, second = (self.encoder(view, training=True)[:, : self.dim] for view in views)
        return (n_pair(first, second, self.temperature) + n_pair(second, first, self.temperature)) / 2
