"""MoCo v2: Improved Baselines with Momentum Contrastive Learning (Chen, Fan, Girshick, He, 2020).

https://arxiv.org/abs/2003.04297

Take it when memory or batches are small: the negatives come from a queue, so the batch may be 32.

Leave it when batches are large anyway: SimCLR learned faster in our short runs.
"""

import keras

from keras_ssl.methods.contrastive.moco_v1 import MoCoV1


@keras.saving.register_keras_serializable("keras_ssl")
class MoCoV2(MoCoV1):
    """MoCo with a head of two layers, a higher temperature, stronger views (blur) and a cosine schedule.

    With `hidden=0`, `temperature=0.07` and `augment=keras_ssl.augment.moco_v1(size)` it is `MoCoV1`.

    Args:
        encoder: `keras.Model` from images to features `(batch, dim)` (f_q).
        augment: layer from images to two views; `keras_ssl.augment.moco_v2`.
        hidden: int, units of the head's hidden layer (2048).
        temperature: float > 0 (tau, 0.2).
        **kwargs: the other arguments of `MoCoV1`.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), batch_norm_groups=8)
    >>> model = keras_ssl.MoCoV2(encoder, keras_ssl.augment.moco_cifar(32), hidden=512, queue_size=4096, momentum=0.99)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=5e-4))
    """

    def __init__(self, encoder, augment=None, *, hidden=2048, temperature=0.2, **kwargs):
        super().__init__(encoder, augment, hidden=hidden, temperature=temperature, **kwargs)
