r"""SimCLR: A Simple Framework for Contrastive Learning of Visual Representations (Chen et al., 2020).

https://arxiv.org/abs/2002.05709

Objective:
    \mathcal{L} = -\frac{1}{2N} \sum_{i=1}^{2N} \log \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{j \ne i} \exp(z_i \cdot
    z_j / \tau)}
    where $z$ are the unit embeddings of the $2N$ views of the batch and $p$ is the other view of the image of $i$.

Flow:
    view 1 -> encoder -> projector -> NT-Xent
    view 2 -> encoder

Take it when you make a first run on new images, with batches of at least 128: it has two arguments and no teacher,
    and gives good features within minutes.

Leave it when batches must be small (MoCoV2, DecoupledContrastive), or many pairs of images show the same thing
    (BYOL, VICReg).
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.inputs import together
from keras_ssl.losses import nt_xent
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class SimCLR(Method):
    """Two views of an image attract each other and repel all other views of the batch.

    Both views go through the encoder in one call, as in the authors' code: batch normalization mixes their
    statistics. The authors' code, unlike the paper, normalizes the output of the projector too; so does this one.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.simclr`.
        hidden: int, units of the projector's hidden layer; None for the size of the features, as in the paper.
        dim: int, size of the embedding (128).
        temperature: float > 0 (tau; 0.1 on ImageNet, 0.5 on CIFAR-10).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.SimCLR(encoder, keras_ssl.augment.simclr_cifar(32), temperature=0.5)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-4))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(optional=True),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
    }

    def __init__(self, encoder, augment=None, *, hidden=None, dim=128, temperature=0.1, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.temperature = hidden, dim, temperature
        features = encoder.output_shape[-1]
        self.projector = heads.mlp(
            features, hidden or features, dim, output_norm=heads.batch_normalization(center=False), name="projector"
        )

    def objective(self, views):
        features = self.encoder(together(views), training=True)  # (2 * batch, features)
        first, second = ops.split(self.projector(features, training=True), 2)  # (batch, dim) each
        return nt_xent(first, second, self.temperature)
