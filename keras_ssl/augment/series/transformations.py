"""Transformations: a series negated, backwards, or with its channels in another order."""

import keras
from keras import ops

from keras_ssl.augment.places import order
from keras_ssl.augment.series.signals import SeriesLayer
from keras_ssl.augment.steps import ends, moved, parts


@keras.saving.register_keras_serializable("keras_ssl")
class Negate(SeriesLayer):
    """All values change their sign.

    Args:
        seed, name: see `Augmentation`.

    Example:
        >>> import numpy as np
        >>> Negate()(np.ones((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def alter(self, values, mask, seeds):
        return -values


@keras.saving.register_keras_serializable("keras_ssl")
class ReverseSeries(SeriesLayer):
    """The series runs backwards. Padding stays where it is.

    Args:
        seed, name: see `Augmentation`.

    Example:
        >>> import numpy as np
        >>> ReverseSeries()(np.ones((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def transform(self, sample, seeds):
        values, mask = parts(self.kind, sample)
        end = ends(values, mask)[:, None]
        place = ops.arange(ops.shape(values)[1], dtype="int32")[None, :]
        return moved(sample, ops.where(place < end, end - 1 - place, place))


@keras.saving.register_keras_serializable("keras_ssl")
class ShuffleChannels(SeriesLayer):
    """The channels come in another order, all orders but the one that they have equally likely.

    Args:
        seed, name: see `Augmentation`.

    Raises:
        ValueError: there is one channel only.

    Example:
        >>> import numpy as np
        >>> ShuffleChannels()(np.ones((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def alter(self, values, mask, seeds):
        channels = values.shape[2]
        if channels is None or channels < 2:
            raise ValueError(
                "ShuffleChannels needs two channels at least, a number that is known. Received: "
                f"shape={tuple(values.shape)}. Leave it out."
            )
        places = order(seeds, channels, identity=False)
        return ops.take_along_axis(values, ops.broadcast_to(places[:, None, :], ops.shape(values)), axis=2)
