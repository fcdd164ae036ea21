r"""i-Mix over BYOL: A Domain-Agnostic Strategy for Contrastive Representation Learning (Lee et al., 2020).

https://arxiv.org/abs/2010.08887

Objective:
    \mathcal{L} = \sum_{(a, b)} \operatorname{mean}_i \left( 2 - 2 \lambda_i \cos(p_{a,i}, t_{b,i}) - 2 (1 -
    \lambda_i) \cos(p_{a,i}, t_{b,m_i}) \right)
    where $p_{a,i}$ is the prediction for the mixture of image $i$, of a share $\lambda_i$, and image $m_i$; $t_b$
    are the target's projections of the other views, and $(a, b)$ is $(1, 2)$ and $(2, 1)$.

Flow:
    view 1 -> mixing -> encoder -> projector -> predictor -> distance, both ways
    view 2 ~> target network ~> distance, both ways
    projector ~EMA~> target network

Take it when BYOL is wanted with weak knowledge of good views.

Leave it when BYOL alone has not been tried: it has fewer parts.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute
from keras_ssl.augment.image.mixing import CutMix, InputMix, MixUp, mix_views
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import mixed_cosine_regression
from keras_ssl.methods.distillation.byol import BYOL


@keras.saving.register_keras_serializable("keras_ssl")
class IMixBYOL(BYOL):
    """The online network sees an image mixed of two and predicts what the target makes of both, each by its share.

    Only the online network's views are mixed so. With `alpha=0` it is `BYOL`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f).
        augment: layer from images to two views; `keras_ssl.augment.imix`, or `byol`.
        alpha: float from 0, the shares are from the beta distribution (alpha, alpha), the larger part for the image
            itself (1).
        cutmix: whether a rectangle is put in, one for the batch, or all pixels are mixed (MixUp), with a share for each
            image.
        input_mix: int, how many further images are mixed into each image of both views before, without their labels:
            see `keras_ssl.augment.InputMix` (0; 2 where the authors have no other augmentation).
        **kwargs: the other arguments of `BYOL`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3))
    >>> model = keras_ssl.IMixBYOL(encoder, keras_ssl.augment.imix(32), steps=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.LARS(1.0, weight_decay=1e-5))
    """

    bounds = {
        "alpha": checks.numbers(least=0),
        "cutmix": checks.flag(),
        "input_mix": checks.ints(0),
    }

    def __init__(self, encoder, augment=None, *, alpha=1.0, cutmix=False, input_mix=0, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.alpha, self.cutmix, self.input_mix = alpha, cutmix, input_mix
        self.mixing = (CutMix if cutmix else MixUp)(alpha, dominant=True)
        self.draws = keras.random.SeedGenerator()
        self.input_mixing = InputMix(input_mix) if input_mix else None

    def objective(self, views):
        if self.input_mix:
            rows = ops.shape(views[0])[0]
            views = mix_views(self.input_mixing, views, local_seeds(self.draws, rows))
        return super().objective(views)

    def regress(self, view, onto):
        rows = ops.shape(view)[0]
        mixed, partner, share = self.mixing(view, local_seeds(self.draws, rows))
        prediction = self.predictor(self.online(mixed, training=True), training=True)  # (batch, dim)
        target = self.target(onto, training=True)  # (batch, dim)
        others = ops.take(distribute.gather(target, gradient=False), partner, axis=0)
        return mixed_cosine_regression(prediction, target, others, share)
