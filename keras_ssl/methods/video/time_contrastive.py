r"""TimeContrastive: Time-Contrastive Networks: Self-Supervised Learning from Video (Sermanet et al., 2017).

https://arxiv.org/abs/1704.06888

Objective:
    \mathcal{L} = \operatorname{mean}_{a, p} \max \left( 0, \| f_a - f_p \|^2 - \| f_a - f_n \|^2 + m \right)
    where $f$ are the embeddings of frames, $a$ and $p$ are near in time, or seen at the same time by two cameras, and
    $n$ is the nearest frame of another time or video that is further away from $a$ than $p$ is.

Flow:
    frames -> encoder -> triplet loss
    frames of another camera -> encoder

Take it when it has to be known how far an action has come: two videos of it can then be aligned, frame by frame. Two
    cameras are better than one.

Leave it when what is in a picture counts, and not what is being done.
"""

import keras
from keras import ops

from keras_ssl import checks, distribute
from keras_ssl.augment.places import order, select
from keras_ssl.augment.rows import local_seeds
from keras_ssl.losses import semi_hard_in_time, semi_hard_triplets
from keras_ssl.methods.video.frames import WholeClips, check_encoder, check_frames, one_by_one


@keras.saving.register_keras_serializable("keras_ssl")
class TimeContrastive(WholeClips):
    """Frames that are near in time lie near each other, and far from those of other times.

    With one camera, frames at most `near` apart belong together, and those more than `far` apart, and of other videos,
    do not. With two, the frames of one time do, whatever the time before and after looks like: the encoder has to find
    what both see. Frames of all other times are then negatives, also those just before and after: give it long clips,
    of which it draws some times (`times`; the authors' code 18 in 20 seconds). There is no head: the encoder's features
    are the embeddings. `nearest` is how often a frame is nearer to one that it belongs to than to all that it does not.

    Args:
        encoder: `keras.Model` from clips of one frame or more to embeddings `(batch, dim)`;
            `keras_ssl.encoders.over_time` of `keras_ssl.encoders.tcn`.
        augment: layer from videos to one clip; `keras_ssl.augment.time_contrastive`. For two cameras None: the data
            then holds two clips of the same times, `{"views": (first, second)}`.
        cameras: 1 or 2.
        near: int, how many frames apart those are at most that belong together (6), with one camera.
        far: int of at least `near`; those that are more frames apart do not belong together (12), with one camera.
        margin: float from 0 (0.2).
        times: None, or with two cameras an int: how many times are drawn of those of a clip, each once, the same for
            both cameras. The encoder sees these frames alone.

    Raises:
        ValueError: a clip has no frames that are more than `far` apart, or fewer than `times`; or `times` is given for
            one camera.

    Example:

    >>> images = keras_ssl.encoders.resnet18((64, 64, 3), width=16)
    >>> encoder = keras_ssl.encoders.over_time(keras_ssl.encoders.tcn(images, filters=(64,), hidden=256))
    >>> model = keras_ssl.TimeContrastive(encoder, keras_ssl.augment.time_contrastive(64, frames=20))
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> videos = np.random.randint(0, 256, (4, 24, 72, 96, 3), "uint8")
    >>> model.fit(keras_ssl.data.arrays({"video": videos}, batch_size=2), epochs=1)
    """

    terms = ("nearest",)
    view_counts = (1, 2)

    bounds = {
        "cameras": checks.choice(1, 2),
        "near": checks.ints(),
        "far": checks.ints(),
        "margin": checks.numbers(least=0),
        "times": checks.ints(2, optional=True),
    }

    def __init__(self, encoder, augment=None, *, cameras=1, near=6, far=12, margin=0.2, times=None, **kwargs):
        super().__init__(encoder, augment, **kwargs)
        check_encoder(self, encoder)
        if far < near:
            raise ValueError(f"far must be at least near. Received: near={near}, far={far}")
        if times is not None and cameras == 1:
            raise ValueError(f"times are drawn for two cameras. Received: times={times}, cameras=1")
        self.cameras, self.near, self.far, self.margin, self.times = cameras, near, far, margin, times
        self.view_counts = (cameras, cameras)
        self.draws = keras.random.SeedGenerator()

    def check_views(self, views):
        for view in views:
            check_frames(self, view, self.far + 2 if self.cameras == 1 else self.times or 2)
        super().check_views([one_by_one(view) for view in views])

    def objective(self, views):
        views = views if self.times is None else self.at_times(views)
        frames = views[0].shape[1]
        embedded = [self.encoder(one_by_one(view), training=True) for view in views]
        if self.cameras == 1:
            by_video = ops.reshape(embedded[0], (-1, frames, embedded[0].shape[-1]))
            loss, nearest = semi_hard_in_time(by_video, self.near, self.far, self.margin)
        else:
            pairs = ops.stack(embedded, axis=1)  # (batch * frames, 2, dim)
            loss, nearest = semi_hard_triplets(pairs, self.moments(pairs), self.margin)
        return {"loss": loss, "nearest": nearest}

    def at_times(self, views):
        """Some frames of the clips, of the same random times in all views."""
        places = order(local_seeds(self.draws, ops.shape(views[0])[0]), views[0].shape[1])[:, : self.times]
        return [select(view, places) for view in views]

    def moments(self, pairs):
        """A number for each moment of each video, of all replicas."""
        rows = ops.shape(pairs)[0]
        return distribute.first_row(rows) + ops.arange(rows, dtype="int32")

    def align(self, first, second):
        """How well two videos of one action are aligned by the embeddings.

        Args:
            first, second: `(frames, height, width, 3)` each.

        Returns:
            float from 0 to 1, the mean of `|t - t'| / frames`, where t' is the frame of the second video nearest to
            frame t of the first, and both videos run at one pace from start to end.
        """
        one, other = (ops.convert_to_numpy(self.predict(video[:, None], verbose=0)) for video in (first, second))
        nearest = ops.convert_to_numpy(
            ops.argmin(ops.sum(ops.square(one[:, None] - other[None]), axis=-1), axis=1)
        )
        expected = [t * (len(other) - 1) / max(len(one) - 1, 1) for t in range(len(one))]
        return float(abs(nearest - expected).mean() / len(other))
