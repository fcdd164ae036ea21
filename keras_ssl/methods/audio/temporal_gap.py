r"""TemporalGap: Self-supervised audio representation learning for mobile devices (Tagliasacchi et al., 2019).

https://arxiv.org/abs/1905.11796

Objective:
    \mathcal{L} = -\operatorname{mean} \left[ \delta \log p + (1 - \delta) \log (1 - p) \right],
    \quad \delta = \frac{|i - j|}{N}
    where $i$ and $j$ are the starts of two slices of a sound, $N$ the largest distance that they can have, and $p$ what
    the head makes of the features of both.

Flow:
    slice at i -> encoder -> head -> cross-entropy
    slice at j -> encoder
    distance of i and j ~> cross-entropy

Take it when recordings are long and change slowly, and the encoder must be small: it reconstructs nothing and has no
    negatives.

Leave it when recordings are as short as a word, or sound the same from beginning to end: then no distance can be heard.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.augment.random import choose, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.methods.audio.slices import Sliced, cut, lengths


@keras.saving.register_keras_serializable("keras_ssl")
class TemporalGap(Sliced):
    """A small head tells how far apart in time two slices of a sound are, from the features of both.

    The slices start anywhere in what is real of the sound, by its mask where the data has one, whether or not the
    encoder takes it. They are drawn independently of each other, and may overlap. Their distance
    is a share of the largest that the padded sounds allow. `error`, the mean difference between the share and what is
    said, is logged beside the loss, which does not go to 0: one answer for all, 1/3, has an error of about 0.2.

    Args:
        encoder: `keras.Model` from waves to features `(batch, dim)`; `keras_ssl.encoders.audio2vec` is the paper's.
        augment: layer from sounds to one view, longer than a slice, such as `keras_ssl.augment.AudioCrop`.
        length: int, samples of a slice (15600: 975 ms at 16 kHz, 96 frames).
        hidden: int, units of the head's hidden layer (64).

    Raises:
        ValueError: the sounds are no longer than a slice.

    Example:

    >>> encoder = keras_ssl.encoders.audio2vec(front=keras_ssl.encoders.LogMel(16_000))
    >>> model = keras_ssl.TemporalGap(encoder, keras_ssl.augment.AudioCrop(48_000))
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> sounds = keras_ssl.data.arrays({"audio": np.random.normal(size=(8, 64_000))}, batch_size=4)
    >>> model.fit(sounds, epochs=1)
    """

    terms = ("error",)

    bounds = {"length": checks.ints(), "hidden": checks.ints()}

    def __init__(self, encoder, augment=None, *, length=15_600, hidden=64, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.length, self.hidden = length, hidden
        self.head = heads.mlp(
            2 * encoder.output_shape[-1], hidden, 1, batch_norm=False, output_bias=True, name="head"
        )
        self.draws = keras.random.SeedGenerator()

    @property
    def least_samples(self):
        return self.length + 1

    def objective(self, views):
        starts, share = self.slices(views[0])
        features = self.features(cut(views[0], starts, self.length))
        features = ops.reshape(features, (-1, 2 * features.shape[-1]))  # those of both slices, side by side
        logits = ops.cast(self.head(features, training=True), "float32")[:, 0]
        loss = ops.mean(ops.softplus(logits) - share * logits)
        return {"loss": loss, "error": ops.mean(ops.abs(ops.sigmoid(logits) - share))}

    def slices(self, view):
        """Where the two slices of each sound start, int32 `(batch, 2)`, and their distance, a share of the largest."""
        end, samples = lengths(view)
        last = ops.maximum(end - self.length, 0)
        draws = uniform(local_seeds(self.draws, ops.shape(end)[0]), 2)
        starts = choose(draws, ops.cast(last, "float32")[:, None])
        share = ops.abs(starts[:, 0] - starts[:, 1]) / ops.cast(samples - self.length, "float32")
        return ops.cast(starts, "int32"), share
