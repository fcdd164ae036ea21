r"""FrameOrder: Shuffle and Learn: Unsupervised Learning using Temporal Order Verification (Misra et al., 2016).

https://arxiv.org/abs/1603.08561

Objective:
    \mathcal{L} = -\operatorname{mean}_i \log \frac{\exp(z_i \cdot z'_i / \tau)}{\sum_{j} \exp(z_i \cdot z'_j / \tau) +
    \exp(z_i \cdot s_i / \tau)}
    where $z_i$ and $z'_i$ are the unit embeddings of two clips of video $i$, and $s_i$ that of its first clip with the
    frames in another order; or, where such a clip is a positive, $z'_i$ is it, and there is no $s_i$.

Flow:
    clip 1 -> encoder -> projector -> InfoNCE
    clip 2 -> encoder
    clip 1 in another order -> encoder

Take it when the order of things has to be known, and an encoder that sees time is what is trained.

Leave it when clips look the same forwards and backwards, or are told apart by single frames.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute, heads
from keras_ssl.augment.places import order, select
from keras_ssl.augment.rows import local_seeds
from keras_ssl.inputs import together
from keras_ssl.losses import nt_xent
from keras_ssl.losses.vectors import unit
from keras_ssl.methods.video.frames import WholeClips, check_frames


@keras.saving.register_keras_serializable("keras_ssl")
class FrameOrder(WholeClips):
    """A clip and the same clip with its frames in another order: far from each other, or near.

    The contrastive form of order verification. With `shuffled="negative"` two clips of a video attract each other, and
    the first repels itself in another order beside all clips of other videos: what tells them apart is time alone. With
    `shuffled="positive"`, the convention of some surveys, a clip and itself in another order attract each other, so
    that the features forget time: for comparison.

    Args:
        encoder: `keras.Model` from clips to features `(batch, dim)`, such as `keras_ssl.encoders.r3d18`.
        augment: layer from videos to two clips, such as `keras_ssl.augment.cvrl`; to one for `"positive"`.
        shuffled: `"negative"` or `"positive"`.
        hidden: int, units of the projector's hidden layer; None for the size of the features.
        dim: int, size of the embedding (128).
        temperature: float > 0 (tau, 0.1).

    Example:

    >>> encoder = keras_ssl.encoders.r3d18((8, 64, 64, 3), width=16)
    >>> model = keras_ssl.FrameOrder(encoder, keras_ssl.augment.cvrl(64, frames=8))
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.1, momentum=0.9))
    >>> videos = np.random.randint(0, 256, (8, 24, 72, 96, 3), "uint8")
    >>> model.fit(keras_ssl.data.arrays({"video": videos}, batch_size=4), epochs=1)
    """

    view_counts = (1, 2)
    least_batch = 2

    bounds = {
        "shuffled": checks.choice("negative", "positive"),
        "hidden": checks.ints(optional=True),
        "dim": checks.ints(),
        "temperature": checks.numbers(above=0),
    }

    def __init__(
        self, encoder, augment=None, *, shuffled="negative", hidden=None, dim=128, temperature=0.1, **kwargs
    ):
        super().__init__(encoder, augment, **kwargs)
        self.shuffled, self.hidden, self.dim, self.temperature = shuffled, hidden, dim, temperature
        self.view_counts = (1, 1) if shuffled == "positive" else (2, 2)
        features = encoder.output_shape[-1]
        self.projector = heads.mlp(features, hidden or features, dim, name="projector")
        self.draws = keras.random.SeedGenerator()

    def check_views(self, views):
        super().check_views(views)
        check_frames(self, views[0], 2)

    def objective(self, views):
        other = self.mixed(views[0])
        features = self.encoder(together([*views, other]), training=True)
        embedded = ops.split(self.projector(features, training=True), len(views) + 1)
        if self.shuffled == "positive":
            return nt_xent(*embedded, self.temperature)
        first, second, mixed = (unit(x) for x in embedded)
        rows = ops.shape(first)[0]
        scores = ops.matmul(first, ops.transpose(distribute.gather(second)))  # (batch, total)
        own = ops.sum(first * mixed, axis=-1, keepdims=True)  # (batch, 1)
        labels = distribute.first_row(rows) + ops.arange(rows, dtype="int32")
        logits = ops.concatenate([scores, own], axis=-1) / self.temperature
        return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))

    def mixed(self, clips):
        """The clips with their frames in another order, never their own."""
        seeds = local_seeds(self.draws, ops.shape(clips)[0])
        return select(clips, order(seeds, clips.shape[1], identity=False))
