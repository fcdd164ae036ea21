r"""Cross-channel encoder: Split-Brain Autoencoders, the half of one (Zhang, Isola, Efros, 2016).

https://arxiv.org/abs/1611.09842

Objective:
    \mathcal{L} = -\operatorname{mean}_i \sum_q z_{iq} \log p_{iq}
    where $z_i$ is what one pixel has in the other channels, as weights of bins, and $p_i$ is what the encoder makes of
    its own channels.

Flow:
    own channels -> encoder -> map -> head -> cross-entropy
    other channels ~> cross-entropy

Take it when one of two groups of channels is all there will be, as with gray images or a second sensor.

Leave it when both are there: `SplitBrain` is two of them, each half as wide, and sees all channels.
"""

import keras
from keras import ops

from keras_ssl import checks
from keras_ssl.augment.image.gamut import ab_bins
from keras_ssl.losses import color_cross_entropy
from keras_ssl.losses.vectors import precise
from keras_ssl.method import Method
from keras_ssl.methods.pretext.colorization import every, fitting, of_planes, place_head, planes

RANGES = (100.0, 110.0)  # of L and of the colors, for the squared error


@keras.saving.register_keras_serializable("keras_ssl")
class CrossChannelEncoder(Method):
    """The encoder sees the lightness of an image and tells its colors, or sees the colors and tells the lightness.

    Which of the two is said by the network: with 1 channel it gets the lightness, with 2 the colors a and b of Lab.
    What it tells of every fourth pixel is one of 313 colors, as in `Colorization` but without weights of rare ones, or
    one of 100 steps of lightness. `encoder`, `predict` and `keras_ssl.export` take whole images, and give the features
    of the channels that the network sees.

    Args:
        network: `keras.Model` from images of one size with 1, 2 or 3 channels (three times the lightness) to features
            that it pools from a map.
        augment: layer from images with three channels to one view; `keras_ssl.augment.mae`.
        lightness_bins: int from 2, steps of the lightness (100).
        target: `"bins"`, or `"values"`: the squared error of the channels, each divided by its range. The paper found
            bins better.
        neighbors, deviation, stride, width: see `Colorization`.

    Raises:
        ValueError: the network has no such map, takes another number of channels or images of any size.

    Example:

    >>> network = keras_ssl.encoders.resnet18(input_shape=(32, 32, 2), width=16)
    >>> model = keras_ssl.CrossChannelEncoder(network, keras_ssl.augment.mae(32))  # lightness of colors
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3))
    """

    view_counts = (1, 1)
    bounds = {
        "lightness_bins": checks.ints(2),
        "target": checks.choice("bins", "values"),
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
        lightness_bins=100,
        target="bins",
        neighbors=10,
        deviation=5.0,
        stride=4,
        width=256,
        name=None,
        dtype=None,
    ):
        super().__init__(of_planes([network]), augment, name=name, dtype=dtype)
        self.network = network
        self.lightness_bins, self.target, self.neighbors = lightness_bins, target, neighbors
        self.deviation, self.stride, self.width = deviation, stride, width
        self.told = place_head(network, stride, outputs_of(self, network), width, name="told")

    def objective(self, views):
        return told_loss(self, self.told, self.network, *planes(views[0]))


# Parts that SplitBrain shares


def outputs_of(method, encoder):
    """How many numbers an encoder has to tell of a pixel."""
    sees_colors = encoder.input_shape[-1] == 2
    if method.target == "values":
        return 1 if sees_colors else 2
    return method.lightness_bins if sees_colors else len(ab_bins())


def told_loss(method, told, encoder, lightness, colors):
    """How wrong an encoder is about the channels that it does not see."""
    sees_colors = encoder.input_shape[-1] == 2
    seen, other = (colors, lightness) if sees_colors else (lightness, colors)
    found = precise(told(fitting(seen, encoder), training=True))
    other = ops.stop_gradient(every(other, method.stride))
    if method.target == "values":
        return ops.mean(ops.square(found - other / RANGES[0 if sees_colors else 1]))
    if sees_colors:
        return lightness_cross_entropy(found, other[..., 0])
    return color_cross_entropy(found, other, ab_bins(), neighbors=method.neighbors, deviation=method.deviation)


def lightness_cross_entropy(logits, lightness):
    """The cross-entropy of the lightness from 0 to 100 as one of as many equal steps as there are logits."""
    steps = logits.shape[-1]
    target = ops.clip(ops.cast(ops.floor(lightness * (steps / 100.0)), "int32"), 0, steps - 1)
    found = ops.take_along_axis(ops.log_softmax(logits, axis=-1), target[..., None], axis=-1)
    return -ops.mean(found)
