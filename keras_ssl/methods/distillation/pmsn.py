r"""PMSN: The Hidden Uniform Cluster Prior in Self-Supervised Learning (Assran et al., 2022).

https://arxiv.org/abs/2210.07277

Objective:
    \mathcal{L} = -\frac{1}{A} \sum_{a=1}^{A} \sum_k q_k \log p_{ak} + \lambda \operatorname{KL}(\bar{p} \,\|\, \pi),
    \quad \pi_k \propto k^{-\tau}
    where $q$ is the target's sharpened assignment of the whole view, $p_a$ that of a masked or small view, and
    $\bar{p}$ their mean over the batch.

Flow:
    whole view ~> target encoder ~> prototypes ~> cross-entropy
    masked views -> encoder -> head -> prototypes -> cross-entropy
    prototypes -> divergence from the prior
    head ~EMA~> target encoder

Take it when classes are far from balanced, as in nature: a few are common, most are rare.

Leave it when they are balanced, as in ImageNet: MSN's uniform prior is right there.
"""

import keras
import numpy as np

from keras_ssl import checks
from keras_ssl.losses import mean_entropy_gap
from keras_ssl.methods.distillation.msn import MSN


@keras.saving.register_keras_serializable("keras_ssl")
class PMSN(MSN):
    """MSN whose mean assignment follows a power law: a few prototypes have much, many have little.

    Which prototype has which rank is fixed from the start. Sinkhorn on the targets would make all equal again, so it is
    off; others keep it.

    Args:
        encoder: see `MSN`.
        augment: layer from images to a target view and anchors; `keras_ssl.augment.msn`.
        exponent: float >= 0 of the power law (tau, 0.25); with 0 it is `MSN` without Sinkhorn.
        iterations: int, of Sinkhorn on the targets; above 0 it works against the prior (0).
        **kwargs: the other arguments of `MSN`.

    Example:

    >>> options = {"patch": 4, "grid": 8, "positions": "learned", "initializer": "truncated_normal"}
    >>> encoder = keras_ssl.encoders.vit_tiny((None, None, 3), **options)
    >>> model = keras_ssl.PMSN(encoder, keras_ssl.augment.msn_cifar(32), prototype_count=256, steps=10000)
    >>> decay = keras_ssl.optimizers.cosine(0.04, 0.4, steps=10000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=decay, global_clipnorm=3.0))
    """

    bounds = {"exponent": checks.numbers(least=0)}

    def __init__(self, encoder, augment=None, *, exponent=0.25, iterations=0, **kwargs):
        super().__init__(encoder, augment, iterations=iterations, **kwargs)
        self.exponent = exponent

    def gap(self, scores):
        prior = power_law(self.prototype_count, self.exponent) if self.exponent else None
        return mean_entropy_gap(scores, self.temperature, prior)


def power_law(count, exponent):
    """float32 `(count,)` that sums to 1: the k-th in proportion to `k^-exponent`."""
    shares = np.arange(1, count + 1) ** -float(exponent)
    return (shares / shares.sum()).astype("float32")
