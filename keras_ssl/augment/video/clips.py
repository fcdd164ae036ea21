"""Clips: layers that draw once for all frames of a clip, and where in a video a clip is."""

import keras
from keras import ops

from keras_ssl import inputs
from keras_ssl.augment.layer import Augmentation, check_probability, per_sample
from keras_ssl.augment.random import choose, fold, uniform
from keras_ssl.augment.steps import TimeCrop, ends, moved, parts
from keras_ssl.augment.view import gives_one
from keras_ssl.checks import check_flags, check_ints


@keras.saving.register_keras_serializable("keras_ssl")
class PerClip(Augmentation):
    """An image layer is applied to every frame of a clip by one draw: the same crop, flip and color for all of them.

    With draws of their own the frames of a clip would jump, and a video that stands still would seem to move.

    Args:
        layer: augmentation layer of images that makes one image of each; a `View` for several.
        seed, name: see `Augmentation`.

    Returns:
        float32 tensor `(batch, frames, height, width, channels)`. Each frame is what the layer makes of it with the
        seed of the clip.

    Raises:
        ValueError: for a layer that is not one of images, or that makes several tensors of an image, and for clips of
            an unknown number of frames.

    Example:
        >>> import numpy as np
        >>> from keras_ssl.augment import ColorJitter, RandomResizedCrop, View
        >>> view = View([PerClip(RandomResizedCrop(16, flip=0.5)), PerClip(ColorJitter(0.4, 0.4))])
        >>> view(np.zeros((2, 8, 24, 32, 3), "uint8")).shape
        TensorShape([2, 8, 16, 16, 3])
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
        return {"drawn": self.layer.draw(seeds, size[1:])}

    def transform(self, sample, drawn):
        values, _ = parts(self.kind, sample)
        frames = values.shape[1]
        if frames is None:
            raise ValueError(
                "PerClip needs clips of a known number of frames: put it behind RandomClip. "
                f"Received: shape={tuple(values.shape)}"
            )
        drawn = keras.tree.map_structure(lambda x: ops.repeat(x, frames, axis=0), drawn)
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


@keras.saving.register_keras_serializable("keras_ssl")
class RandomClip(TimeCrop):
    """So many frames of a video from a random start, every `stride`-th: exactly so many, counted and not timed.

    Where videos carry a mask, a clip lies within the real frames; of a video that is too short it starts with the
    first one, and its mask says which frames are real.

    Args:
        length: int, the number of frames of the clip.
        stride: int, the step from one frame to the next; or a pair (least, most), between which it is drawn for each
            clip: the speed at which the clip is played. Where the longest step does not fit into the video, the most is
            the longest that does.
        jitter: whether each frame is any of the `stride` frames up to the next one's place, and not the first of them.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for numbers that are not positive ints, and for videos with fewer frames than the clip spans.

    Example:
        >>> import numpy as np
        >>> RandomClip(16, stride=2)(np.zeros((2, 40, 24, 32, 3), "uint8")).shape
        TensorShape([2, 16, 24, 32, 3])
    """

    kind = inputs.VIDEO

    def __init__(self, length, stride=1, jitter=False, seed=None, name=None, **kwargs):
        super().__init__(length, seed=seed, name=name, **kwargs)
        self.stride = tuple(stride) if isinstance(stride, list) else stride
        self.jitter = jitter
        self.steps = self.stride if isinstance(self.stride, tuple) else (self.stride, self.stride)
        if isinstance(self.stride, tuple):
            check_ints(**{f"stride[{i}]": value for i, value in enumerate(self.stride)})
            if len(self.stride) != 2 or self.stride[0] > self.stride[1]:
                raise ValueError(f"stride must be an int or a pair (least, most) of ints. Received: stride={stride!r}")
        else:
            check_ints(stride=stride)
        check_flags(jitter=jitter)

    @property
    def span(self):
        """int, the frames that the shortest clip lies in."""
        return self.spanned(self.steps[0])

    def spanned(self, stride):
        return self.length * stride if self.jitter else (self.length - 1) * stride + 1

    def draw(self, seeds, size):
        start = super().draw(seeds, size)
        draws = uniform(fold(seeds, 0), 1 + (self.length if self.jitter else 0))
        speed = {"speed": draws[:, 0]} if self.steps[0] < self.steps[1] else {}
        return {**start, **speed, **({"late": draws[:, 1:]} if self.jitter else {})}

    def transform(self, sample, start, speed=None, late=None):
        values, mask = parts(self.kind, sample)
        self.check_steps(values)
        end = ends(values, mask)
        least, most = self.steps
        stride = ops.full_like(end, least)
        if speed is not None:
            fits = end // self.length if self.jitter else (end - 1) // max(self.length - 1, 1)
            most = ops.cast(ops.clip(fits, least, most), "float32")
            stride = ops.cast(least + choose(speed, most - least), "int32")
        last = ops.cast(ops.maximum(end - self.spanned(stride), 0), "float32")
        first = ops.cast(choose(start, last), "int32")
        places = first[:, None] + stride[:, None] * ops.arange(self.length, dtype="int32")
        if late is not None:
            places = places + ops.cast(choose(late, ops.cast(stride - 1, "float32")[:, None]), "int32")
        return moved(sample, places)

    def get_config(self):
        return {**super().get_config(), "stride": self.stride, "jitter": self.jitter}


@keras.saving.register_keras_serializable("keras_ssl")
class ReverseTime(Augmentation):
    """Clips are played backwards. Not where the order of the frames is what is to be learned.

    Args:
        p: float, the probability of a clip to be reversed.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a probability out of its range.

    Example:
        >>> import numpy as np
        >>> clip = np.arange(4.0).reshape(1, 4, 1, 1, 1)
        >>> ReverseTime(1.0)(clip).numpy().ravel().tolist()
        [3.0, 2.0, 1.0, 0.0]
    """

    kind = inputs.VIDEO

    def __init__(self, p=0.5, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.p = p

    def draw(self, seeds, size):
        return {"chosen": uniform(seeds, 1)[:, 0] < self.p}

    def transform(self, sample, chosen):
        values, mask = parts(self.kind, sample)
        place = ops.arange(ops.shape(values)[1], dtype="int32")[None, :]
        end = ends(values, mask)[:, None]
        return moved(sample, ops.where(per_sample(chosen, place) & (place < end), end - 1 - place, place))

    def get_config(self):
        return {**super().get_config(), "p": self.p}
