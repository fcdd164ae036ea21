r"""VINCE: Watching the World Go By: Representation Learning from Unlabeled Videos (Gordon et al., 2020).

https://arxiv.org/abs/2003.07990

Objective:
    \mathcal{L} = -\operatorname{mean}_{v, a, b} \log \frac{\exp(q_{va} \cdot k_{vb} / \tau)}{\exp(q_{va} \cdot k_{vb} /
    \tau) + \sum_{n \in Q} \exp(q_{va} \cdot n / \tau)}
    where $q_{va}$ are the queries of frames of video $v$, $k_{vb}$ the keys of other frames of it, which get no
    gradient, and $Q$ holds the keys of all other videos of the batch and those of the queue.

Flow:
    frames -> encoder -> head -> InfoNCE
    other frames ~> key encoder ~> InfoNCE
    key encoder ~> queue ~> InfoNCE
    head ~EMA~> key encoder

Take it when an encoder of images is wanted, and there are videos: other frames show an object from other sides, in
    other light and half hidden, which no augmentation does.

Leave it when motion is what counts (CVRL), or videos hardly move: frames are then as good as copies.
"""

import keras
from keras import ops

from keras_ssl import checks, heads, memory, teacher
from keras_ssl.losses import info_nce_frames
from keras_ssl.method import Method
from keras_ssl.methods.video.frames import check_encoder, check_frames, one_by_one


@keras.saving.register_keras_serializable("keras_ssl")
class VINCE(Method):
    """A frame finds every other frame of its video among frames of other videos and a queue of earlier ones.

    It is MoCo with several positives: each pair of a query and a key of one video is a term of its own, in whose
    denominator the video's other keys are left out. A batch must not hold two clips of one video: they would be
    negatives of each other (`clips=1` of `keras_ssl.data.video_folder`).

    Batch normalization would give the key away where the frames of a video share its statistics: the queries of all
    videos and replicas are shuffled for their forward pass, and so are the keys, in another order. On one device, give
    the encoder of images statistics of its own for parts of the batch (`batch_norm_groups=8`) to have the same. How
    often a key of the own video is nearer than all others is logged as `accuracy`.

    Where videos carry a mask, `keras_ssl.augment.vince` draws real frames only. The queue starts with random keys, and
    is full of real ones after `queue_size / (videos * frames)` steps.

    Args:
        encoder: `keras.Model` from clips of one frame or more to features `(batch, dim)`;
            `keras_ssl.encoders.over_time` of an encoder of images.
        augment: layer from videos to two clips of as many frames each, which are the queries and the keys;
            `keras_ssl.augment.vince`.
        hidden: int, units of the head's hidden layer; None for the size of the features, as in the authors' code.
        dim: int, size of queries and keys (64).
        queue_size: int, number of keys in the queue (65536). All keys of a batch enter it.
        temperature: float > 0 (tau, 0.07).
        momentum: float in [0, 1] (0.999).
        shuffle: whether the frames of the batch, of all replicas, change places for the forward passes.

    Example:

    >>> images = keras_ssl.encoders.resnet18((64, 64, 3), width=16, batch_norm_groups=8)
    >>> encoder = keras_ssl.encoders.over_time(images)
    >>> model = keras_ssl.VINCE(encoder, keras_ssl.augment.vince(64), queue_size=4096)
    >>> model.compile(optimizer=keras_ssl.optimizers.SGD(0.03, momentum=0.9, weight_decay=1e-4))
    >>> videos = np.random.randint(0, 256, (8, 24, 72, 96, 3), "uint8")
    >>> model.fit(keras_ssl.data.arrays({"video": videos}, batch_size=4), epochs=1)
    """

    terms = ("accuracy",)
    view_counts = (2, 2)

    bounds = {
        "hidden": checks.ints(optional=True),
        "dim": checks.ints(),
        "queue_size": checks.ints(),
        "temperature": checks.numbers(above=0),
        "momentum": checks.numbers(least=0, most=1),
        "shuffle": checks.flag(),
    }

    def __init__(
        self,
        encoder,
        augment=None,
        *,
        hidden=None,
        dim=64,
        queue_size=65536,
        temperature=0.07,
        momentum=0.999,
        shuffle=True,
        **kwargs,
    ):
        super().__init__(encoder, augment, **kwargs)
        check_encoder(self, encoder)
        self.hidden, self.dim, self.queue_size, self.temperature = hidden, dim, queue_size, temperature
        self.momentum, self.shuffle = momentum, shuffle
        features = encoder.output_shape[-1]
        head = heads.mlp(features, hidden or features, dim, batch_norm=False, output_bias=True, name="head")
        self.query_encoder = heads.attach(encoder, head)
        self.key_encoder = teacher.copy(self.query_encoder)
        self.queue = memory.Queue(queue_size, dim)
        self.order = keras.random.SeedGenerator()

    def check_views(self, views):
        for view in views:
            check_frames(self, view)
        super().check_views([one_by_one(view) for view in views])

    def objective(self, views):
        frames, others = views
        queries = self.embedded(self.query_encoder, frames)  # (batch * frames, dim)
        keys = ops.stop_gradient(self.embedded(self.key_encoder, others))
        by_video = [ops.reshape(x, (-1, view.shape[1], self.dim)) for x, view in ((queries, frames), (keys, others))]
        loss, accuracy = info_nce_frames(*by_video, self.queue.read(), self.temperature)
        return {"loss": loss, "accuracy": accuracy, "keys": ops.normalize(ops.cast(keys, "float32"), axis=-1)}

    def embedded(self, network, clips):
        """What a network makes of the frames of the clips, one by one."""
        frames = one_by_one(clips)
        if not self.shuffle:
            return network(frames, training=True)
        return teacher.shuffled(network, frames, self.order, gradient=network is self.query_encoder)

    def after_step(self, outputs):
        teacher.follow(self.key_encoder, self.query_encoder, self.momentum)
        self.queue.push(outputs["keys"])
