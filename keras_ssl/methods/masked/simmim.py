r"""SimMIM: A Simple Framework for Masked Image Modeling (Xie, Zhang, Cao, Lin, Bao, Yao, Dai, Hu, 2021).

https://arxiv.org/abs/2111.09886

Objective:
    \mathcal{L} = \frac{1}{|M|} \sum_{i \in M} \operatorname{mean}_d |p_{id} - t_{id}|
    where $M$ are the hidden pixels, $p$ their prediction and $t$ their true values.

Flow:
    image -> patches, mask tokens where hidden -> encoder -> one linear layer -> error of the hidden pixels

Take it when a Swin transformer is trained: it cannot leave patches out, as MAE does.

Leave it when the encoder is a plain ViT: MAE leaves the hidden patches out and is faster.
"""

import math

import keras
from keras import ops

from keras_ssl.augment.image.masks import RandomMask, enlarge
from keras_ssl.augment import unpatchify
from keras_ssl.augment.places import flat
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import MaskToken, patch_grid, vit_stages
from keras_ssl.losses import masked_error, patch_pixels, plain_pixels, standard_pixels
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class SimMIM(Method):
    """The encoder sees all patches, a mask token in place of the hidden ones, and one layer predicts their pixels.

    Squares of `unit` pixels are hidden, larger than a patch: the pixels between two visible patches are easy to guess.
    The loss is the mean absolute error over the hidden pixels. As no patch is dropped, hierarchical encoders train as
    vision transformers do. The paper's ViT has relative positions; here it has those of the given encoder.

    Args:
        encoder: `keras_ssl.encoders.swin`, or `vit` with a known `input_shape`, best with `pooling="mean"`: the
            prediction does not read the class token.
        augment: layer from images to one view; `keras_ssl.augment.simmim`.
        ratio: float in (0, 1), the part of the units that is hidden, rounded up to whole ones (0.6).
        unit: int, side of a hidden square in pixels (32, for images of 192 or 224); a multiple of the patch that
            divides the image. For 32 pixels 8.

    Raises:
        ValueError: the encoder has no such stages or no fixed size, the unit does not fit the patches and the image,
            or all or none would be hidden.

    Example:

    >>> encoder = keras_ssl.encoders.swin((32, 32, 3), 2, width=32, depths=(2, 2, 2), heads=(2, 4, 8), window=4)
    >>> model = keras_ssl.SimMIM(encoder, keras_ssl.augment.simmim(32), unit=8)
    >>> rate = keras_ssl.optimizers.warmup_cosine(5e-4, steps=10000, warmup=500)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(rate, weight_decay=0.05, global_clipnorm=5.0))
    """

    view_counts = (1, 1)

    def __init__(self, encoder, augment=None, *, ratio=0.6, unit=32, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.ratio, self.unit = ratio, unit
        self.stages = vit_stages(encoder)
        self.grid, self.patch = patch_grid(encoder)
        self.mask = square_mask(self.grid, self.patch, ratio, unit)
        self.mask_token = MaskToken(self.stages.patches.output_shape[-1], decays=False, name="mask_token")
        height, width, channels = encoder.input_shape[1:]
        self.outputs = output_grid(self.stages.blocks.output_shape, self.grid)  # a ViT's are the patches
        self.cell = height // self.outputs[0], width // self.outputs[1]  # the pixels that an output predicts
        self.head = keras.layers.Dense(math.prod(self.cell) * channels, name="head")
        self.head.build((None, None, self.stages.blocks.output_shape[-1]))
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        (images,) = views
        rows = ops.shape(images)[0]
        masks = self.mask(images, local_seeds(self.draws, rows), training=True)  # (batch, rows, columns)
        prediction = patch_pixels(self.predictions(images, masks), 1)  # (batch, pixels, channels)
        target = patch_pixels(standard_pixels(images), 1)
        return masked_error(prediction, target, flat(enlarge(masks, self.patch)), power=1)

    def predictions(self, images, masks, training=True):
        """What the head makes of all pixels, `(batch, height, width, channels)`, standardized."""
        patches, positions, blocks = self.stages
        tokens = blocks(positions(self.mask_token(patches(images), masks)), training=training)
        count = math.prod(self.outputs)
        if len(tokens.shape) == 3:
            tokens = tokens[:, -count:]  # without a class token
        pixels = ops.reshape(self.head(tokens), (-1, count, self.head.units))
        return unpatchify(pixels, self.cell, self.outputs)

    def reconstruct(self, images, seed=0):
        """What the model makes of images of which it sees a part.

        The hidden pixels are the model's prediction; the visible ones are those of the image. No state moves.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.
            seed: int, draws the masks; the model's training draws others.

        Returns:
            two NumPy arrays: the masks `(batch, rows, columns)` of patches, True where hidden, and the images, float32
            of 0..255.
        """
        images = ops.convert_to_tensor(images)
        numbers = ops.arange(images.shape[0], dtype="int32")
        masks = self.mask(images, ops.stack([numbers, ops.full_like(numbers, seed)], axis=1), training=True)
        found = ops.clip(plain_pixels(self.predictions(images, masks, training=False)), 0.0, 255.0)
        found = ops.where(enlarge(masks, self.patch)[..., None], found, ops.cast(images, "float32"))
        return ops.convert_to_numpy(masks), ops.convert_to_numpy(found)


def output_grid(shape, grid):
    """The places `(rows, columns)` that the encoder ends with: of its map, or the patches where it gives tokens."""
    return shape[1:3] if len(shape) == 4 else grid


def square_mask(grid, patch, ratio, unit):
    if not isinstance(unit, int) or unit < 1 or unit % patch or any(side * patch % unit for side in grid):
        raise ValueError(
            "unit must be an int of pixels, a multiple of the patch that divides height and width. "
            f"Received: unit={unit}, with patches of {patch} and images of {grid[0] * patch} x {grid[1] * patch} pixels"
        )
    mask = RandomMask(grid, ratio, unit=unit // patch) if isinstance(ratio, (int, float)) and 0 < ratio < 1 else None
    if mask is None or mask.masked == math.prod(grid):
        raise ValueError(
            "ratio must be a float above 0 and below 1 that leaves at least one unit visible. Received: "
            f"ratio={ratio}, with {math.prod(grid) * patch**2 // unit**2} units"
        )
    return mask
