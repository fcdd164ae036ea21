r"""Split-brain autoencoder: Unsupervised Learning by Cross-Channel Prediction (Zhang, Isola, Efros, 2016).

https://arxiv.org/abs/1611.09842

Objective:
    \mathcal{L} = -\operatorname{mean}_i \sum_q c_{iq} \log p_{iq} - \operatorname{mean}_i \sum_q l_{iq} \log r_{iq}
    where $c_i$ are the colors of a pixel as weights of bins, $p_i$ what the first half makes of the lightness, $l_i$ is
    the pixel's lightness as one of its bins, and $r_i$ what the second half makes of the colors.

Flow:
    lightness -> first half -> cross-entropy of colors
    colors ~> cross-entropy of colors
    colors -> second half -> cross-entropy of lightness
    lightness ~> cross-entropy of lightness

Take it when images have two groups of channels that know of each other, and the features should be of all channels.

Leave it when images are gray, or one network that sees all channels at once is needed.
"""

import keras

from keras_ssl import checks
from keras_ssl.method import Method
from keras_ssl.methods.pretext.colorization import of_planes, place_head, planes
from keras_ssl.methods.pretext.cross_channel_encoder import outputs_of, told_loss


@keras.saving.register_keras_serializable("keras_ssl")
class SplitBrain(Method):
    """Two halves of a network share nothing: one tells the colors from the lightness, the other one the reverse.

    Each is half as wide as the network that they are compared with, and the features of both stand side by side: so
    many features as that network has, of all channels. `encoder`, `predict` and `keras_ssl.export` take whole images.
    What is told, see `CrossChannelEncoder`. The loss is the sum of both.

    Terms: `color` and `lightness`, the losses of what is told.

    Args:
        encoders: pair of `keras.Model`, of images with 1 channel, the lightness, and with 2, the colors, both of the
            same size, to features that they pool from a map.
        augment: layer from images with three channels to one view; `keras_ssl.augment.mae`.
        lightness_bins, target, neighbors, deviation, stride, width: see `CrossChannelEncoder`.

    Raises:
        ValueError: there are not two encoders, with 1 and 2 channels, or one of them has no such map.

    Example:

    >>> first = keras_ssl.encoders.resnet18(input_shape=(32, 32, 1), width=8)
    >>> second = keras_ssl.encoders.resnet18(input_shape=(32, 32, 2), width=8)
    >>> model = keras_ssl.SplitBrain([first, second], keras_ssl.augment.mae(32))
    >>> model.compile(optimizer=keras_ssl.optimizers.Adam(1e-3))
    >>> model.encoder.output_shape  # 64 of each half
    (None, 128)
    """

    terms = ("color", "lightness")
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
        encoders,
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
        super().__init__(of_planes(check_halves(encoders)), augment, name=name, dtype=dtype)
        self.encoders = list(encoders)
        self.lightness_bins, self.target, self.neighbors = lightness_bins, target, neighbors
        self.deviation, self.stride, self.width = deviation, stride, width
        self.told = [
            place_head(encoder, stride, outputs_of(self, encoder), width, name=name)
            for encoder, name in zip(self.encoders, self.terms)
        ]

    def objective(self, views):
        parts = planes(views[0])
        found = {
            name: told_loss(self, told, encoder, *parts)
            for name, told, encoder in zip(self.terms, self.told, self.encoders)
        }
        return {"loss": found["color"] + found["lightness"], **found}


def check_halves(encoders):
    """Raises unless there are two encoders, of the lightness and of the colors of images of one size."""
    pair = list(encoders) if isinstance(encoders, (list, tuple)) else []
    shapes = [getattr(encoder, "input_shape", None) for encoder in pair]
    channels = [shape[-1] if isinstance(shape, tuple) else None for shape in shapes]
    if channels != [1, 2] or shapes[0][1:3] != shapes[1][1:3]:
        raise ValueError(
            "encoders must be two, of images with 1 channel and with 2 channels of the same size. Received: encoders="
            f"{encoders!r}, with the input shapes {shapes}"
        )
    return pair
