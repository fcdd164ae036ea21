r"""i-Mix: A Domain-Agnostic Strategy for Contrastive Representation Learning (Lee et al., 2020).

https://arxiv.org/abs/2010.08887

Objective:
    \mathcal{L} = \frac{1}{N} \sum_{i=1}^{N} \left( \lambda_i H_i(i) + (1 - \lambda_i) H_i(m_i) \right), \quad H_i(j)
    = -\log \frac{\exp(q_i \cdot k_j / \tau)}{\sum_n \exp(q_i \cdot k_n / \tau)}
    where $q_i$ is the embedding of the mixture of image $i$, of a share $\lambda_i$, and image $m_i$; $k$ are those
    of the second views.

Flow:
    view 1 -> mixing -> encoder -> projector -> N-pair contrast
    view 2 -> encoder

Take it when there is little knowledge of good views: mixing works on any kind of input.

Leave it when small parts of an image carry its meaning: a mixture hides them.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.augment.image.mixing import CutMix, InputMix, MixUp, mix_views
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import n_pair
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class IMix(Method):
    """A first view that is mixed of two images finds the second views of both, each by its share.

    Every image of the batch is a class of its own, and these virtual labels are mixed as the images are. The contrast
    is that of N-pairs: one direction, both views through one network, in one call as in the authors' code. i-Mix over
    MoCo is `IMixMoCo`, over BYOL `IMixBYOL`. With `alpha=0` nothing is mixed. No image is its own partner; under the
    authors' permutation one of a batch is, on average. Their head for N-pairs has a second batch normalization,
    after the last layer.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.imix`.
        hidden: int, units of the projector's hidden layer; None for the size of the features, as in the paper.
        dim: int, size of the embedding (128).
        temperature: float > 0 (tau, 0.2).
        alpha: float from 0, the shares are from the beta distribution (alpha, alpha), the larger part for the image
            itself (1).
        cutmix: whether a rectangle is put in (on ImageNet), one for the batch, or all pixels are mixed (MixUp), with a
            share for each image.
        input_mix: int, how many further images are mixed into each image of both views before, without their labels:
            see `keras_ssl.augment.InputMix` (0; 2 where the authors have no other augmentation).

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.IMix(encoder, keras_ssl.augment.imix(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.125, momentum=0.9, weight_decay=1e-4))
    """

    view_counts = (2, 2)
    least_batch = 2

    bounds = {
        "hidden": checks.ints(optional=True),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
        "alpha": checks.numbers(least=0),
        "cutmix": checks.flag(),
        "input_mix": checks.ints(0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=None,
        dim=128,
        temperature=0.2,
        alpha=1.0,
        cutmix=False,
        input_mix=0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.hidden, self.dim, self.temperature, self.alpha, self.cutmix = hidden, dim, temperature, alpha, cutmix
        self.input_mix = input_mix
        features = encoder.output_shape[-1]
        self.projector = heads.mlp(features, hidden or features, dim, output_bias=True, name="projector")
        self.mixing = (CutMix if cutmix else MixUp)(alpha, dominant=True)
        self.draws = keras.random.SeedGenerator()
        self.input_mixing = InputMix(input_mix) if input_mix else None

    def objective(self, views):
        rows = ops.shape(views[0])[0]
        if self.input_mix:
            views = mix_views(self.input_mixing, views, local_seeds(self.draws, rows))
        first, second = views
        mixed, partner, share = self.mixing(first, local_seeds(self.draws, rows))
        images = ops.concatenate([mixed, ops.cast(second, mixed.dtype)])
        features = self.encoder(images, training=True)  # (2 * batch, features)
        queries, keys = ops.split(self.projector(features, training=True), 2)  # (batch, dim) each
        return n_pair(queries, keys, self.temperature, partner=partner, share=share)
