r"""CPCv2: Data-Efficient Image Recognition with Contrastive Predictive Coding (Henaff et al., 2019).

https://arxiv.org/abs/1905.09272

Flow:
    patches, each changed by itself -> encoder -> grid of features
    grid of features -> contexts of four directions -> one prediction a step -> InfoNCE
    grid of features -> targets -> InfoNCE

Take it when `CPC` fits and there is compute for an encoder of every patch and for four context networks: it learns much
    more from the same images.

Leave it when single patches say little, as in small images, or when a run of minutes must do.
"""

import keras

from keras_ssl.methods.predictive.cpc import CPC


@keras.saving.register_keras_serializable("keras_ssl")
class CPCv2(CPC):
    """`CPC` in four directions, from larger patches that are augmented each by itself, with layer normalization.

    Each step from `CPC` to it is a switch of its own. In the order of the paper: a larger encoder; `directions=2`,
    which predicts upwards too; an encoder with layer normalization (`keras_ssl.encoders.with_layer_norm`); patches that
    keep one of their colors (`keras_ssl.augment.ChannelDrop`); `directions=4`, which predicts to both sides too; larger
    patches (`patch=80`, `stride=36`, `grid=6`); and `keras_ssl.augment.PerPatch` of any further layers. With all of
    them off it is `CPC`, number by number.

    Args:
        encoder: see `CPC`.
        augment: as with `CPC`, with a `keras_ssl.augment.PerPatch` behind the `keras_ssl.augment.PatchGrid`.
        grid: int (6, of 260 pixels).
        patch: int, pixels (80).
        stride: int, pixels (36).
        directions: int, 1, 2 or 4 (4).

    Example:

    >>> encoder = keras_ssl.encoders.with_layer_norm(keras_ssl.encoders.resnet18((None, None, 3), stem="cifar"))
    >>> layers = [
    ...     keras_ssl.augment.RandomResizedCrop(30, scale=(0.6, 1.0), flip=0.5),
    ...     keras_ssl.augment.PatchGrid(5, 10, stride=5),
    ...     keras_ssl.augment.PerPatch(keras_ssl.augment.ChannelDrop(keep=1, p=0.5)),
    ... ]
    >>> model = keras_ssl.CPCv2(encoder, keras_ssl.augment.View(layers), grid=5, patch=10, stride=5)
    >>> model.compile(optimizer=keras.optimizers.Adam(4e-4, beta_1=0.8))
    """

    def __init__(self, encoder, augment=None, *, grid=6, patch=80, stride=36, directions=4, **kwargs):
        super().__init__(
            encoder, augment, grid=grid, patch=patch, stride=stride, directions=directions, **kwargs
        )
