r"""FlatNCE: Simpler, Faster, Stronger: Breaking The log-K Curse On Contrastive Learners (Chen et al., 2021).

https://arxiv.org/abs/2107.01152

Objective:
    \mathcal{L} = \frac{1}{2N} \sum_{i=1}^{2N} \exp(v_i - \operatorname{sg}(v_i)), \quad v_i = \log \sum_n
    \exp((s_{in} - s_{ip}) / \tau)
    where $s$ are cosines, $p$ is the other view of the image of $i$, $n$ runs over the views of other images, and sg
    stops the gradient.

Flow:
    view 1 -> encoder -> projector -> FlatNCE
    view 2 -> encoder

Take it when SimCLR is wanted with small batches, and its own loss is to be seen in the log.

Leave it when you can take DecoupledContrastive: the gradient is the same.
"""

import keras
from keras import ops

from keras_ssl.inputs import together
from keras_ssl.losses import flat_nce, nt_xent
from keras_ssl.methods.contrastive.simclr import SimCLR


@keras.saving.register_keras_serializable("keras_ssl")
class FlatNCE(SimCLR):
    """SimCLR with a gradient that does not fade where the partner is nearly found, as it does in small batches.

    The loss of the paper is always 1, so nothing could be read from it. As in the authors' code, the value that is
    logged is that of NT-Xent, the loss of SimCLR; the gradient is that of FlatNCE. The authors' head has no batch
    normalization; this one is that of `SimCLR`. The negatives are those of the batch: `losses.flat_nce` takes no queue.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.simclr`.
        **kwargs: the other arguments of `SimCLR`; the temperature is 0.1.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.FlatNCE(encoder, keras_ssl.augment.simclr_cifar(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(0.6, weight_decay=1e-6))
    """

    def objective(self, views):
        features = self.encoder(together(views), training=True)  # (2 * batch, features)
        first, second = ops.split(self.projector(features, training=True), 2)  # (batch, dim) each
        shown = nt_xent(ops.stop_gradient(first), ops.stop_gradient(second), self.temperature)
        return flat_nce(first, second, self.temperature) - 1.0 + shown
