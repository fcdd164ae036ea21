"""Signals: noise, strength, order, speed and rotation of the channels of sensors."""

import math

import keras
import numpy as np
from keras import ops
from scipy import interpolate

from keras_ssl import inputs
from keras_ssl.augment.layer import Augmentation, check_probability
from keras_ssl.augment.places import lowest, order, select
from keras_ssl.augment.random import fold, normal, uniform
from keras_ssl.augment.steps import TimeCrop, changed, ends, moved, parts, real
from keras_ssl.checks import check_flags, check_ints, check_numbers, choice


class SeriesLayer(Augmentation):
    """Base of the layers of series: float32 `(batch, time, channels)`, with a mask where some of it is not real.

    A subclass may implement `alter(values, mask, ...)` with the draws in place of `transform`: what it gives for
    steps that are not real is not used.

    Args:
        seed, name: see `Augmentation`.
    """

    kind = inputs.SERIES

    def transform(self, sample, **draws):
        values, mask = parts(self.kind, sample)
        return changed(self.kind, sample, self.alter(values, mask, **draws))


@keras.saving.register_keras_serializable("keras_ssl")
class SeriesCrop(TimeCrop):
    """A part of a series from a random start.

    Where series carry a mask, a crop ends before the last real step or on it; a series that is too short is kept
    from its start on, and its mask says what is real.

    Args:
        length: int, the number of steps of the crop.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a length that is not a positive int, and for series that are shorter, with their padding.

    Example:
        >>> import numpy as np
        >>> SeriesCrop(100)(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 100, 6])
    """

    kind = inputs.SERIES


@keras.saving.register_keras_serializable("keras_ssl")
class Jitter(SeriesLayer):
    """Gaussian noise is added, other noise at every step and in every channel.

    Args:
        deviation: float, the standard deviation of the noise, in the unit of the series.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a negative deviation.

    Example:
        >>> import numpy as np
        >>> Jitter(0.05)(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, deviation=0.05, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_numbers(least=0, deviation=deviation)
        self.deviation = deviation

    def alter(self, values, mask, seeds):
        _, steps, channels = ops.shape(values)
        return values + self.deviation * ops.reshape(normal(seeds, steps * channels), (-1, steps, channels))

    def get_config(self):
        return {**super().get_config(), "deviation": self.deviation}


@keras.saving.register_keras_serializable("keras_ssl")
class ScaleChannels(SeriesLayer):
    """Every channel is multiplied by a number of its own, normal around 1.

    Args:
        deviation: float, the standard deviation of the numbers.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a negative deviation.

    Example:
        >>> import numpy as np
        >>> ScaleChannels(0.1)(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, deviation=0.1, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_numbers(least=0, deviation=deviation)
        self.deviation = deviation

    def alter(self, values, mask, seeds):
        return values * (1 + self.deviation * normal(seeds, ops.shape(values)[2])[:, None, :])

    def get_config(self):
        return {**super().get_config(), "deviation": self.deviation}


@keras.saving.register_keras_serializable("keras_ssl")
class PermuteSegments(SeriesLayer):
    """The series is cut into segments, which come in another order; all channels alike.

    The segments have one length, up to one step. Padding stays where it is.

    Args:
        segments: int, the number of segments.
        identity: whether the order may stay what it is, as chance has it.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a number that is not a positive int, or a single segment where the order must change.

    Example:
        >>> import numpy as np
        >>> PermuteSegments(4)(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, segments=5, identity=True, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_flags(identity=identity)
        check_ints(least=1 if identity else 2, segments=segments)
        self.segments, self.identity = segments, identity

    def draw(self, seeds, size):
        return {"order": order(seeds, self.segments, self.identity)}

    def transform(self, sample, order):
        values, mask = parts(self.kind, sample)
        end = ends(values, mask)[:, None]
        bounds = end * ops.arange(self.segments + 1, dtype="int32") // self.segments  # (batch, segments + 1)
        starts = ops.take_along_axis(bounds[:, :-1], order, axis=1)
        stops = ops.cumsum(ops.take_along_axis(bounds[:, 1:], order, axis=1) - starts, axis=1)
        place = ops.arange(ops.shape(values)[1], dtype="int32")[None, :]
        slot = ops.sum(ops.cast(place[:, :, None] >= stops[:, None, :], "int32"), axis=2)  # of every new step
        slot = ops.minimum(slot, self.segments - 1)
        lengths = ops.take_along_axis(stops, slot, axis=1) - place  # to the end of the segment
        moves = ops.take_along_axis(ops.take_along_axis(bounds[:, 1:], order, axis=1), slot, axis=1) - lengths
        return moved(sample, ops.where(place < end, moves, place))

    def get_config(self):
        return {**super().get_config(), "segments": self.segments, "identity": self.identity}


@keras.saving.register_keras_serializable("keras_ssl")
class TimeWarp(SeriesLayer):
    """Time runs faster here and slower there; the first and the last real step stay.

    The speed is normal around 1 at the knots, never below a tenth there, and linear between them, or a cubic spline
    through them. Where it is very uneven, such a spline runs backwards for a moment; it never leaves the series. Values
    are linear between the steps; a step between two of which one is not real is not real.

    Args:
        knots: int, the number of knots between the start and the end, which are knots too.
        deviation: float, the standard deviation of the speed.
        curve: `"linear"` or `"cubic"`: how the speed goes from knot to knot.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for invalid numbers.

    Example:
        >>> import numpy as np
        >>> TimeWarp()(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, knots=4, deviation=0.2, curve="linear", seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_ints(least=0, knots=knots)
        check_numbers(least=0, deviation=deviation)
        choice("linear", "cubic")("curve", curve)
        self.knots, self.deviation, self.curve = knots, deviation, curve
        self.powers = pieces(knots + 2, curve)

    def draw(self, seeds, size):
        return {"speeds": ops.maximum(1 + self.deviation * normal(seeds, self.knots + 2), 0.1)}

    def transform(self, sample, speeds):
        values, mask = parts(self.kind, sample)
        last = ops.cast(ends(values, mask) - 1, "float32")[:, None]
        step = ops.arange(ops.shape(values)[1], dtype="float32")[None, :]
        part = ops.clip(step / ops.maximum(last, 1), 0, 1) * (self.knots + 1)  # from knot to knot
        knot = ops.minimum(ops.floor(part), self.knots)
        # The way from a knot on: the integral of the speed, a polynomial between each two knots.
        powers = ops.einsum("bk,pik->bip", speeds, self.powers)  # (batch, intervals, powers from 1)
        whole = ops.cumsum(ops.sum(powers, axis=2), axis=1)  # the ways up to the knots
        before = ops.take_along_axis(ops.pad(whole, [(0, 0), (1, 0)]), ops.cast(knot, "int32"), axis=1)
        own = select(powers, ops.cast(knot, "int32"))  # (batch, steps, powers)
        way = before + sum(own[:, :, i] * (part - knot) ** (i + 1) for i in range(len(self.powers)))
        place = ops.where(step < last, ops.clip(way / whole[:, -1:] * last, 0, last), step)
        below = ops.floor(place)
        share = (place - below)[:, :, None]
        below = ops.cast(below, "int32")
        above = ops.minimum(below + 1, ops.shape(values)[1] - 1)
        values = select(values, below) * (1 - share) + select(values, above) * share
        if mask is None:
            return {**sample, self.kind.column: values} if isinstance(sample, dict) else values
        mask = select(mask, below) & (select(mask, above) | (share[:, :, 0] == 0))
        return {**sample, self.kind.column: ops.where(mask[:, :, None], values, 0.0), self.kind.also[0]: mask}

    def get_config(self):
        return {**super().get_config(), "knots": self.knots, "deviation": self.deviation, "curve": self.curve}


@keras.saving.register_keras_serializable("keras_ssl")
class RotateAxes(SeriesLayer):
    """The three axes of a sensor are rotated, as if it had been worn another way.

    Channels are groups of three, one after the other: those of the accelerometer, then those of the gyroscope.

    Args:
        together: whether all groups of a series rotate alike, as the sensors of one device do.
        angle: float, the largest angle in radians either way, all equally likely, about an axis whose coordinates are
            uniform from -1 to 1 before it has unit length. None: all rotations are equally likely.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: the number of channels is not a multiple of three, or the angle is not from 0 to pi.

    Example:
        >>> import numpy as np
        >>> RotateAxes()(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, together=False, angle=None, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_flags(together=together)
        check_numbers(least=0, most=math.pi, optional=True, angle=angle)
        self.together, self.angle = together, angle

    def alter(self, values, mask, seeds):
        channels = values.shape[2]
        if channels is None or channels % 3:
            raise ValueError(
                f"RotateAxes needs groups of three channels. Received: shape={tuple(values.shape)}. Leave it out, or "
                "rotate the channels that are axes before the others are added."
            )
        groups = channels // 3
        drawn = 1 if self.together else groups
        draws = ops.reshape((normal if self.angle is None else uniform)(seeds, 4 * drawn), (-1, drawn, 4))
        if self.angle is not None:
            draws = about_an_axis(2 * draws - 1, self.angle)
        turned = ops.reshape(values, (*ops.shape(values)[:2], groups, 3))
        turned = ops.sum(rotations(draws)[:, None] * turned[:, :, :, None, :], axis=-1)
        return ops.reshape(turned, ops.shape(values))

    def get_config(self):
        return {**super().get_config(), "together": self.together, "angle": self.angle}


@keras.saving.register_keras_serializable("keras_ssl")
class DropChannels(SeriesLayer):
    """Channels become zero, each with the same probability; one of them always stays.

    Args:
        p: float, the probability of a channel to be dropped.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for a probability out of its range.

    Example:
        >>> import numpy as np
        >>> DropChannels(0.1)(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, p=0.1, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("p", p)
        self.p = p

    def alter(self, values, mask, seeds):
        draws = uniform(seeds, ops.shape(values)[2])
        kept = (draws >= self.p) | lowest(-draws, 1)
        return ops.where(kept[:, None, :], values, 0.0)

    def get_config(self):
        return {**super().get_config(), "p": self.p}


@keras.saving.register_keras_serializable("keras_ssl")
class MaskTime(SeriesLayer):
    """Stretches of a series are hidden, in all channels.

    Of the steps at which a stretch of real ones may start, so many are chosen at random that their stretches, which
    may overlap, have `ratio` of the real steps.

    Args:
        ratio: float from 0 to 1, the part that is hidden, where no stretches overlap.
        span: int, the steps of a stretch.
        fill: float, the value of what is hidden.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: for numbers out of their range.

    Example:
        >>> import numpy as np
        >>> MaskTime(0.1)(np.zeros((4, 128, 6), "float32")).shape
        TensorShape([4, 128, 6])
    """

    def __init__(self, ratio=0.1, span=1, fill=0.0, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_probability("ratio", ratio)
        check_ints(span=span)
        check_numbers(fill=fill)
        self.ratio, self.span, self.fill = ratio, span, fill

    def alter(self, values, mask, seeds):
        steps = ops.shape(values)[1]
        end = ends(values, mask)[:, None]
        place = ops.arange(steps, dtype="int32")[None, :]
        starts = real(values, mask) & (place <= ops.maximum(end - self.span, 0))
        number = ops.sum(ops.cast(real(values, mask), "float32"), axis=1, keepdims=True)
        count = ops.floor(self.ratio * number / self.span + uniform(fold(seeds, 0), 1))
        scores = ops.where(starts, uniform(seeds, steps), 2.0)
        chosen = ops.cumsum(ops.cast(lowest(scores, ops.cast(count, "int32")) & starts, "int32"), axis=1)
        earlier = ops.pad(chosen, [(0, 0), (self.span, 0)])[:, :steps]
        return ops.where((chosen > earlier)[:, :, None], self.fill, values)

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio, "span": self.span, "fill": self.fill}


def about_an_axis(draws, angle):
    """Quaternions `(batch, groups, 4)` of rotations by `angle` times the first draw about the axis of the others."""
    half = draws[:, :, :1] * angle / 2
    axis = draws[:, :, 1:]
    axis = axis / ops.sqrt(ops.sum(axis**2, axis=-1, keepdims=True) + 1e-20)
    return ops.concatenate([ops.cos(half), ops.sin(half) * axis], axis=-1)


def pieces(count, curve):
    """The integral of a curve through values at `count` knots, one apart, from each knot on.

    Returns:
        float32 `(powers, count - 1, count)`: the coefficients of the powers from 1 on of the distance from the knot,
        each a linear function of the values.
    """
    values = np.eye(count)
    if curve == "linear":
        coefficients = np.stack([values[:-1], np.diff(values, axis=0)])  # of the powers 0 and 1 of the curve
    else:
        coefficients = interpolate.CubicSpline(np.arange(count), values).c[::-1]
    return (coefficients / np.arange(1, len(coefficients) + 1)[:, None, None]).astype("float32")


def rotations(draws):
    """Uniform rotations `(batch, groups, 3, 3)` of four normal numbers `(batch, groups, 4)` each: unit quaternions."""
    w, x, y, z = ops.unstack(draws / ops.sqrt(ops.sum(draws**2, axis=-1, keepdims=True) + 1e-20), 4, axis=-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=-2)
