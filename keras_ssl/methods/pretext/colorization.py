r"""Colorization: Colorful Image Colorization (Zhang, Isola, Efros, 2016).

https://arxiv.org/abs/1603.08511

Objective:
    \mathcal{L} = -\operatorname{mean}_i \, w(z_i) \sum_q z_{iq} \log p_{iq}
    where $p_i$ says of a pixel how likely each of 313 colors is, $z_i$ is the pixel's true color as weights of its
    nearest of them, and $w$ is large where the nearest color is rare.

Flow:
    lightness -> encoder -> map -> head -> cross-entropy
    colors ~> cross-entropy

Take it when images have natural colors, and a network that sees their lightness is what you need.

Leave it when colors are arbitrary or few, as with drawings, or say at once what the classes differ in.
"""

import keras
import numpy as np
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.image.channels import lab_of_rgb
from keras_ssl.augment.image.gamut import ab_bins, rgb_of_lab
from keras_ssl.encoders import conv_decoder, feature_map, image_shape
from keras_ssl.losses import color_cross_entropy
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method, check_encoder


@keras.saving.register_keras_serializable("keras_ssl")
class Colorization(Method):
    """The encoder sees the lightness of an image, and its map says of every fourth pixel which color it had.

    A color is one of the 313 bins of `keras_ssl.augment.ab_bins`, so that a pixel may be red or blue and not gray in
    between; rare colors weigh more, or all would be near gray. Images without colors have no part in the loss.

    `encoder`, `predict` and `keras_ssl.export` take color images, and give the features of their lightness.

    Args:
        network: `keras.Model` from the lightness of images of one size, from 0 to 255, to features that it pools from a
            map. Where it takes 3 channels, each of them is the lightness.
        augment: layer from images with three channels to one view; `keras_ssl.augment.mae`, a crop and a mirror image.
        prior: `(313,)` floats, how often images have the color of each bin: `keras_ssl.augment.color_prior(images)`;
            None for no rebalancing.
        uniform: float in (0, 1], the share of a uniform distribution that is mixed with the prior (lambda, 0.5); 1 is
            no rebalancing.
        neighbors: int, how many bins share a color (10 in the authors' code, 5 in the paper).
        deviation: float > 0, of the Gaussian by which they share it (sigma, 5).
        stride: int, how many pixels apart those are whose color is told (4).
        width: int, channels of the head's last transposed convolution (256), see `keras_ssl.encoders.conv_decoder`.
            There is none where the map has as many places as there are colors to tell.

    Raises:
        ValueError: the network has no such map, takes another number of channels or images of any size; or the prior
            does not have 313 numbers from 0.

    Example:

    >>> network = keras_ssl.encoders.resnet18(input_shape=(32, 32, 1), width=16)
    >>> prior = keras_ssl.augment.color_prior(images)
    >>> model = keras_ssl.Colorization(network, keras_ssl.augment.mae(32), prior=prior)
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3, weight_decay=1e-3, exclude_vectors=True))
    """

    view_counts = (1, 1)
    bounds = {
        "uniform": checks.numbers(above=0, most=1),
        "neighbors": checks.ints(),
        "deviation": checks.numbers(above=0),
        "stride": checks.ints(),
        "width": checks.ints(),
    }

    def __init__(
        self,
        network,
        augment=None,
        *,
        prior,
        uniform=0.5,
        neighbors=10,
        deviation=5.0,
        stride=4,
        width=256,
        name=None,
        dtype=None,
    ):
        super().__init__(of_planes([network], channels=(1, 3)), augment, name=name, dtype=dtype)
        self.network = network
        self.prior = prior if prior is None else tuple(map(float, np.ravel(check_prior(prior))))
        self.uniform, self.neighbors, self.deviation = uniform, neighbors, deviation
        self.stride, self.width = stride, width
        self.colors = place_head(network, stride, len(ab_bins()), width, name="colors")
        self.weights_of_bins = None if prior is None else rebalanced(self.prior, uniform)

    def objective(self, views):
        lightness, colors = planes(views[0])
        logits = self.colors(fitting(lightness, self.network), training=True)
        return color_cross_entropy(
            logits, every(colors, self.stride), ab_bins(), self.weights_of_bins, self.neighbors, self.deviation
        )

    def colorize(self, images, temperature=0.38):
        """Images with their lightness and the colors that the model makes of it.

        The colors are the mean of the bins after a softmax with a temperature: 1 is the mean of all that is possible,
        which is grayish, near 0 the most likely one, which may jump from pixel to pixel.

        Args:
            images: `(batch, height, width, 3)` of the encoder's size, 0..255.
            temperature: float > 0 (T, 0.38).

        Returns:
            NumPy array of the images' shape, float32 of 0..255.
        """
        checks.check_numbers(above=0, temperature=temperature)
        lightness, _ = planes(ops.convert_to_tensor(images))
        logits = precise(self.colors(fitting(lightness, self.network), training=False))
        found = ops.matmul(ops.softmax(logits / temperature, axis=-1), ops.convert_to_tensor(ab_bins()))
        found = ops.image.resize(found, lightness.shape[1:3], "bilinear", data_format="channels_last")
        return ops.convert_to_numpy(rgb_of_lab(ops.concatenate([lightness, found], axis=-1)))

    def pictures(self, images):
        """Images, their lightness, and colorings of it, for `keras_ssl.visualize.pictures`.

        Args:
            images: `(batch, height, width, 3)` of the encoder's size, 0..255.

        Returns:
            dict from titles to NumPy arrays `(batch, height, width, 1 or 3)`, 0..255.
        """
        images = ops.convert_to_tensor(images)
        lightness = 2.55 * ops.convert_to_numpy(planes(images)[0])
        return {"image": ops.convert_to_numpy(images), "lightness": lightness, "colored": self.colorize(images)}


# Parts that the methods on channels share


def planes(images):
    """Lightness `(batch, height, width, 1)`, from 0 to 100, and the colors a and b `(batch, height, width, 2)`."""
    lightness, a, b = lab_of_rgb(ops.cast(images, "float32"))
    return lightness[..., None], ops.stack([a, b], axis=-1)


def fitting(plane, encoder):
    """A plane of Lab as an encoder takes it: in the range of pixels, as often as it has channels."""
    pixels = 2.55 * plane if plane.shape[-1] == 1 else plane + 128.0
    return ops.repeat(pixels, encoder.input_shape[-1] // plane.shape[-1], axis=-1)


def every(values, stride):
    return values[:, ::stride, ::stride]


SEEN = {1: "1 channel, the lightness", 2: "2 channels, the colors", 3: "3 channels, each of them the lightness"}


def of_planes(encoders, channels=(1, 2, 3)):
    """One model from images with three channels to the features of encoders, each of its own plane, side by side."""
    for encoder in encoders:
        shape = getattr(encoder, "input_shape", None)
        if not isinstance(encoder, keras.Model) or not isinstance(shape, tuple) or shape[-1] not in channels:
            raise ValueError(
                f"network must be a keras.Model from images with {'; or '.join(SEEN[count] for count in channels)}. "
                f"Received: network={encoder!r} with the input shape {shape}"
            )
        check_encoder(encoder)
    images = keras.Input((*image_shape(encoders[0])[:2], 3), name="images")
    lightness, colors = planes(images)
    # Two encoders made alike have the same name, which Keras refuses in one model.
    named = [keras.Model(encoder.inputs, encoder.outputs[0], name=f"plane_{i}") for i, encoder in enumerate(encoders)]
    features = [one(fitting(colors if one.input_shape[-1] == 2 else lightness, one)) for one in named]
    return keras.Model(images, features[0] if len(features) == 1 else ops.concatenate(features, axis=-1))


def place_head(encoder, stride, outputs, width, name):
    """An encoder's map and a decoder on it, from what the encoder takes to numbers for every `stride`-th pixel."""
    places, sides = feature_map(encoder), image_shape(encoder)[:2]
    size = tuple(-(-side // stride) for side in sides)
    head = conv_decoder(places.output_shape[1:], size, outputs, width, name=f"{name}_head")
    images = keras.Input(encoder.input_shape[1:], name="planes")
    return keras.Model(images, head(places(images)), name=name)


def check_prior(prior):
    """The prior as an array, if it is one of the bins."""
    try:
        found = np.asarray(prior, "float64")
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (len(ab_bins()),) or not (found >= 0).all() or not 0 < found.sum() < checks.LARGEST:
        raise ValueError(
            f"prior must be {len(ab_bins())} numbers from 0, not all 0, as of keras_ssl.augment.color_prior, or None. "
            f"Received: prior={prior!r}"
        )
    return found


def rebalanced(prior, uniform):
    """The weight of each bin: `1 / ((1 - uniform) * prior + uniform / bins)`, with a mean of 1 under the prior.

    The uniform part is of all bins, also of those that no image has.
    """
    prior = np.float64(prior) / np.sum(prior)
    weights = 1 / ((1 - uniform) * prior + uniform / len(prior))
    return (weights / np.sum(prior * weights)).astype("float32")
