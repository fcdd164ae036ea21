r"""Audio2VecSkipGram: Self-supervised audio representation learning for mobile devices (Tagliasacchi et al., 2019).

https://arxiv.org/abs/1905.11796

Objective:
    \mathcal{L} = \operatorname{mean}_i \left( x_{t+i} - g_i(z_t) \right)^2, \quad i \in \{-P, \dots, -1, 1, \dots, P\}
    where $z_t$ are the features of the slice in the middle, $x_{t+i}$ is the spectrogram of a neighbor, and $g_i$ what
    the decoder makes of it.

Flow:
    slice in the middle -> encoder -> decoder -> squared error
    slices before and after ~> spectrograms ~> squared error

Take it when sounds are recordings of some seconds; it runs the encoder once where `Audio2VecCBoW` does four times.

Leave it when a recording does not hold five slices, or what comes next cannot be guessed from one of them.
"""

import keras
from keras import ops

from keras_ssl.methods.audio.audio2vec_cbow import WIDTHS, Audio2Vec
from keras_ssl.methods.audio.slices import cut


@keras.saving.register_keras_serializable("keras_ssl")
class Audio2VecSkipGram(Audio2Vec):
    """A decoder paints the spectrograms of the slices before and after from the features of the slice between them.

    Between two slices is a gap, so that they share no sample. Where the slices begin is drawn anew for each sound at
    each step. Where the data has a mask, frames of padding have no part in the error, and each sound counts alike; one
    in whose slices nothing is real counts as 0.

    Args:
        encoder: `keras.Model` from waves to features `(batch, dim)`; `keras_ssl.encoders.audio2vec` is the paper's.
        augment: layer from sounds to one view, as long as all slices together or longer, such as
            `keras_ssl.augment.AudioCrop`.
        spectrogram: `keras_ssl.encoders.LogMel`, best that of the encoder, standardized by `fitted`, as the error is
            in its unit.
        frames: int, frames of a slice (96: 975 ms).
        neighbors: int, slices before, and as many after (P, 2).
        gap: int, frames between two slices (2); where windows overlap, fewer than 2 let them share samples.
        widths: ints, channels of the encoder's blocks, which the decoder has in the other order (8, 16, 32, 64, 64,
            128).

    Raises:
        ValueError: the sounds are shorter than all slices together.

    Example:

    >>> front = keras_ssl.encoders.LogMel(16_000)
    >>> encoder = keras_ssl.encoders.audio2vec(front=front)
    >>> model = keras_ssl.Audio2VecSkipGram(encoder, keras_ssl.augment.AudioCrop(80_000), spectrogram=front)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> sounds = keras_ssl.data.arrays({"audio": np.random.normal(size=(8, 96_000))}, batch_size=4)
    >>> model.fit(sounds, epochs=1)
    """

    def __init__(
        self, encoder, augment=None, *, spectrogram, frames=96, neighbors=2, gap=2, widths=WIDTHS, **kwargs
    ):
        options = {"frames": frames, "neighbors": neighbors, "gap": gap, "widths": widths}
        super().__init__(encoder, augment, spectrogram=spectrogram, **options, **kwargs)
        self.decoder = self.decoder_of(encoder.output_shape[-1], slices=2 * neighbors)

    def objective(self, views):
        starts, middle = self.starts(views[0]), self.neighbors
        features = self.features(cut(views[0], starts[:, middle : middle + 1], self.length))
        found = ops.cast(self.decoder(features, training=True), "float32")  # (batch, frames, mels, slices)
        found = ops.reshape(ops.moveaxis(found, 3, 1), (-1, *found.shape[1:3]))  # a slice after the other
        around = ops.concatenate([starts[:, :middle], starts[:, middle + 1 :]], axis=1)
        return self.error(found, cut(views[0], around, self.length), 2 * middle)
