"""Steps: samples along time, or along a text, with a mask where not all of them are real."""

from keras import ops

from keras_ssl.augment.layer import Augmentation
from keras_ssl.augment.places import select
from keras_ssl.augment.random import choose, uniform
from keras_ssl.checks import check_ints


def parts(kind, sample):
    """The tensor of a sample and its mask, bool `(batch, steps)`, or None where the sample has none."""
    return (sample[kind.column], sample.get(kind.also[0])) if isinstance(sample, dict) else (sample, None)


def real(values, mask):
    """Which steps are real, bool `(batch, steps)`."""
    if mask is not None:
        return mask
    return ops.ones_like(ops.reshape(values, (*ops.shape(values)[:2], -1))[:, :, 0], dtype="bool")


def ends(values, mask):
    """How long the samples are, int32 `(batch,)`: up to the last step that is real."""
    numbers = ops.arange(1, ops.shape(values)[1] + 1, dtype="int32")
    return ops.max(ops.where(real(values, mask), numbers, 0), axis=1)


def changed(kind, sample, values):
    """The sample with other values; what is padding stays what it was."""
    if not isinstance(sample, dict):
        return values
    mask = sample.get(kind.also[0])
    if mask is not None:
        mask = ops.reshape(mask, (*ops.shape(mask), *[1] * (len(values.shape) - 2)))
        values = ops.where(mask, values, sample[kind.column])
    return {**sample, kind.column: values}


def moved(sample, places):
    """The steps of a sample at int32 `places` `(batch, steps)`; those of its mask and of its other columns too."""
    if not isinstance(sample, dict):
        return select(sample, places)
    return {name: select(part, places) for name, part in sample.items()}


class TimeCrop(Augmentation):
    """Base of the crops in time: so many steps from a random start, all starts equally likely.

    Where the samples carry a mask, a crop starts so that it is filled with what lies before the last real step. A
    sample that is shorter than the crop is kept from its start on, with its padding and its mask.

    Args:
        length: int, the steps of the crop.
        seed, name: see `Augmentation`.

    Raises:
        ValueError: the samples, with their padding, have fewer steps.
    """

    def __init__(self, length, seed=None, name=None, **kwargs):
        super().__init__(seed=seed, name=name, **kwargs)
        check_ints(length=length)
        self.length = length

    @property
    def span(self):
        """int, the steps from the first to the last one of a crop."""
        return self.length

    def draw(self, seeds, size):
        return {"start": uniform(seeds, 1)[:, 0]}

    def transform(self, sample, start):
        values, mask = parts(self.kind, sample)
        self.check_steps(values)
        last = ops.cast(ops.maximum(ends(values, mask) - self.span, 0), "float32")
        first = ops.cast(choose(start, last), "int32")
        return moved(sample, first[:, None] + ops.arange(self.length, dtype="int32"))

    def check_steps(self, values):
        """Raises where samples have fewer steps than a crop spans."""
        steps = values.shape[1]
        if steps is not None and steps < self.span:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least {self.span} steps: take a shorter crop, or pad the "
                f"samples and give them the column {self.kind.also[0]!r}. Received: {steps} steps"
            )

    def resized(self, size):
        return (self.length, *size[1:])

    def get_config(self):
        return {**super().get_config(), "length": self.length}
