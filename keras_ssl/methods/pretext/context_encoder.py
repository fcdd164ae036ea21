r"""Context encoder: Feature Learning by Inpainting (Pathak, Krahenbuhl, Donahue, Darrell, Efros, 2016).

https://arxiv.org/abs/1604.07379

Objective:
    \mathcal{L} = \operatorname{mean}_i \, w_i \left( x_i - D(E(\hat{x}))_i \right)^2
    where $\hat{x}$ is the image $x$ without a region, which is what is compared, and $w_i$ is 10 where a band of the
    region can still be seen, and 1 elsewhere.

Flow:
    image -> region removed -> encoder -> map -> channel-wise dense layer -> decoder -> squared error
    image ~> squared error

Take it when a convolutional network should learn from what surrounds a region, and pictures of it are wanted.

Leave it when a transformer is trained: `MAE` hides more, and its encoder never sees a filling color.
"""

import keras
from keras import layers, ops

from keras_ssl import checks
from keras_ssl.augment.image.masks import HoleMask, RegionMask
from keras_ssl.augment.rows import local_seeds
from keras_ssl.encoders import ChannelwiseDense, conv_decoder, feature_map, image_shape
from keras_ssl.losses import masked_mean, plain_pixels, standard_pixels
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method


def check_area(name, value):
    """Raises unless it is a pair of numbers in ascending order between 0 and 1."""
    pair = value if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(checks.is_number, value)) else ()
    if not pair or not 0 < pair[0] <= pair[1] < 1:
        raise ValueError(f"{name} must be a pair (low, high) with 0 < low <= high < 1. Received: {name}={value!r}")


@keras.saving.register_keras_serializable("keras_ssl")
class ContextEncoder(Method):
    """A region of the image has the mean color, and the encoder's map says what was there.

    Between the encoder's map and the decoder is a `keras_ssl.encoders.ChannelwiseDense`, which takes what is known at
    one side of the image to the other, and a convolution of 1 x 1. With `region="center"` the decoder makes the middle
    of the image, half as high and as wide; a band of it at the border is not hidden, and its error weighs ten times as
    much, so that the picture fits in. With `region="random"` each image loses a region of its own, of any shape, so
    that the features cannot rest on its place; the decoder makes the whole image, and only the region is compared.

    This is the version for features, with the squared error alone. For sharper pictures see
    `AdversarialContextEncoder`.

    Args:
        encoder: `keras.Model` from images of one size to features that it pools from a map.
        augment: layer from images to one view; `keras_ssl.augment.mae`, a crop and a mirror image.
        region: `"center"` or `"random"`.
        band: int from 0, how many pixels of the middle are still visible at each side, with `region="center"` (4 in
            images of 128 pixels); None for a 32nd of the image's height.
        band_weight: float from 0, of the error in the band (10).
        area: pair of floats, the smallest and the largest part of the image that a random region takes (0.2, 0.3).
        cell: float from 1, how coarse random regions are, in pixels; None for 0.13 of the image's height, which is the
            paper's for 128 pixels.
        width: int, channels of the decoder's last transposed convolution (64), see `keras_ssl.encoders.conv_decoder`.

    Raises:
        ValueError: the encoder has no map, takes images of any size, or the band leaves nothing hidden.

    Example:

    >>> encoder = keras_ssl.encoders.resnet18(input_shape=(32, 32, 3), width=16)
    >>> model = keras_ssl.ContextEncoder(encoder, keras_ssl.augment.mae(32), region="random")
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3))
    """

    view_counts = (1, 1)
    bounds = {
        "region": checks.choice("center", "random"),
        "band": checks.ints(0, optional=True),
        "band_weight": checks.numbers(least=0),
        "area": check_area,
        "cell": checks.numbers(least=1, optional=True),
        "width": checks.ints(),
    }
    kernels = "he_normal"  # how those of the decoder start

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        region="center",
        band=None,
        band_weight=10.0,
        area=(0.2, 0.3),
        cell=None,
        width=64,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        self.region, self.band, self.band_weight = region, band, band_weight
        self.area, self.cell, self.width = tuple(area), cell, width
        height, across, channels = image_shape(encoder)
        self.whole = height, across
        self.made = (height // 2, across // 2) if region == "center" else self.whole
        self.mask = center_mask(self.whole, self.border) if region == "center" else self.random_mask()
        self.painter = painter(encoder, self.made, channels, width, self.kernels)
        self.draws = keras.random.SeedGenerator()

    @property
    def border(self):
        """How many pixels of the middle are visible at each side."""
        return self.whole[0] // 32 if self.band is None else self.band

    def random_mask(self):
        cell = max(1.0, self.whole[0] / 0.06 / 128) if self.cell is None else self.cell
        return RegionMask(self.whole, self.area, cell=cell)

    def objective(self, views):
        (images,) = views
        masks = self.mask(images, local_seeds(self.draws, ops.shape(images)[0]), training=True)
        return self.error(self.painted(images, masks, training=True), images, masks)

    def painted(self, images, masks, training=False):
        """What the decoder makes of images without their regions, of the middle or of all: as `scaled` makes them."""
        return precise(self.painter(without(images, masks), training=training))

    def error(self, prediction, images, masks):
        """The weighted mean of the squared errors."""
        square = self.square(prediction, images)
        if self.region == "random":
            return masked_mean(ops.reshape(square, (-1, self.whole[0] * self.whole[1])), flat(masks))
        return self.weighted(square, masks)

    def square(self, prediction, images):
        """The squared error of each pixel that the decoder makes."""
        return ops.mean(ops.square(prediction - self.compared(self.scaled(images))), axis=-1)

    def weighted(self, square, masks):
        hidden = self.compared(ops.cast(masks, square.dtype)[..., None])[..., 0]
        return ops.mean(square * (hidden + (1.0 - hidden) * self.band_weight))

    def scaled(self, images):
        """Images as the decoder makes them: standardized."""
        return standard_pixels(images)

    def pixels(self, made):
        """What the decoder makes, as pixels of 0..255."""
        return ops.clip(plain_pixels(made), 0.0, 255.0)

    def compared(self, images):
        """The part of images that the decoder makes."""
        if self.region == "random":
            return images
        top, left = ((side - part) // 2 for side, part in zip(self.whole, self.made))
        return images[:, top : top + self.made[0], left : left + self.made[1]]

    def inpaint(self, images, seed=0):
        """Images whose region is what the model makes of the rest.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.
            seed: int, draws random regions; the model's training draws others.

        Returns:
            three NumPy arrays: the masks `(batch, height, width)`, True where hidden, the images without the region and
            those with what was made, both float32 of 0..255.
        """
        images = ops.cast(ops.convert_to_tensor(images), "float32")
        numbers = ops.arange(images.shape[0], dtype="int32")
        masks = self.mask(images, ops.stack([numbers, ops.full_like(numbers, seed)], axis=1), training=True)
        found = self.pixels(self.painted(images, masks))
        if self.region == "center":
            rest = [side - part for side, part in zip(self.whole, self.made)]
            found = ops.pad(found, [(0, 0), *((more // 2, more - more // 2) for more in rest), (0, 0)])
        whole = ops.where(masks[..., None], found, images)
        return tuple(ops.convert_to_numpy(part) for part in (masks, without(images, masks), whole))

    def pictures(self, images):
        """Images, the same without a region, and with what the model makes of it, for `keras_ssl.visualize.pictures`.

        Args:
            images: `(batch, height, width, channels)` of the encoder's size, 0..255.

        Returns:
            dict from titles to NumPy arrays `(batch, height, width, channels)`, 0..255.
        """
        _, visible, whole = self.inpaint(images)
        return {"image": ops.convert_to_numpy(images), "visible": visible, "inpainted": whole}


def center_mask(size, border):
    hole = tuple(side // 2 - 2 * border for side in size)
    if min(hole) < 1:
        raise ValueError(
            f"band must leave a part of the middle hidden. Received: band={border}, with images of {size} pixels"
        )
    return HoleMask(size, hole, center=True)


def painter(encoder, size, channels, width, kernels):
    """The encoder's map, the layer over its places, and the decoder: from images to `(batch, *size, channels)`."""
    places = feature_map(encoder)
    shape = places.output_shape[1:]
    images = keras.Input(encoder.input_shape[1:], name="images")
    x = ChannelwiseDense(shape, name="across")(places(images))
    x = layers.Conv2D(shape[-1], 1, data_format="channels_last", activation="relu", name="between")(x)
    return keras.Model(images, conv_decoder(shape, size, channels, width, initializer=kernels)(x), name="painter")


def without(images, masks):
    """Images whose hidden pixels have the mean color."""
    images = ops.cast(images, "float32")
    return ops.where(masks[..., None], plain_pixels(ops.zeros_like(images)), images)


def flat(masks):
    return ops.reshape(masks, (-1, masks.shape[1] * masks.shape[2]))
