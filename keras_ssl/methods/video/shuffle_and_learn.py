r"""ShuffleAndLearn: Shuffle and Learn: Unsupervised Learning using Temporal Order Verification (Misra et al., 2016).

https://arxiv.org/abs/1603.08561

Objective:
    \mathcal{L} = -\operatorname{mean} \left[ y \log p + (1 - y) \log (1 - p) \right], \quad p = \sigma(h([f(x_b),
    f(x_m), f(x_d)]))
    where $x_b$ and $x_d$ are two frames of a video, and $x_m$ is shown between them: a frame that lies between them,
    $y = 1$, or one from before or after both, $y = 0$.

Flow:
    first frame -> encoder -> head -> cross-entropy
    middle frame -> encoder
    last frame -> encoder

Take it when what moves has a pose that changes step by step, people above all, and an encoder of images is wanted.

Leave it when videos stand still (nothing can be told then), or motion repeats itself within a moment.
"""

import keras
from keras import ops

from keras_ssl import checks, heads
from keras_ssl.augment.places import select
from keras_ssl.augment.random import choose, uniform
from keras_ssl.augment.rows import local_seeds
from keras_ssl.methods.video.frames import WholeClips, check_encoder, check_frames, one_by_one


@keras.saving.register_keras_serializable("keras_ssl")
class ShuffleAndLearn(WholeClips):
    """Of three frames it is told whether they are in order: the outer two stay, and the middle one may be misplaced.

    Of five frames in order, a, b, c, d and e, three are drawn: (b, c, d), which are in order, or (b, a, d) and
    (b, e, d), which are not; each may be played backwards. As both kinds have the same outer frames, these tell
    nothing. Where something moves, tuples are more likely: with a probability in proportion to the mean difference of
    neighboring frames between b and d, in place of the paper's optical flow; of large frames, that of some 32 x 32 of
    their pixels. `accuracy` is logged beside the loss; saying "not in order" always is right three times out of four.

    All frames of the clips are views in float32, of which three are then taken: with the paper's 96 frames of 227
    pixels that is 59 MB a clip.

    Args:
        encoder: `keras.Model` from clips of one frame or more to features `(batch, dim)`;
            `keras_ssl.encoders.over_time` of an encoder of images.
        augment: layer from videos to one clip, with one crop for all of its frames;
            `keras_ssl.augment.shuffle_and_learn`.
        longest: int, the most frames from b to d (60); less where the clip is short.
        apart: int, the least frames from a to b, and from d to e (15).
        positives: float in (0, 1), the share of tuples that are in order (0.25).
        reverse: float in [0, 1], the probability that a tuple is played backwards (0.5).
        motion: whether tuples where more moves are more likely.
        hidden: int, units of a hidden layer of the head; 0 for a linear head, as in the paper.

    Raises:
        ValueError: clips have fewer than `2 * apart + 3` frames.

    Example:

    >>> images = keras_ssl.encoders.resnet18((64, 64, 3), width=16)
    >>> encoder = keras_ssl.encoders.over_time(images)
    >>> model = keras_ssl.ShuffleAndLearn(encoder, keras_ssl.augment.shuffle_and_learn(64, frames=48), apart=8)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.001, momentum=0.9, weight_decay=5e-4))
    >>> videos = np.random.randint(0, 256, (4, 50, 72, 96, 3), "uint8")
    >>> model.fit(keras_ssl.data.arrays({"video": videos}, batch_size=4), epochs=1)
    """

    terms = ("accuracy",)
    view_counts = (1, 1)

    bounds = {
        "longest": checks.ints(2),
        "apart": checks.ints(),
        "positives": checks.numbers(above=0, below=1),
        "reverse": checks.numbers(least=0, most=1),
        "motion": checks.flag(),
        "hidden": checks.ints(0),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        longest=60,
        apart=15,
        positives=0.25,
        reverse=0.5,
        motion=True,
        hidden=0,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        check_encoder(self, encoder)
        self.longest, self.apart, self.positives, self.reverse = longest, apart, positives, reverse
        self.motion, self.hidden = motion, hidden
        features = 3 * encoder.output_shape[-1]
        self.head = heads.mlp(
            features, hidden, 1, depth=2 if hidden else 1, batch_norm=False, output_bias=True, name="head"
        )
        self.draws = keras.random.SeedGenerator()

    def check_views(self, views):
        check_frames(self, views[0], 2 * self.apart + 3)
        super().check_views([one_by_one(view) for view in views])

    def objective(self, views):
        places, ordered = self.tuples(views[0])
        frames = select(views[0], places)  # (batch, 3, height, width, channels)
        features = self.encoder(one_by_one(frames), training=True)
        features = ops.reshape(features, (-1, 3 * features.shape[-1]))  # side by side, in the order shown
        logits = ops.cast(self.head(features, training=True), "float32")[:, 0]
        right = ops.cast((logits > 0) == ordered, "float32")
        return {
            "loss": ops.mean(ops.softplus(logits) - ops.cast(ordered, "float32") * logits),
            "accuracy": ops.mean(right),
        }

    def tuples(self, clips):
        """Which frames are shown, int32 `(batch, 3)`, and whether they are in order, bool `(batch,)`."""
        batch, frames = ops.shape(clips)[0], clips.shape[1]
        draws = uniform(local_seeds(self.draws, batch), 7)
        last = frames - 1 - self.apart  # of d
        span = ops.cast(2 + choose(draws[:, 0], min(self.longest, last - self.apart) - 2), "int32")  # from b to d
        b = self.begin(clips, span, last, draws[:, 1])
        d = b + span

        def between(draw, low, high):
            return low + ops.cast(choose(draw, ops.cast(high - low, "float32")), "int32")

        c = between(draws[:, 2], b + 1, d - 1)
        before = between(draws[:, 3], ops.zeros_like(b), b - self.apart)
        after = between(draws[:, 3], d + self.apart, ops.full_like(d, frames - 1))
        ordered = draws[:, 4] < self.positives
        middle = ops.where(ordered, c, ops.where(draws[:, 5] < 0.5, before, after))
        backwards = draws[:, 6] < self.reverse
        places = [ops.where(backwards, d, b), middle, ops.where(backwards, b, d)]
        return ops.stack(places, axis=1), ordered

    def begin(self, clips, span, last, draw):
        """The first outer frame, int32 `(batch,)`: the more moves up to the second one, the likelier."""
        starts = ops.arange(self.apart, last - 1, dtype="int32")[None, :]  # (1, starts)
        fits = starts + span[:, None] <= last
        weight = ops.cast(fits, "float32")
        if self.motion:
            pixels = ops.cast(ops.stop_gradient(thinned(clips)), "float32")
            moves = ops.mean(ops.abs(pixels[:, 1:] - pixels[:, :-1]), axis=(2, 3, 4))  # (batch, frames - 1)
            total = ops.pad(ops.cumsum(moves, axis=1), [(0, 0), (1, 0)])
            ends = ops.minimum(starts + span[:, None], last)
            within = select(total, ends) - select(total, ops.broadcast_to(starts, ops.shape(ends)))
            weight = weight * (within + 1e-6)  # where nothing moves, all places are alike
        share = ops.cumsum(weight, axis=1)
        place = ops.sum(ops.cast(share <= draw[:, None] * share[:, -1:], "int32"), axis=1)
        count = ops.sum(ops.cast(fits, "int32"), axis=1)
        return self.apart + ops.minimum(place, count - 1)


def thinned(clips):
    """Clips `(batch, frames, height, width, channels)` with every k-th row and column: at most 63 of each."""
    rows, columns = (max(1, (side or 1) // 32) for side in clips.shape[2:4])
    return clips[:, :, ::rows, ::columns]
