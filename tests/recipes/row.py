"""Row: one training of a paper in numbers, written down from the paper and not from the code."""

from typing import NamedTuple

# Side of the images and their number.
IMAGENET = (224, 1_281_167)
STL = (96, 105_000)
TINY = (64, 100_000)
CIFAR = (32, 50_000)


class Epochs(float):
    """Epochs of a setting that is in steps."""


class Row(NamedTuple):
    """A training: on which images, how long, and what the recipe has to make of it.

    Attributes:
        images: (side, count), or (shape of a sample, count) where they are none.
        optimizer: the name of its class.
        rate: the peak for that batch.
        decay: the weight decay, or (first, last, epochs between them).
        warmup: epochs, or None for a rate that stays as it is.
        settings: those of the method.
        encoder: its name.
        plain: `start` and `final` of the rate where they are not 0, its `epochs` where they are not those of the run,
            and other settings of the optimizer.
        network: settings of the encoder.
        views: how many there are.
    """

    images: tuple
    batch: int
    epochs: int
    optimizer: str
    rate: float
    decay: object
    warmup: float | None
    settings: dict
    encoder: str = "resnet50"
    plain: dict = {}
    network: dict = {}
    views: int | None = None
