r"""QB-Heat: Self-Supervised Learning based on Heat Equation (Chen et al., 2022).

https://arxiv.org/abs/2211.13228

Objective:
    z_{\text{right}} = (I + A) z, \quad z_{\text{below}} = (I + B) z, \qquad \mathcal{L} = \frac{1}{|M|} \sum_{i \in
    M} \operatorname{mean}_d (p_{id} - t_{id})^2
    where $z$ are the features of the visible quarter, $A$ and $B$ are learned, $M$ are the patches of the other
    three quarters, $p$ their predicted and $t$ their true pixels.

Flow:
    visible quarter -> encoder -> continued by two matrices -> light decoder -> error of the hidden pixels

Take it when masked modeling should train a ConvNet.

Leave it when the content of one quarter says little about the others.
"""

import keras
from keras import ops

from keras_ssl import checks, inputs
from keras_ssl.augment.image.masks import enlarge
from keras_ssl.augment import unpatchify
from keras_ssl.augment.places import flat, select
from keras_ssl.augment.random import uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import before_pooling, patch_grid, token_decoder, vit_stages
from keras_ssl.encoders.multi_crop import check_size
from keras_ssl.losses import masked_error, patch_pixels, plain_pixels, standard_pixels
from keras_ssl.losses.reconstruction import patch_statistics
from keras_ssl.method import Method, check_counts


@keras.saving.register_keras_serializable("keras_ssl")
class QBHeat(Method):
    """One quarter of the image is encoded; its features are continued to the others by two matrices, and decoded.

    The features z are to follow `dz/dx = A z` and `dz/dy = B z`: the quarter beside the visible one has `(I + A) z`,
    or `(I - A) z` on the left, place by place; the one below or above it `(I + B) z` or `(I - B) z`; the one across
    both steps. A light decoder makes pixels of the four. The quarter is one of the four corners, drawn for each image.

    A convolutional encoder gets the pixels of the quarter alone. A ViT gets its patches alone, which know their places
    in the whole image, so that it has seen all of them when it encodes whole images.

    The paper gives no decoder, learning rate or weight decay that could be read in code: the defaults are this
    library's.

    `model.reconstruct(images)` shows what the model makes of images.

    Args:
        encoder: `keras_ssl.encoders.vit` with a known `input_shape`, best with `pooling="mean"`; or another encoder
            that pools a map in its last layer and takes images of any size, such as `resnet18((None, None, 3))`.
        augment: layer from images to one view; `keras_ssl.augment.mae`.
        size: int or pair of ints (height, width) of the view in pixels; None takes that of the encoder's
            `input_shape`.
        width: int, size of the decoder's tokens, a multiple of 4 and of `heads`.
        depth: int, blocks of the decoder.
        heads: int, heads of the decoder's attention.
        normalize: whether each patch of the target is normalized by its own mean and deviation, as in MAE.

    Raises:
        ValueError: the size of the views is not known or does not fit the encoder, or this has no map of features.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18((None, None, 3), stem="cifar")
    >>> model = keras_ssl.QBHeat(encoder, keras_ssl.augment.mae(32), size=32, width=128)
    >>> model.compile(optimizer=keras_ssl.optimizers.AdamW(1e-3, weight_decay=0.05))
    """

    bounds = {
        "width": checks.ints(),
        "depth": checks.ints(0),
        "heads": checks.ints(),
        "normalize": checks.flag(),
    }

    def __init__(
        self, encoder, augment=None, *, size=None, width=256, depth=4, heads=8, normalize=False, **kwargs
    ):  # fmt: skip
        super().__init__(encoder, augment, **kwargs)
        self.size = tuple(size) if isinstance(size, list) else size
        self.width, self.depth, self.heads, self.normalize = width, depth, heads, normalize
        is_vit = {"patches", "positions", "blocks"} <= {layer.name for layer in encoder.layers}
        self.stages = vit_stages(encoder) if is_vit else None
        self.features = None if is_vit else map_of(encoder)
        (rows, columns), self.patch, channels = grid_of_vit(self) if is_vit else grid_of_map(self)
        self.grid = rows, columns
        self.across, self.down = linear(channels, "across"), linear(channels, "down")  # A and B
        self.decoder = token_decoder(
            channels, self.grid, width, depth, heads, encoder.input_shape[-1] * self.patch**2, name="decoder"
        )
        self.draws = keras.random.SeedGenerator()

    def check_views(self, views):
        check_counts(self, views)
        image = views[0] if self.stages else views[0][:, ::2, ::2]  # an encoder of quarters may take no whole image
        inputs.check_fit(image, self.encoder, "The view" if self.stages else "A quarter of the view")

    def objective(self, views):
        images = views[0]
        rows = ops.shape(images)[0]
        corners = self.corners(local_seeds(self.draws, rows))
        masks = self.masks(corners)
        return masked_error(self.predictions(images, corners), self.targets(images), flat(masks))

    def corners(self, seeds):
        """The number of the visible quarter, row by row, int32 `(batch,)`."""
        return ops.cast(ops.floor(4 * uniform(seeds, 1)[:, 0]), "int32")

    def masks(self, corners):
        hidden = ops.reshape(ops.arange(4, dtype="int32")[None] != corners[:, None], (-1, 2, 2))
        rows, columns = self.grid
        return ops.repeat(ops.repeat(hidden, rows // 2, axis=1), columns // 2, axis=2)  # (batch, rows, columns)

    def predictions(self, images, corners, training=True):
        """What the decoder makes of each patch, `(batch, patches, numbers)`."""
        whole = self.extrapolate(self.encode(images, corners, training), corners)
        return self.decoder(as_tokens(whole), training=training)

    def encode(self, images, corners, training=True):
        """The features z of the visible quarters, `(batch, rows / 2, columns / 2, channels)`."""
        if self.stages is None:
            return self.features(visible(images, corners), training=training)
        patches, positions, blocks = self.stages
        tokens = positions(patches(images))
        extra = tokens.shape[1] - self.grid[0] * self.grid[1]  # a class token
        quarter = visible(ops.reshape(tokens[:, extra:], (-1, *self.grid, tokens.shape[2])), corners)
        kept = ops.concatenate([tokens[:, :extra], as_tokens(quarter)], axis=1)
        return ops.reshape(blocks(kept, training=training)[:, extra:], (-1, *quarter.shape[1:]))

    def extrapolate(self, z, corners):
        """The features of the whole image `(batch, rows, columns, channels)`, with those of the visible quarter."""
        beside = self.advance(self.across, z, corners % 2)
        below = self.advance(self.down, z, corners // 2)
        opposite = self.advance(self.down, beside, corners // 2)
        quarters = ops.stack([z, beside, below, opposite], axis=1)
        # Quarter 0 is the visible one: its number, the corner, differs from that of the place in its two bits or none.
        order = ops.bitwise_xor(ops.arange(4, dtype="int32")[None], corners[:, None])
        return from_quarters(select(quarters, order))

    def advance(self, operator, z, backwards):
        """`(I + A) z`, or `(I - A) z` for the images in which the step goes backwards."""
        sign = ops.reshape(1 - 2 * backwards, (-1, 1, 1, 1))
        change = operator(z)
        return z + ops.cast(sign, change.dtype) * change

    def targets(self, images):
        return patch_pixels(standard_pixels(images), self.patch, self.normalize)  # (batch, patches, numbers)

    def reconstruct(self, images, seed=0):
        """What the model makes of images of which it sees a quarter.

        The hidden quarters are the model's prediction, with the true mean and deviation of each patch where the
        targets are normalized; the visible one is that of the image. No state moves.

        Args:
            images: `(batch, height, width, channels)` of the views' size, 0..255.
            seed: int, draws the corners; the model's training draws others.

        Returns:
            two NumPy arrays: the masks `(batch, rows, columns)`, True where hidden, and the images, float32 of 0..255.
        """
        images = ops.convert_to_tensor(images)
        numbers = ops.arange(images.shape[0], dtype="int32")
        corners = self.corners(ops.stack([numbers, ops.full_like(numbers, seed)], axis=1))
        found = ops.cast(self.predictions(images, corners, training=False), "float32")
        if self.normalize:
            mean, deviation = patch_statistics(patch_pixels(standard_pixels(images), self.patch))
            found = found * deviation + mean
        found = ops.clip(plain_pixels(unpatchify(found, self.patch, self.grid)), 0.0, 255.0)
        masks = self.masks(corners)
        found = ops.where(enlarge(masks, self.patch)[..., None], found, ops.cast(images, "float32"))
        return ops.convert_to_numpy(masks), ops.convert_to_numpy(found)


def visible(x, corners):
    """The quarter of each image or map, `(batch, rows / 2, columns / 2, channels)`."""
    return select(to_quarters(x), corners[:, None])[:, 0]


def to_quarters(x):
    """A map `(batch, rows, columns, channels)` as `(batch, 4, rows / 2, columns / 2, channels)`, row by row."""
    _, rows, columns, channels = x.shape
    x = ops.reshape(x, (-1, 2, rows // 2, 2, columns // 2, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 4, rows // 2, columns // 2, channels))


def from_quarters(x):
    """The inverse of `to_quarters`."""
    _, _, rows, columns, channels = x.shape
    x = ops.reshape(x, (-1, 2, 2, rows, columns, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2 * rows, 2 * columns, channels))


def as_tokens(x):
    """A map `(batch, rows, columns, channels)` as `(batch, rows * columns, channels)`."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


def linear(channels, name):
    draw = keras.initializers.RandomNormal(stddev=0.02)  # at first the quarters are nearly copies
    layer = keras.layers.Dense(channels, use_bias=False, kernel_initializer=draw, name=name)
    layer.build((None, None, None, channels))
    return layer


def map_of(encoder):
    """A model of the map of features that the encoder's last layer pools."""
    found, last = before_pooling(encoder), (getattr(encoder, "operations", None) or encoder.layers)[-1]
    if found is None or len(found.shape) != 4 or getattr(last, "input", None) is not found:
        raise ValueError(
            f"QBHeat reads the map of features (batch, rows, columns, channels) that the encoder's last layer pools, "
            f"and the last layer of '{encoder.name}' is '{last.name}'. Take an encoder of keras_ssl.encoders, or "
            "keras_ssl.encoders.pool(backbone)."
        )
    return keras.Model(encoder.inputs, found, name="features")


def grid_of_vit(model):
    grid, patch = patch_grid(model.encoder)
    height, width = (side * patch for side in grid)
    if model.size not in (None, (height, width)) and (model.size, model.size) != (height, width):
        raise ValueError(f"The encoder takes images of {height} x {width} pixels. Received: size={model.size}")
    if any(side % 2 for side in grid):
        raise ValueError(f"Quarters need even numbers of rows and columns of patches. Received: {grid}")
    return grid, patch, model.stages.blocks.output_shape[-1]


def grid_of_map(model):
    """The grid of the features of a whole image, the side in pixels of what one of them is decoded to, and channels."""
    size = model.encoder.input_shape[1:3] if model.size is None else model.size
    size = size if isinstance(size, tuple) else (size, size)
    if len(size) != 2 or any(not isinstance(side, int) or side < 2 or side % 2 for side in size):
        raise ValueError(
            "QBHeat needs the height and width of the views, even numbers of pixels: pass size=32 or "
            f"size=(height, width). Received: size={model.size}, encoder.input_shape={model.encoder.input_shape}"
        )
    quarter = keras.KerasTensor((None, size[0] // 2, size[1] // 2, model.encoder.input_shape[-1]))
    check_size(model.encoder, quarter)
    _, rows, columns, channels = model.features.compute_output_shape(quarter.shape)
    if size[0] % (2 * rows) or size[0] // rows * columns != size[1]:
        raise ValueError(
            f"The encoder makes {rows} x {columns} features of a quarter of {size[0] // 2} x {size[1] // 2} pixels, "
            "which are no squares of pixels each: take views of another size."
        )
    return (2 * rows, 2 * columns), size[0] // (2 * rows), channels
