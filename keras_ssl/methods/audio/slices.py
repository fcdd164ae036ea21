"""Slices: parts of sounds that methods of this family cut out themselves, where they have to know their places."""

from keras import ops

from keras_ssl import inputs
from keras_ssl.augment.places import select
from keras_ssl.augment.steps import ends, parts
from keras_ssl.method import Method, check_counts


class Sliced(Method):
    """Base of methods that cut slices: they keep the mask of the sounds also where the encoder takes none."""

    view_counts = (1, 1)

    def taken(self, view):
        whole = inputs.for_encoder(view, self.encoder)  # raises where the encoder lacks something
        return inputs.AUDIO.sample(view) if isinstance(view, dict) and inputs.AUDIO.column in view else whole

    def check_views(self, views):
        check_counts(self, views)
        inputs.check_fit(inputs.for_encoder(views[0], self.encoder), self.encoder, "The first view")
        check_length(self, views[0], self.least_samples)

    def features(self, slices):
        """What the encoder makes of slices, `(slices, dim)`."""
        return self.encoder(inputs.for_encoder(slices, self.encoder), training=True)


def lengths(view):
    """How many samples of each sound are real, int32 `(batch,)`, and how many there are with the padding."""
    waves, mask = parts(inputs.AUDIO, view)
    return ends(waves, mask), ops.shape(waves)[1]


def check_length(method, view, least):
    """Raises where sounds have fewer than `least` samples."""
    waves, _ = parts(inputs.AUDIO, view)
    if waves.shape[1] is not None and waves.shape[1] < least:
        raise ValueError(
            f"{type(method).__name__} needs sounds of at least {least} samples. Received: {waves.shape[1]} samples. "
            "Take longer sounds, or shorter slices."
        )


def cut(view, starts, length):
    """Slices of each sound.

    Args:
        view: waves `(batch, samples)`, or a dict of them and their mask.
        starts: int32 `(batch, count)`, where each begins.
        length: int, samples of a slice.

    Returns:
        what `view` is, of `batch * count` rows: the slices of the first sound, then those of the second, and so on.
    """
    count = starts.shape[1]
    places = starts[:, :, None] + ops.arange(length, dtype="int32")
    places = ops.reshape(places, (-1, count * length))

    def of(values):
        return ops.reshape(select(values, places), (-1, length))

    return {name: of(values) for name, values in view.items()} if isinstance(view, dict) else of(view)
