r"""MAE: Masked Autoencoders Are Scalable Vision Learners (He, Chen, Xie, Li, Dollar, Girshick, 2021).

https://arxiv.org/abs/2111.06377

Objective:
    \mathcal{L} = \frac{1}{|M|} \sum_{i \in M} \operatorname{mean}_d (p_{id} - t_{id})^2
    where $M$ are the hidden patches, $p$ their predicted pixels and $t$ the true ones, normalized within each patch.

Flow:
    image -> visible patches -> encoder -> decoder -> error of the hidden pixels
    mask tokens -> decoder

Take it when a vision transformer will be fine-tuned, and training has to be cheap: three quarters of the patches are
    never encoded.

Leave it when frozen features are used as they are: contrast and distillation give better ones.
"""

import math

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.image.masks import RandomMask, enlarge
from keras_ssl.augment import unpatchify
from keras_ssl.augment.places import flat, partition, select
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import MaskToken, patch_grid, token_decoder, vit_stages
from keras_ssl.encoders.vit import has_class_token
from keras_ssl.losses import masked_error, patch_pixels, plain_pixels, standard_pixels
from keras_ssl.losses.reconstruction import patch_statistics
from keras_ssl.method import Method


@keras.saving.register_keras_serializable("keras_ssl")
class MAE(Method):
    """The encoder sees a quarter of the patches, and a light decoder predicts the pixels of the others.

    The hidden patches are left out of the sequence, so that the encoder takes about a quarter of the time; a mask
    token stands for them in the decoder only. Each image hides patches of its own.

    `model.reconstruct(images)` shows what the model makes of images.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape`, fixed positions (`positions="sincos"`, the
            default), and a class token where the paper is followed.
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        ratio: float in (0, 1), the part of the patches that is hidden, rounded up to whole patches (0.75).
        width: int, size of the decoder's tokens, a multiple of 4 and of `heads` (512).
        depth: int, blocks of the decoder (8).
        heads: int, heads of the decoder's attention (16).
        normalize: whether each patch of the target is normalized by its own mean and deviation (the paper's better
            form). Predictions of 0 have an error of (n - 1) / n then, n numbers per patch.

    Raises:
        ValueError: the encoder is no `vit` of a known size, or no patch would stay, or none be hidden.

    Example:

    >>> encoder = keras_ssl.encoders.vit((32, 32, 3), patch=4, width=128, depth=6, heads=4)
    >>> model = keras_ssl.MAE(encoder, keras_ssl.augment.mae(32), width=64, depth=2, heads=4)
    >>> rate = keras_ssl.optimizers.warmup_cosine(1e-3, steps=10000, warmup=500)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(rate, weight_decay=0.05, beta_2=0.95))
    """

    bounds = {
        "width": checks.ints(),
        "depth": checks.ints(0),
        "heads": checks.ints(),
        "normalize": checks.flag(),
    }

    def __init__(
        self, encoder, augment=None, *, ratio=0.75, width=512, depth=8, heads=16, normalize=True, **kwargs
    ):  # fmt: skip
        super().__init__(encoder, augment, **kwargs)
        self.ratio, self.width, self.depth, self.heads, self.normalize = ratio, width, depth, heads, normalize
        self.stages = self.stages_of(encoder)
        self.grid, self.patch = patch_grid(encoder)
        self.mask = random_mask(self.grid, ratio)
        inputs, outputs = self.stages.blocks.output_shape[-1], encoder.input_shape[-1] * self.patch**2
        self.decoder = MaskedDecoder(inputs, self.grid, width, depth, heads, outputs, has_class_token(self.stages))
        self.draws = keras.random.SeedGenerator()

    def objective(self, views):
        images = views[0]
        masks = draw_masks(self, images)  # (batch, rows, columns)
        return masked_error(self.predictions(images, masks), self.targets(images), flat(masks))

    def predictions(self, images, masks, training=True):
        """What the decoder makes of each patch, `(batch, patches, numbers)`."""
        visible, _, restore = partition(masks, self.mask.masked)
        return self.decoder(self.latents(images, masks, visible, training), restore, training=training)

    def latents(self, images, masks, visible, training=True):
        """The encoder's tokens of what is visible, the class token first, `(batch, 1 + visible, width)`."""
        return self.stages.blocks(visible_tokens(self.stages, images, visible), training=training)

    def targets(self, images):
        return patch_pixels(standard_pixels(images), self.patch, self.normalize)  # (batch, patches, numbers)

    def reconstruct(self, images, seed=0):
        """What the model makes of images of which it sees a part.

        The hidden patches are the model's prediction, with the true mean and deviation of each patch where the targets
        are normalized; the visible ones are those of the image. No state moves.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.
            seed: int, draws the masks; the model's training draws others.

        Returns:
            two NumPy arrays: the masks `(batch, rows, columns)`, True where hidden, and the images, float32 of 0..255.
        """
        images = ops.convert_to_tensor(images)
        masks = still_masks(self, images, seed)
        return paste(images, masks, self.predictions(images, masks, training=False), self.patch, self.normalize)

    def stages_of(self, encoder):
        return vit_stages(encoder)


@keras.saving.register_keras_serializable("keras_ssl")
class MaskedDecoder(keras.layers.Layer):
    """From the latents of the visible patches to a vector for every patch; mask tokens stand for the hidden ones.

    Call arguments:
        latents: `(batch, visible, inputs)`, one more with a class token, which comes first.
        restore: int32 `(batch, patches)`, the place of every patch among the visible and then the hidden ones, from
            `keras_ssl.augment.partition`.

    Args:
        inputs: int, size of a latent.
        grid: ints `(rows, columns)` of the patches.
        width, depth, heads: ints, size of the tokens inside, number of blocks, heads of the attention.
        outputs: int, size of the vectors; None for `width`, without the last Dense.
        class_token: whether the latents have a class token. None comes out for it.
        name: str.

    Returns:
        tensor `(batch, patches, outputs)`, or `width` in place of `outputs`.
    """

    def __init__(self, inputs, grid, width, depth, heads, outputs, class_token=True, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.inputs, self.grid, self.width, self.depth, self.heads = inputs, tuple(grid), width, depth, heads
        self.outputs, self.class_token = outputs, class_token
        self.embed = keras.layers.Dense(width, name="embed")
        self.embed.build((None, None, inputs))
        self.token = MaskToken(width, name="mask_token")
        self.transformer = token_decoder(
            width, self.grid, width, depth, heads, outputs, class_token=class_token, embed=False, name="transformer"
        )
        self.built = True

    def build(self, latents_shape, restore_shape):
        pass

    def call(self, latents, restore, training=False):
        x = self.embed(latents)
        patches = x[:, 1:] if self.class_token else x
        visible = patches.shape[1]
        filled = self.token(select(patches, ops.minimum(restore, visible - 1)), restore >= visible)
        if self.class_token:
            filled = ops.concatenate([x[:, :1], filled], axis=1)
        return self.transformer(filled, training=training)

    def get_config(self):
        config = {"inputs": self.inputs, "grid": self.grid, "width": self.width, "depth": self.depth}
        config |= {"heads": self.heads, "outputs": self.outputs, "class_token": self.class_token}
        return {**super().get_config(), **config}


# What the methods of this family share


def random_mask(grid, ratio):
    mask = RandomMask(grid, ratio) if isinstance(ratio, (int, float)) and 0 < ratio < 1 else None
    if mask is None or mask.masked == math.prod(grid):
        raise ValueError(
            "ratio must be a float above 0 and below 1 that leaves at least one patch visible. Received: "
            f"ratio={ratio}, with {math.prod(grid)} patches"
        )
    return mask


def draw_masks(model, images):
    """The masks of a training step, equal on any number of replicas."""
    rows = ops.shape(images)[0]
    return model.mask(images, local_seeds(model.draws, rows), training=True)


def still_masks(model, images, seed):
    """Masks that are a function of the number of an image and of the seed alone."""
    numbers = ops.arange(images.shape[0], dtype="int32")
    return model.mask(images, ops.stack([numbers, ops.full_like(numbers, seed)], axis=1), training=True)


def visible_tokens(stages, images, visible):
    """The class token, where there is one, and the visible patches, which know their places."""
    tokens = stages.positions(stages.patches(images))
    first = int(has_class_token(stages))
    return ops.concatenate([tokens[:, :first], select(tokens[:, first:], visible)], axis=1)


def paste(images, masks, found, patch, normalized):
    """The masks, and the images with what was found in place of the hidden patches, as NumPy arrays."""
    found = ops.cast(found, "float32")
    if normalized:
        mean, deviation = patch_statistics(patch_pixels(standard_pixels(images), patch))
        found = found * deviation + mean
    grid = [size // patch for size in images.shape[1:3]]
    found = ops.clip(plain_pixels(unpatchify(found, patch, grid)), 0.0, 255.0)
    found = ops.where(enlarge(masks, images.shape[1] // masks.shape[1])[..., None], found, ops.cast(images, "float32"))
    return ops.convert_to_numpy(masks), ops.convert_to_numpy(found)
