r"""MaskFeat: Masked Feature Prediction for Self-Supervised Visual Pre-Training (Wei et al., 2021).

https://arxiv.org/abs/2112.09133

Objective:
    \mathcal{L} = \frac{1}{|M|} \sum_{i \in M} \operatorname{mean}_d (p_{id} - h_{id})^2
    where $M$ are the hidden patches, $p$ their prediction, and $h$ the histograms of gradients (HOG) of their cells.

Flow:
    image -> patches, mask tokens where hidden -> encoder -> one linear layer -> error of the hidden patches
    image ~> histograms of gradients ~> error of the hidden patches

Take it when pixels are too fine a target and a tokenizer is one training too many: the target is a fixed, old feature.

Leave it when frozen features are what counts: this is for fine-tuning.
"""

import math

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.places import flat
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import MaskToken, patch_grid, vit_stages
from keras_ssl.losses import histograms_of_gradients, masked_error
from keras_ssl.method import Method
from keras_ssl.methods.masked.beit import block_mask


@keras.saving.register_keras_serializable("keras_ssl")
class MaskFeat(Method):
    """The encoder sees a mask token in place of blocks of patches, and one layer predicts how the slopes there run.

    The target of a patch are the histograms of the directions of the slopes in its cells, two along each side, channel
    by channel, weighted by a Gaussian over the patch: 108 numbers of 3 channels. Each image hides exactly as many
    patches, where the authors hide at most so many. A block has 16 patches of 14 x 14 at least, theirs 15.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape`, with a class token or none, and a patch of an even
            number of pixels.
        augment: layer from images to one view; `keras_ssl.augment.mask_feat`.
        ratio: float in (0, 1), the part of the patches that is hidden, rounded up to whole ones (78 of 196).
        bins: int >= 1, directions of a histogram (9).
        cells: int >= 1 that divides the patch, cells along its side (2).

    Raises:
        ValueError: the encoder has no such stages or no fixed size, `cells` does not divide its patch, or all or no
            patches would be hidden.

    Example:

    >>> encoder = keras_ssl.encoders.vit_tiny((32, 32, 3), patch=4, positions="learned")
    >>> model = keras_ssl.MaskFeat(encoder, keras_ssl.augment.mask_feat(32))
    >>> rate = keras_ssl.optimizers.warmup_cosine(8e-4, steps=10000, warmup=1000)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(rate, weight_decay=0.05, global_clipnorm=0.02))
    """

    view_counts = (1, 1)
    bounds = {"bins": checks.ints(), "cells": checks.ints()}

    def __init__(self, encoder, augment=None, *, ratio=78 / 196, bins=9, cells=2, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.ratio, self.bins, self.cells = ratio, bins, cells
        self.stages = vit_stages(encoder)
        self.grid, self.patch = patch_grid(encoder)
        if self.patch % cells:
            raise ValueError(f"cells must divide the encoder's patch of {self.patch} pixels. Received: cells={cells}")
        self.mask = block_mask(self.grid, ratio)
        self.mask_token = MaskToken(self.stages.patches.output_shape[-1], decays=False, name="mask_token")
        start = keras.initializers.TruncatedNormal(stddev=0.02)
        self.head = keras.layers.Dense(cells**2 * encoder.input_shape[-1] * bins, kernel_initializer=start, name="head")
        self.head.build((None, None, self.stages.blocks.output_shape[-1]))
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        (images,) = views
        masks = self.mask(images, local_seeds(self.draws, ops.shape(images)[0]), training=True)
        return masked_error(self.predictions(images, masks), self.targets(images), flat(masks))

    def predictions(self, images, masks, training=True):
        """What the head makes of all patches, `(batch, patches, numbers)`."""
        patches, positions, blocks = self.stages
        tokens = blocks(positions(self.mask_token(patches(images), masks)), training=training)
        return self.head(tokens[:, -math.prod(self.grid) :])  # without a class token

    def targets(self, images):
        """The histograms of all patches, `(batch, patches, cells * cells * channels * bins)`, cells row by row."""
        rows, columns, cells = *self.grid, self.cells
        (found,) = histograms_of_gradients(images, (self.patch // cells,), self.bins, window=self.patch)
        found = ops.reshape(found, (-1, rows, cells, columns, cells, found.shape[-1]))
        return ops.reshape(ops.swapaxes(found, 2, 3), (-1, rows * columns, self.head.units))
