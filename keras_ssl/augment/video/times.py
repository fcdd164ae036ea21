"""Times: which frames of a video a view has: pairs of clips, single frames."""

import keras
from keras import ops

from keras_ssl import inputs
from keras_ssl.augment.layer import Augmentation
from keras_ssl.augment.random import choose, fold, split, uniform
from keras_ssl.augment.steps import ends, moved, parts
from keras_ssl.augment.view import gives_one
from keras_ssl.checks import check_ints, is_int


@keras.saving.register_keras_serializable("keras_ssl")
class PairedClip(Augmentation):
    """One of two clips of a video: the further apart, the rarer. Two of them in `SharedViews` make the pair.

    Of T starts that a clip has in the video, the distance d of the two starts is drawn with a probability that falls in
    a straight line, `P(d) = (2 / T) (1 - d / T)`; then the place of the pair, and which of the two comes first. Each
    clip is then changed by draws of its own.

    Where videos carry a mask, both clips lie within the real frames; of a video that is too short both start with the
    first one.

    Args:
        view: layer for clips, `View` or another, that makes one clip of each; its draws differ between the two.
        length: int, the number of frames of the clip.
        stride: int, the step from one frame to the next.
        number: 0 or 1, which of the two it is.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for numbers out of their range, a layer of another kind, and for videos with fewer frames than the
            clip spans.

    Reference: Spatiotemporal Contrastive Video Representation Learning (Qian et al., 2020), arXiv:2008.03800.

    Example:
        >>> import numpy as np
        >>> clips = [PairedClip(ReverseTime(0.5), 8, number=number) for number in (0, 1)]
        >>> first, second = SharedViews(clips)(np.zeros((2, 40, 24, 32, 3), "uint8"))
        >>> first.shape
        TensorShape([2, 8, 24, 32, 3])
    """

    kind = inputs.VIDEO

    def __init__(self, view, length, stride=1, number=0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not gives_one(view) or view.kind is not inputs.VIDEO:
            raise ValueError(f"view must be an augmentation layer of videos that makes one clip. Received: view={view}")
        check_ints(length=length, stride=stride)
        if not is_int(number, 0) or number > 1:
            raise ValueError(f"number must be 0 or 1. Received: number={number!r}")
        self.view, self.length, self.stride, self.number = view, length, stride, number

    @property
    def span(self):
        """int, the frames from the first to the last one of a clip."""
        return (self.length - 1) * self.stride + 1

    def draw(self, seeds, size):
        own, times = split(seeds, [self.number, 2])
        return {"times": uniform(times, 3), "drawn": self.view.draw(own, (self.length, *size[1:]))}

    def transform(self, sample, times, drawn):
        values, mask = parts(self.kind, sample)
        frames = values.shape[1]
        if frames is not None and frames < self.span:
            raise ValueError(
                f"PairedClip needs videos of at least {self.span} frames: take shorter clips, or pad the videos and "
                f"give them the column 'video_mask'. Received: {frames} frames"
            )
        starts = ops.cast(ops.maximum(ends(values, mask) - self.span, 0) + 1, "float32")  # T
        distance = ops.minimum(ops.floor(starts * (1 - ops.sqrt(1 - times[:, 0]))), starts - 1)
        first = choose(times[:, 1], starts - 1 - distance)
        late = (times[:, 2] < 0.5) == (self.number == 0)
        first = ops.cast(first + ops.where(late, distance, 0.0), "int32")
        clip = moved(sample, first[:, None] + self.stride * ops.arange(self.length, dtype="int32"))
        return self.view.transform(clip, **drawn)

    def resized(self, size):
        return self.view.resized((self.length, *size[1:]))

    def get_config(self):
        own = {"length": self.length, "stride": self.stride, "number": self.number}
        return {**super().get_config(), "view": keras.saving.serialize_keras_object(self.view), **own}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "view": keras.saving.deserialize_keras_object(config["view"])})


@keras.saving.register_keras_serializable("keras_ssl")
class RandomFrames(Augmentation):
    """Frames of a video from random times, in random order: each is drawn by itself, and one may come twice.

    Args:
        count: int, how many.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a number that is no positive int.

    Example:
        >>> import numpy as np
        >>> RandomFrames(4)(np.zeros((2, 40, 24, 32, 3), "uint8")).shape
        TensorShape([2, 4, 24, 32, 3])
    """

    kind = inputs.VIDEO

    def __init__(self, count, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_ints(count=count)
        self.count = count

    def draw(self, seeds, size):
        return {"places": uniform(seeds, self.count)}

    def transform(self, sample, places):
        values, mask = parts(self.kind, sample)
        last = ops.cast(ops.maximum(ends(values, mask) - 1, 0), "float32")[:, None]
        return moved(sample, ops.cast(choose(places, last), "int32"))

    def resized(self, size):
        return (self.count, *size[1:])

    def get_config(self):
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("keras_ssl")
class PerFrame(Augmentation):
    """An image layer is applied to every frame of a clip by a draw of its own: each frame is a view by itself.

    For methods that take frames as images. Where motion counts, take `PerClip`.

    Args:
        layer: augmentation layer of images that makes one image of each; a `View` for several.
        seed, name: see `Augmentation`.

    Returns:
        float32 tensor `(batch, frames, height, width, channels)`.

    Raises:
        ValueError: for a layer that is not one of images, or that makes several tensors of an image, and for clips of
            an unknown number of frames.

    Example:
        >>> import numpy as np
        >>> PerFrame(RandomResizedCrop(16, flip=0.5))(np.zeros((2, 4, 24, 32, 3), "uint8")).shape
        TensorShape([2, 4, 16, 16, 3])
    """

    kind = inputs.VIDEO

    def __init__(self, layer, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        if not gives_one(layer) or layer.kind is not inputs.IMAGE:
            raise ValueError(
                "layer must be an augmentation layer of images that makes one image of each by its own draws. "
                f"Received: layer={layer}"
            )
        self.layer = layer

    def draw(self, seeds, size):
        if not isinstance(size[0], int):
            raise ValueError("PerFrame needs clips of a known number of frames: put it behind RandomFrames.")
        frames = size[0]
        # Of another stream than the frames' numbers alone: a layer that splits its seeds counts from 0, too.
        each = ops.stack(split(fold(seeds, 0), range(frames)), axis=1)  # (batch, frames, 2)
        drawn = self.layer.draw(ops.reshape(each, (-1, 2)), size[1:])
        return {"drawn": keras.tree.map_structure(lambda x: ops.reshape(x, (-1, frames, *x.shape[1:])), drawn)}

    def transform(self, sample, drawn):
        values, _ = parts(self.kind, sample)
        frames = values.shape[1]
        drawn = keras.tree.map_structure(lambda x: ops.reshape(x, (-1, *x.shape[2:])), drawn)
        images = self.layer.transform(ops.reshape(values, (-1, *ops.shape(values)[2:])), **drawn)
        values = ops.reshape(images, (-1, frames, *ops.shape(images)[1:]))
        return {**sample, self.kind.column: values} if isinstance(sample, dict) else values

    def resized(self, size):
        return (size[0], *self.layer.resized(size[1:]))

    def get_config(self):
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})
