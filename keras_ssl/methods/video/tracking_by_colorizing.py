r"""TrackingByColorizing: Tracking Emerges by Colorizing Videos (Vondrick et al., 2018).

https://arxiv.org/abs/1806.09594

Objective:
    \mathcal{L} = -\operatorname{mean}_j \log \hat c_{j, y_j}, \quad \hat c_j = \sum_i A_{ij} c_i, \quad A_{ij} =
    \frac{\exp(f_i \cdot f_j / \tau)}{\sum_k \exp(f_k \cdot f_j / \tau)}
    where $f$ are the embeddings of places, $i$ and $k$ run over all places of the reference frames, $j$ over those of
    the target frame, $c_i$ is the color of a place, one of some clusters, and $y_j$ that of the target.

Flow:
    gray frames -> encoder -> map -> embeddings -> pointers
    colors of references ~> pointers
    pointers -> cross-entropy
    colors of target ~> cross-entropy

Take it when something has to be followed through videos: masks, key points or colors of the first frame are carried
    along by the same pointers, without any label to train on.

Leave it when one vector for a whole clip is wanted, or videos have no color.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_ssl import checks, encoders, heads
from keras_ssl.augment.image.channels import lab_of_rgb
from keras_ssl.checks import check_ints, check_numbers
from keras_ssl.losses.vectors import precise
from keras_ssl.method import check_encoder
from keras_ssl.methods.video.frames import WholeClips, check_frames


def check_centers(name, value):
    """Two numbers for each color."""
    try:
        found = np.asarray(value, "float64")
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.ndim != 2 or found.shape[1] != 2 or len(found) < 2 or not (np.abs(found) < checks.LARGEST).all():
        raise ValueError(
            f"{name} must be two colors or more, a and b of each, from keras_ssl.augment.color_centers(videos). "
            f"Received: {name}={value!r}"
        )


def check_network(network):
    """Raises unless it is an encoder of images; whether it has a map is seen later."""
    shape = getattr(network, "input_shape", None)
    if not isinstance(network, keras.Model) or not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            "network must be a keras.Model from images of one size to features that it pools from a map, such as "
            f"keras_ssl.encoders.resnet18((64, 64, 3), stem='cifar'). Received: network={network!r} with the input "
            f"shape {shape}"
        )
    check_encoder(network)


@keras.saving.register_keras_serializable("keras_ssl")
class TrackingByColorizing(WholeClips):
    """A gray frame gets its colors by pointing at places of earlier frames, whose colors are copied.

    The last frame of a clip is the target, the others are the references. Nothing says which color a thing has: it can
    only be found where the thing was before, so that the pointers follow it. Frames are seen in gray alone. `accuracy`
    is the share of places whose most likely color is right.

    `encoder`, `predict` and `keras_ssl.export` take color clips, and give the mean of the features of their gray
    frames. `propagate` carries masks through a video.

    Args:
        network: `keras.Model` from images of one size to features that it pools from a map; the paper's map has an
            eighth of the image's height and width: `keras_ssl.encoders.resnet18(..., stem="cifar")`.
        augment: layer from videos to one clip, with one crop for all frames; `keras_ssl.augment.tracking`.
        centers: float array `(colors, 2)`, a and b of the colors; `keras_ssl.augment.color_centers(videos)` (16).
        dim: int, size of an embedding (64).
        depth: int, how many convolutions over time, height and width come before the embedding (5); 0 for none: frames
            are then embedded by themselves.
        width: int, their channels (256).
        temperature: float > 0 (tau, 1).
        position: whether the place in the picture, x and y from -1 to 1, is an input of the convolutions.

    Raises:
        ValueError: the network has no such map or takes images of any size, or centers are not pairs of numbers.

    Example:

    >>> videos = np.random.randint(0, 256, (4, 24, 72, 96, 3), "uint8")
    >>> network = keras_ssl.encoders.resnet18((64, 64, 3), width=16)
    >>> centers = keras_ssl.augment.color_centers(videos)
    >>> model = keras_ssl.TrackingByColorizing(network, keras_ssl.augment.tracking(64), centers=centers, depth=0)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
    >>> model.fit(keras_ssl.data.arrays({"video": videos}, batch_size=2), epochs=1)
    """

    terms = ("accuracy",)
    view_counts = (1, 1)

    bounds = {
        "centers": check_centers,
        "dim": checks.ints(),
        "depth": checks.ints(0),
        "width": checks.ints(),
        "temperature": checks.numbers(above=0),
        "position": checks.flag(),
    }

    def __init__(
        self,
        network,
        augment=None,
        *,
        centers,
        dim=64,
        depth=5,
        width=256,
        temperature=1.0,
        position=True,
        name=None,
        dtype=None,
    ):
        check_network(network)
        embedded = gray_map(network)
        super().__init__(encoders.over_time(of_gray(network)), augment, name=name, dtype=dtype)
        self.network = network
        self.centers = tuple(tuple(map(float, center)) for center in np.asarray(centers, "float64"))
        self.dim, self.depth, self.width, self.temperature = dim, depth, width, temperature
        self.position = position
        self.maps = embedded
        self.embed = embedder(embedded.output_shape[1:], dim, depth, width, position)

    def check_views(self, views):
        check_frames(self, views[0], 2)
        super().check_views(views)

    def objective(self, views):
        clips = views[0]
        f = self.embeddings(clips, training=True)  # (batch, frames, places, dim)
        labels = self.colors_of(clips)  # (batch, frames, places)
        colors = ops.one_hot(labels, len(self.centers), dtype=f.dtype)
        copied = pointed(f[:, -1], in_one(f[:, :-1]), in_one(colors[:, :-1]), self.temperature)
        right = ops.sum(copied * colors[:, -1], axis=-1)  # (batch, places)
        told = ops.cast(ops.argmax(copied, axis=-1), labels.dtype) == labels[:, -1]
        return {"loss": -ops.mean(ops.log(right + 1e-6)), "accuracy": ops.mean(ops.cast(told, "float32"))}

    def embeddings(self, clips, training):
        """The embedding of each place of each frame, float32 `(batch, frames, places, dim)`."""
        frames = ops.shape(clips)[1]
        images = ops.reshape(clips, (-1, *ops.shape(clips)[2:]))
        maps = self.maps(images, training=training)
        maps = ops.reshape(maps, (-1, frames, *maps.shape[1:]))
        f = precise(self.embed(maps, training=training))
        return ops.reshape(f, (-1, frames, f.shape[2] * f.shape[3], self.dim))

    def colors_of(self, clips):
        """The nearest center of the mean color of each place, int32 `(batch, frames, places)`."""
        rows, columns = self.maps.output_shape[1:3]
        frames = ops.shape(clips)[1]
        _, a, b = lab_of_rgb(ops.reshape(clips, (-1, *ops.shape(clips)[2:])))
        found = ops.stop_gradient(shrunk(ops.stack([a, b], axis=-1), rows, columns))
        centers = ops.convert_to_tensor(self.centers, dtype="float32")
        far = ops.sum(ops.square(found[..., None, :] - centers), axis=-1)
        return ops.reshape(ops.cast(ops.argmin(far, axis=-1), "int32"), (-1, frames, rows * columns))

    def propagate(self, video, first, *, memory=3, temperature=0.5, radius=None):
        """Carries what is known of the first frame through a video, by the pointers, without training.

        Each frame is told from the first one, and from what was told of those just before it.

        Args:
            video: `(frames, height, width, 3)`, 0..255, of the network's size.
            first: `(rows, columns, labels)`, of the first frame: masks, one-hot; heat maps of key points; or colors.
                Where its rows and columns are not those of the map, it is shrunk to it by means.
            memory: int, how many of the frames before are references, beside the first one.
            temperature: float > 0, below that of the training: pointers are sharper.
            radius: None, or int: pointers reach so many places of the map in each direction at most. The first frame
                may be left far behind: it is then looked at within the radius, too.

        Returns:
            float32 array `(frames, rows, columns, labels)`, of the size of the map; the first one is `first`.
        """
        check_ints(0, memory=memory)
        check_numbers(above=0, temperature=temperature)
        check_ints(optional=True, radius=radius)
        video, (rows, columns) = np.asarray(video, "float32"), self.maps.output_shape[1:3]
        start = shrunk(ops.convert_to_tensor(np.asarray(first, "float32"))[None], rows, columns)
        told, near = [ops.convert_to_numpy(start).reshape(rows * columns, -1)], within(rows, columns, radius)
        for frame in range(1, len(video)):
            used = sorted({0, *range(max(0, frame - memory), frame)})
            f = ops.convert_to_numpy(self.embeddings(video[None, [*used, frame]], training=False))[0]
            scores = np.einsum("jd,rid->rji", f[-1], f[:-1]) / temperature
            scores = np.where(near, scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=(0, 2), keepdims=True))  # of each place: its best one has 1
            copied = sum(weight @ told[number] for weight, number in zip(weights, used))
            told.append(copied / weights.sum(axis=(0, 2))[:, None])
        return np.stack(told).reshape(len(video), rows, columns, -1).astype("float32")


def pointed(targets, references, colors, temperature):
    """What targets copy from references: `softmax(targets . references / temperature) . colors`.

    Args:
        targets: `(batch, places, dim)`.
        references: `(batch, all places, dim)`.
        colors: `(batch, all places, colors)`. No gradient.
        temperature: float > 0.

    Returns:
        `(batch, places, colors)`, a mean of the colors of the references.
    """
    scores = ops.matmul(targets, ops.transpose(references, (0, 2, 1))) / temperature
    return ops.matmul(ops.softmax(scores, axis=-1), ops.stop_gradient(colors))


def in_one(x):
    """The places of several frames in one list: `(batch, frames * places, ...)`."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


def shrunk(images, rows, columns):
    """Images `(batch, height, width, channels)` at another size: means of equal parts, bilinear without."""
    height, width, channels = images.shape[1:]
    if height % rows or width % columns:
        return ops.image.resize(images, (rows, columns), "bilinear", data_format="channels_last")
    parts = ops.reshape(images, (-1, rows, height // rows, columns, width // columns, channels))
    return ops.mean(parts, axis=(2, 4))


def within(rows, columns, radius):
    """Which places of a map are near each other, bool `(places, places)`."""
    places = np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 2)
    far = np.abs(places[:, None] - places[None]).max(axis=-1)
    return np.ones(far.shape, bool) if radius is None else far <= radius


@keras.saving.register_keras_serializable("keras_ssl")
class Lightness(layers.Layer):
    """Images of 0..255 in gray, the L of Lab as 0..255, in so many channels."""

    def __init__(self, channels=3, name=None, **kwargs):
        super().__init__(name=name, **{"dtype": "float32", "autocast": False} | kwargs)
        self.channels = channels

    def call(self, images):
        lightness = 2.55 * lab_of_rgb(ops.cast(images, "float32"))[0]
        return ops.repeat(lightness[..., None], self.channels, axis=-1)

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.channels)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


def of_gray(network):
    """The network, from color images: it sees their lightness alone."""
    *size, channels = network.input_shape[1:]
    images = keras.Input((*size, 3))
    return keras.Model(images, network(Lightness(channels, name="lightness")(images)), name=f"{network.name}_of_gray")


def gray_map(network):
    """The map that the network pools, from color images of which it sees the lightness alone."""
    of_map = encoders.feature_map(network)
    *size, channels = network.input_shape[1:]
    images = keras.Input((*size, 3))
    return keras.Model(images, of_map(Lightness(channels, name="lightness")(images)), name="maps")


def embedder(shape, dim, depth, width, position):
    """From maps of frames to embeddings of their places: `(batch, frames, rows, columns, dim)`."""
    rows, columns, channels = shape
    maps = keras.Input((None, rows, columns, channels))
    x = Places(name="places")(maps) if position else maps
    for i in range(depth):
        x = layers.Conv3D(width, 3, padding="same", use_bias=False, data_format="channels_last", name=f"conv{i + 1}")(x)
        x = heads.batch_normalization(name=f"bn{i + 1}")(x)
        x = layers.ReLU(name=f"relu{i + 1}")(x)
    return keras.Model(maps, layers.Dense(dim, name="embedding")(x), name="embed")


@keras.saving.register_keras_serializable("keras_ssl")
class Places(layers.Layer):
    """Maps with two channels more: y and x, from -1 to 1."""

    def call(self, maps):
        rows, columns = maps.shape[2:4]
        grid = np.stack(np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij"), axis=-1)
        grid = ops.cast(ops.convert_to_tensor(grid.astype("float32")), maps.dtype)
        grid = ops.broadcast_to(grid, (*ops.shape(maps)[:2], rows, columns, 2))
        return ops.concatenate([maps, grid], axis=-1)

    def compute_output_shape(self, shape):
        return (*shape[:-1], shape[-1] + 2)
