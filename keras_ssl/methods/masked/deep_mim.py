r"""DeepMIM: Deep Supervision for Masked Image Modeling (Ren, Wei, Albanie, Zhang, Hu, 2023).

https://arxiv.org/abs/2303.08817

Objective:
    \mathcal{L} = \sum_l \frac{1}{|M|} \sum_{i \in M} \operatorname{mean}_d (p_{lid} - t_{id})^2
    where $l$ runs over the blocks that predict, $M$ are the hidden patches, $p_l$ the prediction of the decoder of
    block $l$, and $t$ the true pixels.

Flow:
    image -> visible patches -> lower blocks -> upper blocks -> decoder -> error of the hidden pixels
    lower blocks -> further decoders -> error of the hidden pixels

Take it when features from the middle of a deep transformer are used.

Leave it when the transformer is shallow or time is short: each block that predicts has a decoder of its own.
"""

import math

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.places import flat, partition
from keras_ssl.encoders import patch_grid, vit_stages
from keras_ssl.encoders.vit import has_class_token
from keras_ssl.losses import masked_cosine, masked_error, patch_pixels, standard_pixels
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
class DeepMIM(Method):
    """MAE with decoders at several depths of the encoder, each of its own, that all predict the same.

    The loss is the sum of the decoders' masked errors, logged as `block6` and so on. With a `target`, a frozen model
    that sees the whole image, the error is the squared distance between the directions of the predicted and of the
    model's features, as with CLIP in the paper. The paper's targets that mix pixels with the reconstruction of an MAE
    that was trained before are left out.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape` and fixed positions.
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        taps: ints, the blocks that predict, counted from 1, up to the last; None for a half, two thirds, five sixths
            and all of them, the paper's (6, 8, 10, 12) of 12.
        ratio: float in (0, 1), the part of the patches that is hidden, rounded up to whole patches (0.75).
        width: int, size of the decoders' tokens, a multiple of 4 and of `heads` (512).
        depth: int, blocks of each decoder (4).
        heads: int, heads of the decoders' attention (16).
        normalize: whether each patch of the pixel target is normalized by its own mean and deviation.
        target: `keras.Model` from images of 0..255 to features of their patches, `(batch, patches, dim)` or
            `(batch, rows, columns, dim)` on the encoder's grid; a class token before them is dropped. It keeps its
            own preprocessing, and is frozen. None for pixels.

    Raises:
        ValueError: the encoder is no `vit` of a known size, the taps are no blocks of it, or the target has another
            grid.

    Example:

    >>> encoder = keras_ssl.encoders.vit((32, 32, 3), patch=4, width=128, depth=6, heads=4)
    >>> model = keras_ssl.DeepMIM(encoder, keras_ssl.augment.mae(32), width=64, depth=1, heads=4)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.05, beta_2=0.95))
    """

    bounds = {
        "width": checks.ints(),
        "depth": checks.ints(0),
        "heads": checks.ints(),
        "normalize": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        taps=None,
        ratio=0.75,
        width=512,
        depth=4,
        heads=16,
        normalize=True,
        target=None,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.taps, self.ratio, self.normalize = taps, ratio, normalize
        self.width, self.depth, self.heads = width, depth, heads
        self.stages = vit_stages(encoder)
        self.grid, self.patch = patch_grid(encoder)
        self.mask = random_mask(self.grid, ratio)
        self.target = freeze(target, self.grid)
        blocks = self.stages.blocks
        taps = check_taps(usual_taps(depth_of(blocks)) if taps is None else taps, blocks)
        self.blocks = tapped(blocks, taps)
        outputs = encoder.input_shape[-1] * self.patch**2 if target is None else target.output_shape[-1]
        size = blocks.output_shape[-1], self.grid, width, depth, heads, outputs, has_class_token(self.stages)
        self.decoders = [MaskedDecoder(*size) for _ in taps]
        self.terms = tuple(f"block{tap}" for tap in taps)
        self.track(*self.terms)
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        images = views[0]
        masks = draw_masks(self, images)  # (batch, rows, columns)
        error, targets = masked_error if self.target is None else masked_cosine, self.targets(images)
        errors = [error(prediction, targets, flat(masks)) for prediction in self.predictions(images, masks)]
        return {"loss": sum(errors), **dict(zip(self.terms, errors))}

    def predictions(self, images, masks, training=True):
        """What each decoder makes of each patch, `(batch, patches, numbers)`."""
        visible, _, restore = partition(masks, self.mask.masked)
        latents = self.blocks(visible_tokens(self.stages, images, visible), training=training)
        latents = keras.tree.flatten(latents)  # one tap alone comes without a list
        return [decoder(x, restore, training=training) for decoder, x in zip(self.decoders, latents)]

    def targets(self, images):
        if self.target is None:
            return patch_pixels(standard_pixels(images), self.patch, self.normalize)  # (batch, patches, numbers)
        features = self.target(images, training=False)
        features = ops.reshape(features, (-1, math.prod(features.shape[1:-1]), features.shape[-1]))
        return features[:, features.shape[1] - math.prod(self.grid) :]

    def reconstruct(self, images, seed=0):
        """What the last decoder makes of images of which the encoder sees a part; for the pixel target.

        The hidden patches are the prediction, with the true mean and deviation of each patch where the targets are
        normalized; the visible ones are those of the image. No state moves.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.
            seed: int, draws the masks; the model's training draws others.

        Returns:
            two NumPy arrays: the masks `(batch, rows, columns)`, True where hidden, and the images, float32 of 0..255.

        Raises:
            ValueError: the model predicts features, which make no image.
        """
        if self.target is not None:
            raise ValueError(
                "DeepMIM with a target predicts its features, which make no image: only a model with target=None "
                f"reconstructs. Received: target={self.target}"
            )
        images = ops.convert_to_tensor(images)
        masks = still_masks(self, images, seed)
        found = self.predictions(images, masks, training=False)[-1]
        return paste(images, masks, found, self.patch, self.normalize)


def usual_taps(last):
    """A half, two thirds, five sixths and all of the blocks; of few blocks some are the same."""
    return sorted({max(1, round(last * part)) for part in (1 / 2, 2 / 3, 5 / 6, 1)})


def freeze(target, grid):
    """The target without trainable weights, if it is a model of features on this grid."""
    if target is None:
        return None
    if not isinstance(target, keras.Model) or not target.built:
        raise ValueError(f"target must be a built keras.Model, or None for pixels. Received: target={target!r}")
    patches = math.prod(grid)
    shape = target.output_shape
    if shape[1:-1] not in ((patches,), (patches + 1,), tuple(grid)):
        raise ValueError(
            f"target must give features of {grid[0]} x {grid[1]} patches: (batch, {patches}, dim), one token more "
            f"with a class token, or (batch, {grid[0]}, {grid[1]}, dim). Received: a model with output shape {shape}"
        )
    target.trainable = False
    target.stays_frozen = True  # `compile` sees to it, also when the whole model was thawed
    return target
