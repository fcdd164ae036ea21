r"""i-Mix over MoCo: A Domain-Agnostic Strategy for Contrastive Representation Learning (Lee et al., 2020).

https://arxiv.org/abs/2010.08887

Objective:
    \mathcal{L} = \frac{1}{N} \sum_{i=1}^{N} \left( \lambda_i H_i(i) + (1 - \lambda_i) H_i(m_i) \right), \quad H_i(j)
    = -\log \frac{\exp(q_i \cdot k_j / \tau)}{\sum_n \exp(q_i \cdot k_n / \tau) + \sum_{n \in Q} \exp(q_i \cdot n /
    \tau)}
    where $q_i$ is the query of the mixture of image $i$, of a share $\lambda_i$, and image $m_i$; $k$ are the keys
    of the batch and $Q$ is the queue.

Flow:
    view 1 -> mixing -> encoder -> head -> N-pair contrast
    view 2 ~> key encoder ~> N-pair contrast
    queue ~> N-pair contrast
    head ~EMA~> key encoder

Take it when IMix is wanted with small batches.

Leave it when the run is short: queue and mixing both pay off late.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.image.mixing import CutMix, InputMix, MixUp, mix_views
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import n_pair
from keras_ssl.methods.contrastive.moco_v1 import MoCoV1


@keras.saving.register_keras_serializable("keras_ssl")
class IMixMoCo(MoCoV1):
    """A query that is mixed of two images finds the keys of both, each by its share, in the batch and the queue.

    The keys are those of unmixed images, and the other keys of the batch are negatives too: the partner's is among
    them. With `alpha=0` it is MoCo v2 with these further negatives. The authors' head for CIFAR has a batch
    normalization, `head_norm=True`; the one for ImageNet has none.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f_q).
        augment: layer from images to two views; `keras_ssl.augment.imix`; on ImageNet `moco_v2`.
        alpha: float from 0, the shares are from the beta distribution (alpha, alpha), the larger part for the image
            itself (1).
        cutmix: whether a rectangle is put in (on ImageNet), one for the batch, or all pixels are mixed (MixUp), with a
            share for each image.
        hidden: int, units of the head's hidden layer (2048).
        temperature: float > 0 (tau, 0.2).
        input_mix: int, how many further images are mixed into each image of both views before, without their labels:
            see `keras_ssl.augment.InputMix` (0; 2 where the authors have no other augmentation).
        **kwargs: the other arguments of `MoCoV1`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), batch_norm_groups=8)
    >>> model = keras_ssl.IMixMoCo(encoder, keras_ssl.augment.imix(32), hidden=512, head_norm=True, queue_size=4096)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.125, momentum=0.9, weight_decay=1e-4))
    """

    least_batch = 2

    bounds = {
        "alpha": checks.numbers(least=0),
        "cutmix": checks.flag(),
        "input_mix": checks.ints(0),
    }

    def __init__(
        self, encoder, augment=None, *, alpha=1.0, cutmix=False, hidden=2048, temperature=0.2, input_mix=0, **kwargs
    ):
        super().__init__(encoder, augment, hidden=hidden, temperature=temperature, **kwargs)
        self.alpha, self.cutmix, self.input_mix = alpha, cutmix, input_mix
        self.mixing = (CutMix if cutmix else MixUp)(alpha, dominant=True)
        self.draws = keras.random.SeedGenerator()
        self.input_mixing = InputMix(input_mix) if input_mix else None

    def objective(self, views):
        if self.input_mix:
            rows = ops.shape(views[0])[0]
            views = mix_views(self.input_mixing, views, local_seeds(self.draws, rows))
        return super().objective(views)

    def contrast(self, query_view, key_view, queue):
        rows = ops.shape(query_view)[0]
        mixed, partner, share = self.mixing(query_view, local_seeds(self.draws, rows))
        queries = self.query_encoder(mixed, training=True)  # (batch, dim)
        keys = ops.stop_gradient(self.keys(key_view))  # (batch, dim)
        loss = n_pair(queries, keys, self.temperature, queue, partner, share)
        return loss, ops.normalize(ops.cast(keys, "float32"), axis=-1)
