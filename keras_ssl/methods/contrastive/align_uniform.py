r"""AlignUniform: Understanding Contrastive Representation Learning through Alignment and Uniformity (Wang, Isola, 2020)

https://arxiv.org/abs/2005.10242

Objective:
    \mathcal{L} = \lambda_a \operatorname{mean}_i \|x_i - y_i\|^{\alpha} + \frac{\lambda_u}{2} \left( \log
    \operatorname{mean}_{i<j} e^{-t \|x_i - x_j\|^2} + \log \operatorname{mean}_{i<j} e^{-t \|y_i - y_j\|^2} \right)
    where $x$ and $y$ are the unit embeddings of the two views.

Flow:
    view 1 -> encoder -> projector -> alignment
    view 2 -> encoder
    projector -> uniformity -> loss
    alignment -> loss

Take it when you want to see what contrast does: its two halves are logged apart, and there is no temperature.

Leave it when there is no time to tune: on data other than small images, its two weights need it.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.inputs import together
from keras_ssl.losses import alignment, uniformity
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class AlignUniform(Method):
    """Two views of an image meet, and all images spread over the sphere: the two halves of a contrastive loss.

    Logs `alignment` and `uniformity`, without their weights. The variant with MoCo's queue is not built.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.moco_v1(size, scale=(0.08, 1.0))`.
        dim: int, size of the embedding (128).
        align_weight: float, weight of the alignment (1).
        uniform_weight: float, weight of the uniformity (1).
        power: float > 0, of the distance of two views (alpha, 2).
        scale: float > 0, of the squared distance of two images (t, 2).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.AlignUniform(encoder, keras_ssl.augment.moco_v1(32, scale=(0.08, 1.0)))
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.12, momentum=0.9, weight_decay=1e-4))
    """

    terms = ("alignment", "uniformity")
    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "dim": checks.ints(),
        "align_weight": checks.numbers(least=0),
        "uniform_weight": checks.numbers(least=0),
        "power": checks.numbers(above=0),
        "scale": checks.numbers(above=0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        dim=128,
        align_weight=1.0,
        uniform_weight=1.0,
        power=2.0,
        scale=2.0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.dim, self.align_weight, self.uniform_weight = dim, align_weight, uniform_weight
        self.power, self.scale = power, scale
        self.projector = heads.linear(encoder.output_shape[-1], dim, name="projector")

    def objective(self, views):
        features = self.encoder(together(views), training=True)  # (2 * batch, features)
        first, second = ops.split(self.projector(features, training=True), 2)  # (batch, dim) each
        align = alignment(first, second, self.power)
        uniform = (uniformity(first, self.scale) + uniformity(second, self.scale)) / 2
        loss = self.align_weight * align + self.uniform_weight * uniform
        return {"loss": loss, "alignment": align, "uniformity": uniform}
