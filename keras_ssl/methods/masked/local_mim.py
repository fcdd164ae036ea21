r"""LocalMIM: Masked Image Modeling with Local Multi-Scale Reconstruction (Wang, Tang, Wang, Guo, Deng, Han, 2023).

https://arxiv.org/abs/2303.05251

Objective:
    \mathcal{L} = \sum_l \frac{1}{|M_l|} \sum_{i \in M_l} \operatorname{mean}_d (p_{lid} - h_{lid})^2
    where $l$ runs over the blocks that predict, $M_l$ are the hidden cells of its scale, and $h$ the histograms of
    gradients of a cell.

Flow:
    image -> visible patches -> lower blocks -> upper blocks -> coarse decoders -> error of the hidden cells
    lower blocks -> fine decoders -> error of the hidden cells

Take it when MAE's training should get to good lower layers sooner.

Leave it when the transformer has few blocks: at least seven are needed for the paper's choice.
"""

import math

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.image.masks import enlarge
from keras_ssl.augment.places import flat, partition
from keras_ssl.checks import check_numbers
from keras_ssl.encoders import patch_grid, vit_stages
from keras_ssl.encoders.vit import has_class_token
from keras_ssl.losses import histograms_of_gradients, masked_error, patch_pixels, standard_pixels
from keras_ssl.method import Method
from keras_ssl.methods.masked.mae import (
    MaskedDecoder,
    draw_masks,
    paste,
    random_mask,
    still_masks,
    visible_tokens,
)
from keras_ssl.methods.masked.taps import check_taps, depth_of, tapped


@keras.saving.register_keras_serializable("keras_ssl")
class LocalMIM(Method):
    """Blocks at several depths of MAE's encoder predict what is hidden, the lower ones in finer detail.

    Each of them has a small decoder of its own. The target is the histogram of the directions of the slopes (HOG) in
    cells of one size a block. The loss is the sum of the masked errors, logged as `block2` and so on. A cell that is
    larger than a patch counts by the part of it that is hidden.

    Slopes below 0.01 gray levels count as none: of flat areas the authors' code takes the rounding errors for
    directions.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape` and fixed positions.
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        taps: ints, the blocks that predict, counted from 1, up to the last; None for the paper's `(2, 4, depth - 2,
            depth)`, for which there are at least 7 blocks.
        scales: numbers, one per tap, cells along the side of a patch: 1, 2, 4, ..., or 1/2 and so on for cells of
            several patches (4, 2, 1, 0.5).
        bins: int, directions of the histogram (9; 18 for ViT-L). None: the pixels of each cell, normalized by their
            own mean and deviation.
        ratio: float in (0, 1), the part of the patches that is hidden, rounded up to whole patches (0.75).
        width: int, size of the decoders' tokens, a multiple of 4 and of `heads` (256).
        depth: int, blocks of each decoder (1).
        heads: int, heads of the decoders' attention (8).

    Raises:
        ValueError: the encoder is no `vit` of a known size, or taps, scales and patches do not fit together.

    Example:

    >>> encoder = keras_ssl.encoders.vit((32, 32, 3), patch=4, width=128, depth=6, heads=4)
    >>> taps, scales = (1, 2, 4, 6), (2, 2, 1, 0.5)
    >>> views = keras_ssl.augment.mae(32)
    >>> model = keras_ssl.LocalMIM(encoder, views, taps=taps, scales=scales, width=64, heads=4)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.05, beta_2=0.95))
    """

    bounds = {
        "bins": checks.ints(optional=True),
        "width": checks.ints(),
        "depth": checks.ints(0),
        "heads": checks.ints(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        taps=None,
        scales=(4, 2, 1, 0.5),
        bins=9,
        ratio=0.75,
        width=256,
        depth=1,
        heads=8,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.taps, self.scales, self.bins, self.ratio = taps, scales, bins, ratio
        self.width, self.depth, self.heads = width, depth, heads
        self.stages = vit_stages(encoder)
        self.grid, self.patch = patch_grid(encoder)
        self.mask = random_mask(self.grid, ratio)
        blocks = self.stages.blocks
        last = depth_of(blocks)
        taps = check_taps((2, 4, last - 2, last) if taps is None else taps, blocks)
        self.cells = check_scales(scales, taps, self.grid, self.patch)
        self.blocks = tapped(blocks, taps)
        size, channels = blocks.output_shape[-1], encoder.input_shape[-1]
        # The last block's is the encoder's own.
        self.norms = [norm(size) for _ in taps[:-1]]
        self.decoders = [
            MaskedDecoder(size, self.grid, width, depth, heads, None, has_class_token(self.stages)) for _ in taps
        ]
        self.heads_of_taps = [
            rescaled(width, self.grid, scale, channels * (cell**2 if bins is None else bins))
            for scale, cell in zip(scales, self.cells)
        ]
        self.terms = tuple(f"block{tap}" for tap in taps)
        self.track(*self.terms)
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        images = views[0]
        masks = draw_masks(self, images)  # (batch, rows, columns)
        errors = [
            masked_error(prediction, target, flat(rescaled_mask(masks, scale)))
            for prediction, target, scale in zip(self.predictions(images, masks), self.targets(images), self.scales)
        ]
        return {"loss": sum(errors), **dict(zip(self.terms, errors))}

    def predictions(self, images, masks, training=True):
        """What each tap makes of each of its cells, `(batch, cells, numbers)`."""
        visible, _, restore = partition(masks, self.mask.masked)
        latents = self.blocks(visible_tokens(self.stages, images, visible), training=training)
        latents = keras.tree.flatten(latents)  # one tap alone comes without a list
        latents = [*(norm(x) for norm, x in zip(self.norms, latents)), latents[-1]]
        decoded = [decoder(x, restore, training=training) for decoder, x in zip(self.decoders, latents)]
        return [head(x, training=training) for head, x in zip(self.heads_of_taps, decoded)]

    def targets(self, images):
        if self.bins is None:
            return [patch_pixels(standard_pixels(images), cell, normalize=True) for cell in self.cells]
        return histograms_of_gradients(images, self.cells, self.bins)

    def reconstruct(self, images, seed=0):
        """What the last block makes of images of which it sees a part, in its cells; for `bins=None`.

        The hidden patches are the prediction, with the true mean and deviation of each cell; the visible ones are
        those of the image. No state moves.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.
            seed: int, draws the masks; the model's training draws others.

        Returns:
            two NumPy arrays: the masks `(batch, rows, columns)`, True where hidden, and the images, float32 of 0..255.

        Raises:
            ValueError: the model predicts directions of slopes, which make no image.
        """
        if self.bins is not None:
            raise ValueError(
                "LocalMIM predicts histograms of the directions of slopes, which make no image: only a model with "
                f"bins=None reconstructs. Received: bins={self.bins}"
            )
        images = ops.convert_to_tensor(images)
        masks = still_masks(self, images, seed)
        return paste(images, masks, self.predictions(images, masks, training=False)[-1], self.cells[-1], True)


def rescaled_mask(masks, scale):
    """What part of each cell is hidden, `(batch, rows * scale, columns * scale)`."""
    if scale >= 1:
        return enlarge(masks, int(scale))
    factor, (rows, columns) = round(1 / scale), masks.shape[1:]
    parts = ops.reshape(ops.cast(masks, "float32"), (-1, rows // factor, factor, columns // factor, factor))
    return ops.mean(parts, axis=(2, 4))


def rescaled(inputs, grid, scale, outputs):
    """From the tokens of a decoder to vectors for cells that are `scale` times as fine."""
    layers = [keras.Input((grid[0] * grid[1], inputs)), keras.layers.Reshape((*grid, inputs))]
    if scale < 1:
        layers.append(keras.layers.AveragePooling2D(round(1 / scale)))
    for i in range(int(math.log2(scale)) if scale > 1 else 0):
        layers += [norm(inputs >> i), keras.layers.Activation("gelu")] if i else []
        layers.append(keras.layers.Conv2DTranspose(inputs >> (i + 1), 2, 2))
    layers += [keras.layers.Dense(outputs), keras.layers.Reshape((-1, outputs))]
    return keras.Sequential(layers, name="rescaled")


def norm(size):
    layer = keras.layers.LayerNormalization(epsilon=1e-6)
    layer.build((None, None, size))
    return layer


def check_scales(scales, taps, grid, patch):
    """The sides of the cells, in pixels."""
    if not isinstance(scales, (tuple, list)) or len(scales) != len(taps):
        raise ValueError(f"scales must be as many as taps. Received: scales={scales!r}, taps={taps}")
    for scale in scales:
        check_numbers(above=0, **{"Each of scales": scale})
        fine = scale >= 1 and scale in (1, 2, 4, 8, 16, 32) and patch % scale == 0
        coarse = 0 < scale < 1 and abs(1 / scale - round(1 / scale)) < 1e-6
        if not fine and not (coarse and not any(side % round(1 / scale) for side in grid)):
            raise ValueError(
                "scales must be 1, 2, 4, ... that divide the patch, or 1/2, 1/3, ... whose inverse divides the grid. "
                f"Received: scales={scales}, with patches of {patch} pixels on a grid of {grid}"
            )
    return [round(patch / scale) for scale in scales]
