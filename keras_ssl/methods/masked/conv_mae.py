"""ConvMAE: Masked Convolution Meets Masked Autoencoders (Gao, Ma, Li, Lin, Dai, Qiao, 2022).

https://arxiv.org/abs/2205.03892

Flow:
    image -> visible patches -> masked convolutions -> transformer -> decoder -> error of the hidden pixels
    mask tokens -> decoder

Take it when maps of several scales are wanted for detection or segmentation.

Leave it when features of a whole image are enough: MAE is faster.
"""

import keras
from keras import ops

from keras_ssl.augment.places import select
from keras_ssl.encoders.conv_vit import conv_vit_stages
from keras_ssl.methods.masked.mae import MAE


@keras.saving.register_keras_serializable("keras_ssl")
class ConvMAE(MAE):
    """MAE of a pyramid: convolutions, then a transformer on the visible patches.

    One mask over the patches of the transformer, enlarged to the finer maps of the convolutional stages, keeps what is
    hidden out of every convolution, so that nothing of it leaks to visible places. What the early stages found is
    added to the transformer's tokens at the end.

    Args:
        encoder: `keras_ssl.encoders.conv_vit` with a known `input_shape`.
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        ratio: float in (0, 1), the part of the patches that is hidden, rounded up to whole patches (0.75).
        width: int, size of the decoder's tokens, a multiple of 4 and of `heads` (512).
        depth: int, blocks of the decoder (8).
        heads: int, heads of the decoder's attention (16).
        normalize: whether each patch of the target is normalized by its own mean and deviation.

    Raises:
        ValueError: the encoder is no `conv_vit` of a known size, or no patch would stay, or none be hidden.

    Example:

    >>> encoder = keras_ssl.encoders.conv_vit((32, 32, 3), (1, 2, 2), width=(32, 64, 128), depth=(1, 1, 4), heads=4)
    >>> model = keras_ssl.ConvMAE(encoder, keras_ssl.augment.mae(32), width=64, depth=2, heads=4)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.05, beta_2=0.95))
    """

    def stages_of(self, encoder):
        return conv_vit_stages(encoder)

    def latents(self, images, masks, visible, training=True):
        patches, positions, blocks = self.stages
        maps, early = patches([images, ops.cast(~masks, "float32")[..., None]])  # (batch, rows, columns, width) each
        early = ops.reshape(early, (-1, early.shape[1] * early.shape[2], early.shape[3]))
        return blocks([select(positions(maps), visible), select(early, visible)], training=training)
