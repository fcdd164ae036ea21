r"""TemporalContrastive: Temporal Contrastive Pretraining for Video Action Recognition (Lorre et al., 2020).

https://openaccess.thecvf.com/content_WACV_2020/html/Lorre_Temporal_Contrastive_Pretraining_for_Video_Action_Recognition_WACV_2020_paper.html

Objective:
    \mathcal{L} = -\operatorname{mean}_{t, k} \log \frac{\exp(z_{t+k}^{\top} W_k \, c_t)}{\sum_{z \in Z} \exp(z^{\top}
    W_k \, c_t)}
    where $z_t$ are the features of the clips of a video, one after the other, $c_t$ is the context, what a GRU made of
    those up to $t$, and $Z$ holds all clips of all videos of the batch.

Flow:
    clips of a video -> encoder -> features -> GRU -> context -> a prediction for each step ahead -> cross-entropy
    features -> cross-entropy
    clips of other times and videos -> encoder

Take it when videos are long, something goes on in them that has a course, and the encoder is to know how it goes on.

Leave it when videos are shorter than some eight clips, or nothing in them tells what comes next.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute, heads
from keras_ssl.losses.vectors import precise
from keras_ssl.methods.video.frames import WholeClips, check_frames


@keras.saving.register_keras_serializable("keras_ssl")
class TemporalContrastive(WholeClips):
    """From the clips up to a moment, the next clips are told among all clips of the batch.

    A video is cut into clips that follow one another without a common frame. The others that a clip is told from are
    those of other videos, which the background can tell; clips of the same video that the context has seen, which it
    may know again; and those that come later, which only motion can tell. `accuracy` is how often the right clip has
    the highest score, `hard` the same among all clips of the own video: who only rules out those that the context has
    seen is right for half of them, with eight clips and the defaults.

    The authors' code is not public: the size of the context, the numbers of clips and of frames are arguments.

    Args:
        encoder: `keras.Model` from clips of `length` frames to features `(batch, dim)`;
            `keras_ssl.encoders.r3d18(..., factorized=True)`.
        augment: layer from videos to one view of `length * clips` frames, with one crop for all of them;
            `keras_ssl.augment.temporal_contrastive`.
        length: int, the frames of a clip (8).
        past: int, how many clips the first context has seen (5).
        steps: int, how many clips ahead are told (3).
        context: int, units of the GRU (256).

    Raises:
        ValueError: a view has fewer than `past + steps` clips, or frames that fill no clip.

    Example:

    >>> encoder = keras_ssl.encoders.r3d18((4, 32, 32, 3), width=16, factorized=True)
    >>> view = keras_ssl.augment.temporal_contrastive(32, frames=20)
    >>> model = keras_ssl.TemporalContrastive(encoder, view, length=4, past=3, steps=2)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> videos = np.random.randint(0, 256, (8, 24, 40, 40, 3), "uint8")
    >>> model.fit(keras_ssl.data.arrays({"video": videos}, batch_size=4), epochs=1)
    """

    terms = ("accuracy", "hard")
    view_counts = (1, 1)

    bounds = {
        "length": checks.ints(),
        "past": checks.ints(),
        "steps": checks.ints(),
        "context": checks.ints(),
    }

    def __init__(self, encoder, augment=None, *, length=8, past=5, steps=3, context=256, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        self.length, self.past, self.steps, self.context = length, past, steps, context
        features = encoder.output_shape[-1]
        self.recurrence = keras.layers.GRU(context, return_sequences=True, unroll=True, name="recurrence")
        self.recurrence.build((None, None, features))
        self.predictor = heads.linear(context, steps * features, bias=False, name="predictor")

    def check_views(self, views):
        check_frames(self, views[0], self.length * (self.past + self.steps))
        frames = views[0].shape[1]
        if frames % self.length:
            raise ValueError(
                f"TemporalContrastive needs views whose frames fill clips of {self.length}. Received: {frames} frames"
            )
        super().check_views([self.cut(view) for view in views])

    def cut(self, videos):
        """Videos `(batch, frames, ...)` as clips, `(batch * clips, length, ...)`."""
        return ops.reshape(videos, (-1, self.length, *ops.shape(videos)[2:]))

    def objective(self, views):
        clips = views[0].shape[1] // self.length
        z = self.encoder(self.cut(views[0]), training=True)
        size = z.shape[-1]
        z = ops.reshape(z, (-1, clips, size))  # (batch, clips, size)
        c = self.recurrence(z, training=True)  # (batch, clips, context)
        said = ops.reshape(self.predictor(ops.reshape(c, (-1, self.context))), (-1, clips, self.steps, size))
        z, said = precise(z), precise(said)
        everyone = ops.reshape(distribute.gather(z), (-1, size))  # (total * clips, size)
        videos = ops.shape(z)[0]
        first = distribute.first_row(videos)
        losses, right, hard = [], [], []
        for k in range(1, self.steps + 1):
            times = ops.arange(self.past - 1, clips - k, dtype="int32")
            scores = ops.matmul(said[:, self.past - 1 : clips - k, k - 1], ops.transpose(everyone))
            own = (ops.arange(videos, dtype="int32") + first)[:, None] * clips
            targets = own + times[None, :] + k  # (batch, times)
            losses.append(ops.sparse_categorical_crossentropy(targets, scores, from_logits=True))
            right.append(ops.cast(ops.argmax(scores, axis=-1), "int32") == targets)
            same = ops.einsum("btd,bcd->btc", said[:, self.past - 1 : clips - k, k - 1], z)
            hard.append(ops.cast(ops.argmax(same, axis=-1), "int32") == times[None, :] + k)
        loss, right, hard = (
            ops.mean(ops.cast(ops.concatenate(parts, axis=1), "float32")) for parts in (losses, right, hard)
        )
        return {"loss": loss, "accuracy": right, "hard": hard}
