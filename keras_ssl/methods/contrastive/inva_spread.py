r"""InvaSpread: Unsupervised Embedding Learning via Invariant and Spreading Instance Feature (Ye et al., 2019).

https://arxiv.org/abs/1904.03436

Objective:
    \mathcal{L} = -\frac{1}{2N} \sum_{i=1}^{2N} \left( \log P_{ip} + m \sum_n \log(1 - P_{in}) \right), \quad P_{ij}
    = \frac{e^{x_i \cdot x_j / \tau}}{e^{x_i \cdot x_p / \tau} + m \sum_n e^{x_i \cdot x_n / \tau}}
    where $x$ are unit embeddings, $p$ is the other view of the image of $i$, $n$ runs over the views of other
    images, and $m$ is the weight of the negatives.

Flow:
    view 1 -> encoder -> linear head -> softmax over the batch
    view 2 -> encoder

Take it when batches are small and a plain head is enough.

Leave it when the best features are wanted: SimCLR's projector keeps more in the encoder.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.inputs import together
from keras_ssl.losses import invariant_spread
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class InvaSpread(Method):
    """A view is classified as its image among those of the batch, and explicitly as none of the others.

    As in the authors' code, every view is an anchor once, an unchanged image is never used, and a view gets no
    gradient from where others are compared with it (`detach_others`).

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)`.
        augment: layer from images to two views; `keras_ssl.augment.moco_v1`.
        dim: int, size of the embedding (128).
        temperature: float > 0 (tau, 0.1).
        negative_weight: float >= 1, weight of the negatives (m, 1).
        detach_others: whether the gradient flows through the anchor only.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.InvaSpread(encoder, keras_ssl.augment.moco_v1(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=5e-4))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "negative_weight": checks.numbers(least=1),
        "detach_others": checks.flag(),
    }

    def __init__(
        self, encoder, augment=None, *, dim=128, temperature=0.1, negative_weight=1.0, detach_others=True, **kwargs
    ):
        super().__init__(encoder, augment, **kwargs)
        self.dim, self.temperature = dim, temperature
        self.negative_weight, self.detach_others = negative_weight, detach_others
        self.projector = heads.linear(encoder.output_shape[-1], dim, name="projector")

    def objective(self, views):
        features = self.encoder(together(views), training=True)  # (2 * batch, features)
        first, second = ops.split(self.projector(features, training=True), 2)  # (batch, dim) each
        return invariant_spread(first, second, self.temperature, self.negative_weight, self.detach_others)
